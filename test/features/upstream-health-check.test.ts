import { describe, expect, test } from "vitest";
import type { HealthCheckSettings } from "../../src/proxy/filter.ts";
import { upstreamHealthCheck } from "../../src/features/upstream-health-check/upstream-health-check.ts";
import { parseFeature, type Values } from "./feature-harness.ts";

const defaults: HealthCheckSettings = {
  kind: "http",
  port: null,
  path: "/",
  host: "",
  statuses: [{ first: 200, last: 399 }],
  service: "",
  intervalMs: 10_000,
  timeoutMs: 2_000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
};

/** `type: "tcp"` is the annotation `fairway.dev/health-check-type`. */
function parse(values: Values): { config: unknown; diagnostics: readonly string[] } {
  const annotations = Object.entries(values).map(([key, value]) => [
    `fairway.dev/health-check-${key}`,
    value,
  ]);
  const parsed = parseFeature(upstreamHealthCheck, Object.fromEntries(annotations) as Values);
  return { config: parsed.features[0]?.config, diagnostics: parsed.diagnostics };
}

describe("a health check", () => {
  test("is off when nothing asks for one", () => {
    expect(parse({})).toEqual({ config: undefined, diagnostics: [] });
  });

  test.each<[Values, Partial<HealthCheckSettings>]>([
    [{ path: "/healthz?deep=1" }, { path: "/healthz?deep=1" }],
    [{ type: "http" }, {}],
    [{ type: "tcp" }, { kind: "tcp", path: "", statuses: [] }],
    [
      { type: "tcp", port: "65535" },
      { kind: "tcp", path: "", statuses: [], port: 65_535 },
    ],
    [
      { type: "grpc", service: "shop.v1.Cart", host: "cart" },
      { kind: "grpc", path: "", statuses: [], service: "shop.v1.Cart", host: "cart" },
    ],
    [
      { path: "/", interval: "1", timeout: "600", "healthy-threshold": "1", "unhealthy-threshold": "100" },
      { intervalMs: 1_000, timeoutMs: 600_000, healthyThreshold: 1, unhealthyThreshold: 100 },
    ],
    [
      { path: "/", "expected-status": "200, 204-206 ,418" },
      {
        statuses: [
          { first: 200, last: 200 },
          { first: 204, last: 206 },
          { first: 418, last: 418 },
        ],
      },
    ],
    [{ path: "/", host: "shop.example:8443" }, { host: "shop.example:8443" }],
    [{ path: "/", host: "[fd00::1]:80" }, { host: "[fd00::1]:80" }],
    [{ path: "", type: "http" }, {}],
  ])("of %j is %j", (values, expected) => {
    expect(parse(values)).toEqual({ config: { ...defaults, ...expected }, diagnostics: [] });
  });

  test.each<[Values, string, string]>([
    [{ type: "HTTP" }, "type", '"HTTP" is not one of "http", "tcp", "grpc"'],
    [{ type: "ping", path: "/" }, "type", '"ping" is not one of "http", "tcp", "grpc"'],
    [
      { path: "healthz" },
      "path",
      '"healthz" is not a path that begins with "/", without blanks and fragment',
    ],
    [{ path: "/a b" }, "path", '"/a b" is not a path'],
    [{ path: "/a#b" }, "path", '"/a#b" is not a path'],
    [{ path: "/a\nHost: b" }, "path", "is not a path"],
    [{ path: "/", host: "a b" }, "host", '"a b" is not a host, with a port or without'],
    [{ path: "/", host: "a\r\nx: y" }, "host", "is not a host"],
    [{ path: "/", port: "0" }, "port", '"0" is not a port from 1 to 65535'],
    [{ path: "/", port: "65536" }, "port", "is not a port"],
    [{ path: "/", port: "http" }, "port", "is not a port"],
    [{ type: "grpc", service: "a b" }, "service", '"a b" is not the name of a gRPC service'],
    [{ path: "/", "expected-status": "2xx" }, "expected-status", '"2xx" is not a list of statuses'],
    [{ path: "/", "expected-status": "399-200" }, "expected-status", "is not a list of statuses"],
    [{ path: "/", "expected-status": "200," }, "expected-status", "is not a list of statuses"],
    [{ path: "/", "expected-status": "100" }, "expected-status", "is not a list of statuses"],
    [{ path: "/", "expected-status": "600" }, "expected-status", "is not a list of statuses"],
  ])("that cannot be asked for is none: %j", (values, key, words) => {
    const { config, diagnostics } = parse(values);
    expect(config).toBeUndefined();
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`fairway.dev/health-check-${key}: InvalidValue: `);
    expect(diagnostics[0]).toContain(words);
    expect(diagnostics[0]).toMatch(/; endpoints are not checked$/);
  });

  test.each<[Values]>([
    [{ interval: "0" }],
    [{ interval: "10s" }],
    [{ timeout: "1.5" }],
    [{ "healthy-threshold": "0" }],
    [{ "unhealthy-threshold": "101" }],
  ])("has the default in place of a wrong number: %j", (values) => {
    const { config, diagnostics } = parse({ path: "/", ...values });
    expect(config).toEqual(defaults);
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toMatch(/InvalidInteger: .* is not an integer from 1 to \d+ without unit/);
  });

  test.each<[Values, string]>([
    [{ type: "tcp", path: "/healthz" }, "path: NoEffect: it has no effect on a check of type tcp"],
    [{ type: "tcp", host: "a" }, "host: NoEffect: it has no effect on a check of type tcp"],
    [{ type: "grpc", "expected-status": "200" }, "NoEffect: it has no effect on a check of type grpc"],
    [{ type: "http", service: "a" }, "service: NoEffect: it has no effect on a check of type http"],
    [
      { interval: "5" },
      "interval: NoEffect: it has no effect without fairway.dev/health-check-path or fairway.dev/health-check-type",
    ],
  ])("is told what does nothing in %j", (values, words) => {
    const { diagnostics } = parse(values);
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(words);
  });
});
