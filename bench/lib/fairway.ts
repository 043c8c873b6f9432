// Starts the real program, `bin/fairway controller`, on a directory of manifests, and waits until it serves them.
import { spawnSync } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { freePort, startProgram, stop, type Child } from "./children.ts";

/** This checkout, unless the environment names another: that is how two versions are compared. */
const PROGRAM = process.env["FAIRWAY_BIN"] ?? fileURLToPath(new URL("../../bin/fairway", import.meta.url));
const READY_TIMEOUT_MS = 20_000;
const POLL_MS = 20;
/** Another process may take a free port before Fairway does. */
const TRIES = 3;

export interface Fairway {
  readonly child: Child;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly adminPort: number;
}

/** `workers`: one where CPU per request is compared, as the peers have one process. */
export async function startFairway(
  directory: string,
  workers = 1,
  flags: readonly string[] = [],
  environment: Readonly<Record<string, string>> = {},
): Promise<Fairway> {
  for (let tries = 1; ; tries += 1) {
    const [httpPort, httpsPort, adminPort] = [await freePort(), await freePort(), await freePort()];
    const args = [
      "controller",
      `--manifests=${directory}`,
      `--http-port=${httpPort}`,
      `--https-port=${httpsPort}`,
      `--healthz-port=${adminPort}`,
      "--bind-address=127.0.0.1",
      "--healthz-host=127.0.0.1",
      "--allow-loopback-upstreams",
      ...flags,
      ...(hasWorkers() ? [`--workers=${workers}`] : []),
    ];
    const child = startProgram("fairway", PROGRAM, args, environment);
    try {
      await Promise.race([isReady(`http://127.0.0.1:${adminPort}/readyz`), child.died]);
      return { child, httpPort, httpsPort, adminPort };
    } catch (error) {
      await stop(child);
      if (tries === TRIES || !child.output().includes("EADDRINUSE")) throw error;
    }
  }
}

/** A version to be compared with may be older than the flag. */
function hasWorkers(): boolean {
  return spawnSync(PROGRAM, ["controller", "--help"], { encoding: "utf8" }).stdout.includes("--workers");
}

/** `/readyz` answers 200 once the first full routing table is in use. */
async function isReady(url: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS;
  for (;;) {
    const status = await fetch(url).then(
      (response) => response.status,
      () => 0,
    );
    if (status === 200) return;
    if (performance.now() > deadline) throw new Error(`${url} is not ready after ${READY_TIMEOUT_MS} ms`);
    await sleep(POLL_MS);
  }
}
