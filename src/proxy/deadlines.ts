// One coarse tick for the timeouts of all connections: each holds a time, nobody holds a timer of its own.
// (A timer per connection costs 57 ns to refresh and 120 ns to make; a stored number costs nothing.)
import type { Cancel, Clock } from "../util/clock.ts";

/** How late a deadline may be noticed. */
export const deadlineTickMs = 100;

export interface Timed {
  /** On the clock's scale; `Infinity` for none. */
  deadlineAt: number;
  /** Called once `deadlineAt` has passed, at every tick until it is moved. */
  onDeadline(nowMs: number): void;
}

export class Deadlines {
  readonly #timed = new Set<Timed>();
  readonly #cancel: Cancel;

  readonly #onBug: (error: unknown) => void;

  /** `onBug` is told of what a callback throws; the others still get theirs. */
  constructor(clock: Clock, onBug: (error: unknown) => void) {
    this.#onBug = onBug;
    this.#cancel = clock.every(deadlineTickMs, () => this.#tick(clock.nowMs()));
  }

  add(timed: Timed): void {
    this.#timed.add(timed);
  }

  delete(timed: Timed): void {
    this.#timed.delete(timed);
  }

  close(): void {
    this.#cancel();
    this.#timed.clear();
  }

  #tick(nowMs: number): void {
    for (const timed of this.#timed) {
      if (timed.deadlineAt > nowMs) continue;
      try {
        timed.onDeadline(nowMs);
      } catch (error) {
        timed.deadlineAt = Infinity;
        this.#onBug(error);
      }
    }
  }
}
