// Time as something that can be handed in, so that tests advance it instead of waiting.
// The global `performance` is a lazy getter, which every read of the clock would call: imported it is a constant.
import { performance } from "node:perf_hooks";

export interface Clock {
  /** Milliseconds since an arbitrary start; never goes back. */
  nowMs(): number;
  /** Calls `callback` every `intervalMs` until cancelled. Does not keep the process alive. */
  every(intervalMs: number, callback: () => void): Cancel;
  /** Calls `callback` once after `delayMs` unless cancelled. Does not keep the process alive. */
  after(delayMs: number, callback: () => void): Cancel;
}

export type Cancel = () => void;

/** `performance.now()` begins with its thread; the monotonic clock of the system is one for all. */
const threadStartMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();

/** The same scale in all threads of the process. */
export const systemClock: Clock = {
  nowMs: () => threadStartMs + performance.now(),
  every(intervalMs, callback) {
    const timer = setInterval(callback, intervalMs).unref();
    return () => clearInterval(timer);
  },
  after(delayMs, callback) {
    const timer = setTimeout(callback, delayMs).unref();
    return () => clearTimeout(timer);
  },
};

/** A clock that stands still until `advanceMs` moves it; timers fire in order of their time. */
export class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<{ at: number; intervalMs: number; callback: () => void }>();

  nowMs(): number {
    return this.#nowMs;
  }

  every(intervalMs: number, callback: () => void): Cancel {
    return this.#add(intervalMs, intervalMs, callback);
  }

  after(delayMs: number, callback: () => void): Cancel {
    return this.#add(delayMs, 0, callback);
  }

  advanceMs(ms: number): void {
    const end = this.#nowMs + ms;
    for (;;) {
      let next: { at: number; intervalMs: number; callback: () => void } | undefined;
      for (const timer of this.#timers) {
        if (timer.at <= end && (next === undefined || timer.at < next.at)) next = timer;
      }
      if (next === undefined) break;
      this.#nowMs = Math.max(this.#nowMs, next.at);
      if (next.intervalMs > 0) next.at += next.intervalMs;
      else this.#timers.delete(next);
      next.callback();
    }
    this.#nowMs = end;
  }

  #add(delayMs: number, intervalMs: number, callback: () => void): Cancel {
    const timer = { at: this.#nowMs + delayMs, intervalMs, callback };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }
}
