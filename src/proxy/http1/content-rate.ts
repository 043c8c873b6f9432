// How fast request content comes: a client that sends a byte now and then would hold a connection and an endpoint for
// as long as it likes.
import type { ProxyLimits } from "../limits.ts";

export class ContentRate {
  readonly #limits: ProxyLimits;
  #bytes = 0;
  #sinceMs = 0;

  constructor(limits: ProxyLimits) {
    this.#limits = limits;
  }

  begin(nowMs: number): void {
    this.#bytes = 0;
    this.#sinceMs = nowMs;
  }

  /** Bytes have come. True: they come too slowly, judged once per window of `contentTimeoutMs`. */
  isTooSlow(bytes: number, nowMs: number): boolean {
    const { contentTimeoutMs, contentMinBytesPerSecond } = this.#limits;
    this.#bytes += bytes;
    const elapsedMs = nowMs - this.#sinceMs;
    if (elapsedMs < contentTimeoutMs) return false;
    const isTooSlow = this.#bytes * 1000 < contentMinBytesPerSecond * elapsedMs;
    this.begin(nowMs);
    return isTooSlow;
  }
}
