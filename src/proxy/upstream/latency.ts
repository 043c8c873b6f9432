// How long an endpoint takes, as a number that forgets: a peak EWMA. A slow response counts at once and in full, a fast
// one pulls the value down by and by, and what is not used is forgotten, so that it gets another chance.

/** After this time without news a value has lost 63 % of its size. */
const decayMs = 10_000;

export class Latency {
  #valueMs = 0;
  #atMs = 0;
  #isKnown = false;

  /** False: nothing has been observed, and nobody has said what to start with. */
  get isKnown(): boolean {
    return this.#isKnown;
  }

  valueMs(nowMs: number): number {
    return this.#valueMs * Math.exp(-Math.max(0, nowMs - this.#atMs) / decayMs);
  }

  observe(ms: number, nowMs: number): void {
    const kept = Math.exp(-Math.max(0, nowMs - this.#atMs) / decayMs);
    const isFirst = !this.#isKnown;
    this.#valueMs = isFirst || ms > this.#valueMs ? ms : this.#valueMs * kept + ms * (1 - kept);
    this.#atMs = nowMs;
    this.#isKnown = true;
  }

  /** For a new endpoint, which would look faster than all others. */
  startAt(ms: number, nowMs: number): void {
    this.#valueMs = ms;
    this.#atMs = nowMs;
    this.#isKnown = true;
  }
}
