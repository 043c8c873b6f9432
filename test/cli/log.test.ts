import { describe, expect, test } from "vitest";
import { DiagnosticLog } from "../../src/cli/diagnostic-log.ts";
import { Log, type LogFormat, type LogLevel } from "../../src/cli/log.ts";
import type { Diagnostic } from "../../src/ir/diagnostic.ts";

function makeLog(level: LogLevel, format: LogFormat = "text"): { log: Log; lines: string[] } {
  const lines: string[] = [];
  const now = (): Date => new Date("2026-11-24T12:00:00Z");
  return { log: new Log({ level, format, now, write: (line) => lines.push(line) }), lines };
}

test("a log writes what is as severe as its level, or more", () => {
  const { log, lines } = makeLog("warning");
  for (const level of ["error", "warning", "info", "debug"] as const) log[level](`an ${level}`);
  expect(lines).toEqual([
    "2026-11-24T12:00:00.000Z error: an error\n",
    "2026-11-24T12:00:00.000Z warning: an warning\n",
  ]);
});

test("a text line stays one line and carries no control characters", () => {
  const { log, lines } = makeLog("info");
  log.info("one\ntwo\u001b[31m\r\nthree\u2028four\u0085five");
  expect(lines).toEqual(["2026-11-24T12:00:00.000Z info: one two [31m three four five\n"]);
});

test("a JSON line can be parsed", () => {
  const { log, lines } = makeLog("info", "json");
  log.info('say "hi"\n');
  expect(JSON.parse(lines[0]!)).toEqual({
    time: "2026-11-24T12:00:00.000Z",
    level: "info",
    message: 'say "hi"\n',
  });
  expect(lines[0]!.indexOf("\n")).toBe(lines[0]!.length - 1);
});

describe("diagnostics", () => {
  const missing: Diagnostic = {
    severity: "error",
    reason: "ServiceNotFound",
    message: "there is no Service shop/web",
    object: { kind: "Ingress", namespace: "shop", name: "web" },
    field: "spec.rules[0]",
  };
  const text = "Ingress shop/web, spec.rules[0]: ServiceNotFound: there is no Service shop/web";

  test("are logged when they appear and when they are gone, once each", () => {
    const { log, lines } = makeLog("info");
    const diagnostics = new DiagnosticLog(log);
    const update = (present: readonly Diagnostic[], problems: readonly string[] = []): string[] => {
      diagnostics.update(present, problems);
      return lines.splice(0).map((line) => line.slice("2026-11-24T12:00:00.000Z ".length));
    };
    expect(update([missing])).toEqual([`error: ${text}\n`]);
    expect(update([missing])).toEqual([]);
    expect(update([missing], ["Secret shop/tls is not used"])).toEqual([
      "error: Secret shop/tls is not used\n",
    ]);
    expect(update([])).toEqual([
      `info: no longer: ${text}\n`,
      "info: no longer: Secret shop/tls is not used\n",
    ]);
    expect(update([{ ...missing, severity: "warning" }])).toEqual([`warning: ${text}\n`]);
  });
});
