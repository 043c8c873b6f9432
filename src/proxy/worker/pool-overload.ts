// Overload as the controller's thread sees it: measures the memory of the process, and tells what the workers have found
// out about themselves, once for each change.
import {
  overloadReasons,
  type OverloadReason,
  type OverloadState,
} from "../across-workers/overload-state.ts";
import { MemoryWatch, type OverloadLimits } from "../admission/overload-watch.ts";
import type { WorkerMetrics } from "../../metrics/worker-metrics.ts";
import type { Cancel, Clock } from "../../util/clock.ts";

/** Shorter than any overload lasts. */
const lookMs = 1_000;

export interface PoolOverloadOptions {
  readonly workers: number;
  readonly clock: Clock;
  readonly limits: OverloadLimits;
  readonly metrics: WorkerMetrics;
  readonly memoryShare: (() => number) | undefined;
  readonly onChange: (message: string) => void;
}

export class PoolOverload {
  readonly #state: OverloadState;
  readonly #options: PoolOverloadOptions;
  readonly #memory: MemoryWatch;
  readonly #cancel: Cancel;
  /** Who was overloaded at the last look, and why. */
  #known = new Set<string>();

  constructor(state: OverloadState, options: PoolOverloadOptions) {
    const { clock, limits, memoryShare } = options;
    this.#state = state;
    this.#options = options;
    this.#memory = new MemoryWatch(state, limits, clock, memoryShare);
    this.#cancel = clock.every(lookMs, () => this.#look());
  }

  close(): void {
    this.#cancel();
    this.#memory.close();
  }

  #look(): void {
    const { workers, metrics } = this.#options;
    const before = this.#known;
    const now = new Set<string>();
    for (const reason of overloadReasons) {
      let overloaded = 0;
      // The last number is that of the process.
      for (let worker = 0; worker <= workers; worker += 1) {
        if (!this.#state.has(worker, reason)) continue;
        overloaded += 1;
        now.add(this.#words(worker, reason));
      }
      metrics.overloaded[reason] = overloaded;
    }
    this.#known = now;
    for (const words of now) if (!before.has(words)) this.#options.onChange(`overload: ${words}`);
    for (const words of before) if (!now.has(words)) this.#options.onChange(`no longer: ${words}`);
  }

  #words(worker: number, reason: OverloadReason): string {
    const { overloadEventLoopDelayMs, overloadMemoryShare } = this.#options.limits;
    const share = `${Math.round(overloadMemoryShare * 100)} %`;
    if (reason === "memory") return `more than ${share} of the memory is used; new connections are refused`;
    const what =
      reason === "heap"
        ? `uses more than ${share} of its heap`
        : `is more than ${overloadEventLoopDelayMs} ms behind`;
    return `worker ${worker} ${what}; it refuses new connections`;
  }
}
