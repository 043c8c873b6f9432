import { expect, test } from "vitest";
import { AnnotationReader } from "../../src/controller/annotations.ts";
import { readConnections } from "../../src/controller/translate/connections.ts";
import type { Diagnostic } from "../../src/ir/diagnostic.ts";

function read(data: Readonly<Record<string, string>>): { connections: unknown; diagnostics: Diagnostic[] } {
  const diagnostics: Diagnostic[] = [];
  const object = { kind: "ConfigMap", namespace: "default", name: "config" };
  const source = { object, fieldPrefix: "data.", values: new Map(Object.entries(data)) };
  const connections = readConnections(new AnnotationReader(source, diagnostics, "the default applies"));
  return { connections, diagnostics };
}

test.each([
  [{}, undefined],
  [{ "keep-alive": "10" }, { keepAliveTimeoutMs: 10_000 }],
  [{ "keep-alive": "0" }, { requestsPerConnectionMax: 1 }],
  [{ "keep-alive": "0", "keep-alive-requests": "5" }, { requestsPerConnectionMax: 1 }],
  [{ "keep-alive-requests": "5" }, { requestsPerConnectionMax: 5 }],
  [
    { "client-header-timeout": "3", "client-body-timeout": "4" },
    { headTimeoutMs: 3_000, contentTimeoutMs: 4_000 },
  ],
  [
    { "large-client-header-buffers": "4 12k" },
    { requestLineMaxBytes: 12_288, fieldLineMaxBytes: 12_288, headMaxBytes: 49_152 },
  ],
  [
    { "large-client-header-buffers": "2  1024" },
    { requestLineMaxBytes: 1024, fieldLineMaxBytes: 1024, headMaxBytes: 2048 },
  ],
  [{ "upstream-keepalive-connections": "0" }, { idleUpstreamMax: 0 }],
  [
    {
      "upstream-keepalive-timeout": "9",
      "upstream-keepalive-requests": "8",
      "upstream-keepalive-time": "2m",
    },
    {
      idleUpstreamTimeoutMs: 9_000,
      requestsPerUpstreamConnectionMax: 8,
      upstreamConnectionMaxAgeMs: 120_000,
    },
  ],
  [{ "upstream-keepalive-time": "90" }, { upstreamConnectionMaxAgeMs: 90_000 }],
])("%j means %j", (data, expected) => {
  expect(read(data)).toEqual({ connections: expected, diagnostics: [] });
});

test.each([
  ["keep-alive", "75s"],
  ["keep-alive", "-1"],
  ["keep-alive-requests", "0"],
  ["client-header-timeout", "0"],
  ["large-client-header-buffers", "8k"],
  ["large-client-header-buffers", "0 8k"],
  ["large-client-header-buffers", "4 8x"],
  ["upstream-keepalive-time", "1w"],
  ["upstream-keepalive-time", "0"],
])("%s: %s is told, and the default applies", (key, value) => {
  const { connections, diagnostics } = read({ [key]: value });
  expect(connections).toBeUndefined();
  expect(diagnostics).toMatchObject([
    { severity: "error", field: `data.${key}`, message: expect.stringContaining("the default applies") },
  ]);
});

test("heads are bounded by what the codec can hold, and that is told", () => {
  const { connections, diagnostics } = read({ "large-client-header-buffers": "4 128k" });
  expect(connections).toEqual({
    requestLineMaxBytes: 63_488,
    fieldLineMaxBytes: 63_488,
    headMaxBytes: 63_488,
  });
  expect(diagnostics).toMatchObject([{ severity: "warning", reason: "LimitedSetting" }]);
});
