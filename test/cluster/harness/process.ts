// One child process: its output kept, waited for by pattern, and ended for sure.
import { spawn, type ChildProcess } from "node:child_process";
import { EventEmitter, once } from "node:events";

/** Of the output that is kept for messages. */
const linesMax = 2_000;
const endTimeoutMs = 10_000;

export class Process {
  readonly name: string;
  readonly #child: ChildProcess;
  readonly #lines: string[] = [];
  readonly #events = new EventEmitter().setMaxListeners(0);
  #isEnded = false;

  constructor(
    name: string,
    command: string,
    args: readonly string[],
    env?: Readonly<Record<string, string>>,
  ) {
    this.name = name;
    this.#child = spawn(command, args, {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...env },
    });
    for (const stream of [this.#child.stdout, this.#child.stderr]) this.#read(stream);
    this.#child.on("error", (cause) => this.#add(String(cause)));
    this.#child.on("exit", (code, signal) => {
      this.#isEnded = true;
      this.#add(`${name} has ended (${code ?? signal})`);
    });
    running.add(this);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  get isEnded(): boolean {
    return this.#isEnded;
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  /** The first line, past or to come, that matches. Rejects when the process ends before. */
  async line(pattern: RegExp): Promise<string> {
    for (;;) {
      const found = this.#lines.find((line) => pattern.test(line));
      if (found !== undefined) return found;
      if (this.#isEnded) throw new Error(`${this.name} ended without ${pattern}:\n${this.tail()}`);
      await once(this.#events, "line");
    }
  }

  tail(count = 30): string {
    return this.#lines.slice(-count).join("\n");
  }

  /** Forgets what was said so far. */
  clear(): void {
    this.#lines.length = 0;
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  /** Resolves when it has ended; after a while by force. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    running.delete(this);
    if (this.#isEnded || this.#child.pid === undefined) return;
    const ended = once(this.#child, "exit");
    this.#child.kill(signal);
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), endTimeoutMs);
    await ended;
    clearTimeout(timer);
  }

  #read(stream: NodeJS.ReadableStream | null): void {
    let rest = "";
    stream?.on("data", (chunk: Buffer) => {
      const parts = (rest + chunk.toString("utf8")).split("\n");
      rest = parts.pop() ?? "";
      for (const line of parts) this.#add(line);
    });
  }

  #add(line: string): void {
    this.#lines.push(line);
    if (this.#lines.length > linesMax) this.#lines.splice(0, linesMax / 2);
    this.#events.emit("line");
  }
}

/** What a test that failed has left behind ends with its process. */
const running = new Set<Process>();
process.on("exit", () => {
  for (const each of running) each.kill("SIGKILL");
});
