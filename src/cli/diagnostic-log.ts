// What changed among the diagnostics, as log lines: each one when it appears and when it is gone, never in between.
import { formatDiagnostic, type Diagnostic } from "../ir/diagnostic.ts";
import type { Log, LogLevel } from "./log.ts";

export class DiagnosticLog {
  readonly #log: Log;
  #shown = new Map<string, LogLevel>();

  constructor(log: Log) {
    this.#log = log;
  }

  /** `problems`: of the compiled table, a sentence each. */
  update(diagnostics: readonly Diagnostic[], problems: readonly string[]): void {
    const present = new Map<string, LogLevel>();
    for (const diagnostic of diagnostics) present.set(formatDiagnostic(diagnostic), diagnostic.severity);
    for (const problem of problems) present.set(problem, "error");
    for (const [text, level] of present) if (!this.#shown.has(text)) this.#log[level](text);
    for (const text of this.#shown.keys()) if (!present.has(text)) this.#log.info(`no longer: ${text}`);
    this.#shown = present;
  }
}
