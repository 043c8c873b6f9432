// Log lines on standard error, one line each, as text for people or JSON for collectors.

export const logLevels = ["error", "warning", "info", "debug"] as const;
export type LogLevel = (typeof logLevels)[number];
export type LogFormat = "text" | "json";

export function isLogLevel(text: string): text is LogLevel {
  return (logLevels as readonly string[]).includes(text);
}

export interface LogOptions {
  readonly level: LogLevel;
  readonly format: LogFormat;
  readonly write: (line: string) => void;
  readonly now: () => Date;
}

export class Log {
  readonly #options: LogOptions;
  readonly #rank: number;

  constructor(options: LogOptions) {
    this.#options = options;
    this.#rank = logLevels.indexOf(options.level);
  }

  error(message: string): void {
    this.#log("error", message);
  }

  warning(message: string): void {
    this.#log("warning", message);
  }

  info(message: string): void {
    this.#log("info", message);
  }

  debug(message: string): void {
    this.#log("debug", message);
  }

  #log(level: LogLevel, message: string): void {
    if (logLevels.indexOf(level) > this.#rank) return;
    const { format, now, write } = this.#options;
    const time = now().toISOString();
    // Control characters could forge further lines or drive a terminal.
    const line =
      format === "json"
        ? JSON.stringify({ time, level, message })
        : `${time} ${level}: ${message.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ")}`;
    write(`${line}\n`);
  }
}

/** Lines that cannot be written, because nobody reads them any more, are dropped. */
export function standardErrorLog(options: { readonly level: LogLevel; readonly format: LogFormat }): Log {
  return new Log({ ...options, write: (line) => process.stderr.write(line), now: () => new Date() });
}
