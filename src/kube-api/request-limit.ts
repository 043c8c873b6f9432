// How many requests go to the API server: a bucket of tokens, refilled by time. Waiting is in order of arrival.
import type { Clock } from "../util/clock.ts";

export class RequestLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #clock: Clock;
  #tokens: number;
  #filledAtMs: number;

  constructor(perSecond: number, burst: number, clock: Clock) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#clock = clock;
    this.#tokens = burst;
    this.#filledAtMs = clock.nowMs();
  }

  /** Resolves when the request may be sent. */
  take(): Promise<void> {
    const now = this.#clock.nowMs();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAtMs) / 1000) * this.#perSecond);
    this.#filledAtMs = now;
    this.#tokens -= 1;
    if (this.#tokens >= 0) return Promise.resolve();
    // Below zero is a debt: whoever comes later waits longer, so nobody is overtaken.
    const waitMs = (-this.#tokens / this.#perSecond) * 1000;
    return new Promise((resolve) => void this.#clock.after(waitMs, resolve));
  }
}
