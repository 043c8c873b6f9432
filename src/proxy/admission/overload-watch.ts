// Measures what a proxy can know of its own overload: how late its event loop is, and how full its heap. The memory of
// the process is measured once for all workers, by `MemoryWatch`.
import type { Cancel, Clock } from "../../util/clock.ts";
import type { OverloadState } from "../across-workers/overload-state.ts";
import type { ProxyLimits } from "../limits.ts";
import { heapShare, memoryShare } from "../machine.ts";
import { Sustained } from "./sustained.ts";

/** Between two measurements of the event loop, and of memory. */
export const loopSampleMs = 100;
export const memorySampleMs = 1_000;
/** One long pause, such as a large table's, is not yet an overload. */
export const loopEnterAfterMs = 1_000;
/** How long it must be well below its bound again. */
export const leaveAfterMs = 5_000;
/** How far below its bound memory must be, as a share of all. */
const memoryLeaveMargin = 0.05;

export type OverloadLimits = Pick<ProxyLimits, "overloadEventLoopDelayMs" | "overloadMemoryShare">;

export class OverloadWatch {
  readonly #cancel: readonly Cancel[];

  constructor(state: OverloadState, limits: OverloadLimits, clock: Clock) {
    const { overloadEventLoopDelayMs: delayMaxMs } = limits;
    const cancel: Cancel[] = [];
    if (delayMaxMs > 0) {
      const loop = new LoopDelay(delayMaxMs, clock.nowMs());
      cancel.push(clock.every(loopSampleMs, () => state.set("event_loop", loop.observe(clock.nowMs()))));
    }
    const heap = memoryOverload(limits);
    if (heap !== null) {
      cancel.push(
        clock.every(memorySampleMs, () => state.set("heap", heap.observe(heapShare(), clock.nowMs()))),
      );
    }
    this.#cancel = cancel;
  }

  close(): void {
    for (const cancel of this.#cancel) cancel();
  }
}

/** Of the whole process; the thread that owns the workers runs it. */
export class MemoryWatch {
  readonly #cancel: Cancel | null;

  /** `share` is of tests. */
  constructor(state: OverloadState, limits: OverloadLimits, clock: Clock, share = memoryShare) {
    const memory = memoryOverload(limits);
    this.#cancel =
      memory &&
      clock.every(memorySampleMs, () => state.set("memory", memory.observe(share(), clock.nowMs())));
  }

  close(): void {
    this.#cancel?.();
  }
}

/** By how much a timer of `loopSampleMs` comes too late: as long waits whatever else the event loop has to do. */
export class LoopDelay {
  readonly #overload: Sustained;
  #lastMs: number;

  constructor(delayMaxMs: number, nowMs: number) {
    this.#lastMs = nowMs;
    this.#overload = new Sustained({
      enterAt: delayMaxMs,
      enterAfterMs: loopEnterAfterMs,
      leaveBelow: delayMaxMs / 2,
      leaveAfterMs,
    });
  }

  /** Called by the timer. Returns whether it is an overload. */
  observe(nowMs: number): boolean {
    const delayMs = nowMs - this.#lastMs - loopSampleMs;
    this.#lastMs = nowMs;
    return this.#overload.observe(delayMs, nowMs);
  }
}

/** Null: memory is not watched. */
function memoryOverload({ overloadMemoryShare: shareMax }: OverloadLimits): Sustained | null {
  if (shareMax === 0) return null;
  const leaveBelow = Math.max(0, shareMax - memoryLeaveMargin);
  return new Sustained({ enterAt: shareMax, enterAfterMs: 0, leaveBelow, leaveAfterMs });
}
