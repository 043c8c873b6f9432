// Every process the benchmarks start and every directory they make, and their end: on success, failure and signals.
import { fork, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import type { ReadyMessage } from "./child-side.ts";

/** From SIGTERM to SIGKILL. */
const TERM_TIMEOUT_MS = 5_000;
const READY_TIMEOUT_MS = 20_000;
/** Kept of what a program prints, for the message when it fails. */
const OUTPUT_MAX_CHARS = 4_000;

export interface Child {
  readonly process: ChildProcess;
  readonly pid: number;
  /** Rejects when the process ends before `stop`. Never resolves. */
  readonly died: Promise<never>;
  /** The last of its standard output and error. */
  output(): string;
}

const running = new Set<ChildProcess>();

function adopt(name: string, child: ChildProcess): Child {
  let output = "";
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString("utf8")).slice(-OUTPUT_MAX_CHARS);
  };
  child.stdout?.on("data", keep);
  child.stderr?.on("data", keep);
  const { pid } = child;
  // Without a listener a program that cannot be started, or signalled, would end the runner before it cleans up.
  child.on("error", (error) => keep(Buffer.from(`${error.message}\n`)));
  if (pid === undefined) throw new Error(`${name} cannot be started`);
  running.add(child);
  const died = new Promise<never>((_resolve, reject) => {
    child.once("exit", (code, signal) => {
      running.delete(child);
      reject(new Error(`${name} ended (${signal ?? `code ${code}`}):\n${output}`));
    });
  });
  // Observed by whoever waits for this child; after `stop` nobody does.
  died.catch(() => {});
  return { process: child, pid, died, output: () => output };
}

/** Starts a program that is not ours. */
export function startProgram(
  name: string,
  command: string,
  args: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): Child {
  const env = { ...process.env, ...environment };
  return adopt(name, spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], env }));
}

/** Starts one of our modules (a path in bench/) with an IPC channel. */
export function startModule(module: string, args: readonly string[]): Child {
  const file = fileURLToPath(new URL(`../${module}`, import.meta.url));
  // "advanced": a figure that was not measured stays NaN.
  const serialization = "advanced";
  const child = fork(file, args, { serialization, stdio: ["ignore", "pipe", "pipe", "ipc"], execArgv: [] });
  return adopt(module, child);
}

/** Starts one of our servers and waits for the ports that it took. */
export async function startServer(
  module: string,
  args: readonly string[],
): Promise<{ child: Child } & ReadyMessage> {
  const child = startModule(module, args);
  const ready = once(child.process, "message", { signal: AbortSignal.timeout(READY_TIMEOUT_MS) });
  const [message] = await Promise.race([ready, child.died]);
  // The only message these modules send first.
  return { child, ...(message as ReadyMessage) };
}

export async function stop(child: Child): Promise<void> {
  await stopProcess(child.process);
}

async function stopProcess(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, "exit");
  child.kill("SIGTERM");
  const timer = setTimeout(() => child.kill("SIGKILL"), TERM_TIMEOUT_MS);
  await exit;
  clearTimeout(timer);
}

export async function stopAll(): Promise<void> {
  await Promise.all([...running].map(stopProcess));
}

/** Runs `main`, ends every child afterwards, and sets the exit code: what `main` returns, 1 if it throws. */
export async function runAndCleanUp(main: () => Promise<number>): Promise<void> {
  const interrupted = new Promise<never>((_resolve, reject) => {
    for (const signal of ["SIGINT", "SIGTERM"] as const) {
      process.once(signal, () => reject(new Error(`ended by ${signal}`)));
    }
  });
  // Nothing below may leave a process behind, not even an exit that skips `finally`.
  process.on("exit", () => {
    for (const child of running) child.kill("SIGKILL");
  });
  let code = 1;
  try {
    code = await Promise.race([main(), interrupted]);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  } finally {
    await stopAll();
    for (const directory of directories) fs.rmSync(directory, { recursive: true, force: true });
  }
  process.exit(code);
}

/** Removed at the very end, after all children have ended. */
const directories: string[] = [];

export function temporaryDirectory(): string {
  const directory = fs.mkdtempSync(path.join(os.tmpdir(), "fairway-bench-"));
  directories.push(directory);
  return directory;
}

/**
 * A port that was free a moment ago, for programs that cannot report the one they took. The caller starts its program
 * at once and tries again with another port if that fails.
 */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the probe has no TCP port");
  server.close();
  await once(server, "close");
  return address.port;
}
