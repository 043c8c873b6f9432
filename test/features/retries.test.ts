import { describe, expect, test } from "vitest";
import { retries } from "../../src/features/retries/retries.ts";
import type { RetrySettings } from "../../src/proxy/filter.ts";
import { defaultRouteSettings } from "../../src/proxy/routing/compile-host.ts";
import { compiledRoute, parseFeature, snapshotWith, type Values } from "./feature-harness.ts";

const defaults = defaultRouteSettings.retries;

function settingsFor(annotations: Values, configMap: Values = {}): RetrySettings {
  const { features } = parseFeature(retries, annotations, configMap);
  return compiledRoute(snapshotWith({ features })).settings.retries;
}

test("nothing said leaves nothing in the table", () => {
  expect(parseFeature(retries, {})).toEqual({ features: [], diagnostics: [] });
  expect(settingsFor({})).toEqual(defaults);
});

describe("proxy-next-upstream", () => {
  test.each<[string, Partial<RetrySettings>]>([
    ["error timeout", {}],
    ["timeout  error", {}],
    ["error", { causes: ["stale", "error"] }],
    ["timeout", { causes: ["stale", "timeout"] }],
    ["invalid_header", { causes: ["stale", "invalid_header"] }],
    ["http_503 error http_500", { causes: ["stale", "error"], statuses: [500, 503] }],
    [
      "http_500 http_502 http_503 http_504 http_403 http_404 http_429",
      { causes: ["stale"], statuses: [500, 502, 503, 504, 403, 404, 429] },
    ],
    ["error timeout non_idempotent", { isNonIdempotentIncluded: true }],
    ["non_idempotent", { causes: ["stale"], isNonIdempotentIncluded: true }],
    ["off", { causes: [] }],
    ["error http_503 off", { causes: [] }],
  ])("%j", (value, expected) => {
    expect(settingsFor({ "proxy-next-upstream": value })).toEqual({ ...defaults, ...expected });
    expect(settingsFor({}, { "proxy-next-upstream": value })).toEqual({ ...defaults, ...expected });
  });

  test("the annotation takes the place of the ConfigMap's list", () => {
    const configMap = { "proxy-next-upstream": "http_503 off" };
    expect(settingsFor({ "proxy-next-upstream": "error timeout" }, configMap)).toEqual(defaults);
  });

  test.each(["errors", "error,timeout", "http_418", "ERROR", "error; timeout"])("reports %j", (value) => {
    const { diagnostics, features } = parseFeature(retries, { "proxy-next-upstream": value });
    expect(features).toEqual([]);
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(
      `proxy-next-upstream: InvalidValue: ${JSON.stringify(value)} is not a list of`,
    );
  });
});

test.each<[Values, Values, Partial<RetrySettings>]>([
  [{ "proxy-next-upstream-tries": "5" }, {}, { triesMax: 5 }],
  [{ "proxy-next-upstream-tries": "0" }, {}, { triesMax: 0 }],
  [{}, { "proxy-next-upstream-tries": "2" }, { triesMax: 2 }],
  [{ "proxy-next-upstream-tries": "3" }, { "proxy-next-upstream-tries": "2" }, {}],
  [{ "proxy-next-upstream-tries": "-1" }, { "proxy-next-upstream-tries": "2" }, { triesMax: 2 }],
  [{ "proxy-next-upstream-timeout": "10" }, {}, { timeoutMs: 10_000 }],
  [{ "proxy-next-upstream-timeout": "10s" }, { "proxy-next-upstream-timeout": "4" }, { timeoutMs: 4_000 }],
  [{ "proxy-next-upstream-timeout": "0" }, { "proxy-next-upstream-timeout": "4" }, {}],
  [{}, { "retry-non-idempotent": "true" }, { isNonIdempotentIncluded: true }],
  [
    { "proxy-next-upstream": "error timeout" },
    { "retry-non-idempotent": "true" },
    { isNonIdempotentIncluded: true },
  ],
  [{}, { "retry-non-idempotent": "yes" }, {}],
])("%j over %j", (annotations, configMap, expected) => {
  expect(settingsFor(annotations, configMap)).toEqual({ ...defaults, ...expected });
});
