// Whether a measured value is beyond its bound for long enough, with a lower bound and a longer time for the way back: a
// state that follows every sample would come and go with each burst.

export interface SustainedOptions {
  readonly enterAt: number;
  /** Two samples at least; 0: the first is enough. */
  readonly enterAfterMs: number;
  readonly leaveBelow: number;
  readonly leaveAfterMs: number;
}

export class Sustained {
  readonly #options: SustainedOptions;
  #isOn = false;
  /** Since when the samples speak for the other state; -1: they do not. */
  #sinceMs = -1;

  constructor(options: SustainedOptions) {
    this.#options = options;
  }

  /** Returns the state. */
  observe(value: number, nowMs: number): boolean {
    const { enterAt, enterAfterMs, leaveBelow, leaveAfterMs } = this.#options;
    const speaksAgainst = this.#isOn ? value < leaveBelow : value >= enterAt;
    if (!speaksAgainst) {
      this.#sinceMs = -1;
      return this.#isOn;
    }
    if (this.#sinceMs < 0) this.#sinceMs = nowMs;
    const afterMs = this.#isOn ? leaveAfterMs : enterAfterMs;
    if (nowMs - this.#sinceMs < afterMs) return this.#isOn;
    this.#isOn = !this.#isOn;
    this.#sinceMs = -1;
    return this.#isOn;
  }
}
