// Load at a fixed rate, whatever the proxy does: requests become due by the clock, and each latency counts from when
// its request was due, not from when it could be sent. So a proxy that stalls pays for every request that had to wait
// (that is what is meant by corrected for coordinated omission). Made in a process of its own: open-loop-process.ts.
import { startModule, type Child } from "./children.ts";
import { cpuTimeUs, isCpuMeasurable } from "./process-tree.ts";

/** Requests are due in groups, this far apart: the clock of the load cannot be finer without costing a CPU. */
export const TICK_US = 500;

export interface OpenLoopJob {
  readonly port: number;
  readonly path: string;
  readonly host: string;
  readonly rate: number;
  readonly connections: number;
  readonly seconds: number;
  /** At the beginning, requests of which are made but not counted. */
  readonly warmUpSeconds: number;
}

export interface OpenLoopResult {
  /** Requests that were due in the time that counts. */
  readonly due: number;
  /** Of these, those that were answered before the end, or within a second after it. */
  readonly answered: number;
  /** Of these, those that were answered by the end, or hardly later. */
  readonly answeredInTime: number;
  readonly failed: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly maxMs: number;
  /** Answers from beginning to end of the process, warm-up included: what CPU time is divided by. */
  readonly answeredInAll: number;
  /** How late the clock of the load was, p99: what of the latencies is not the proxy's. */
  readonly lateP99Ms: number;
}

/** The share of due requests that must be answered in time for a rate to count as held. */
const HELD_SHARE = 0.99;

/** A rate is held when requests were answered as fast as they became due, so that none piled up, and none failed. */
export function isHeld(result: OpenLoopResult): boolean {
  return result.failed === 0 && result.answeredInTime >= result.due * HELD_SHARE;
}

export class OpenLoop {
  readonly #child: Child = startModule("./lib/open-loop-process.ts", []);

  /** One at a time. */
  run(job: OpenLoopJob): Promise<OpenLoopResult> {
    const { process: child, died } = this.#child;
    const answer = new Promise<OpenLoopResult>((resolve) => {
      // Our own module sends nothing else.
      child.once("message", (message) => resolve(message as OpenLoopResult));
    });
    child.send(job);
    return Promise.race([answer, died]);
  }

  cpuTimeUs(): number {
    return isCpuMeasurable() ? cpuTimeUs(this.#child.pid) : Number.NaN;
  }
}
