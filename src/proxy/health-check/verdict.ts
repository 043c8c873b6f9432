// What probes of one endpoint add up to. The first pass is a verdict; the first failures are none until they are enough,
// so a new endpoint is used until then: checks that are slow or broken must not empty an upstream at start.
import type { HealthCheckSettings } from "../filter.ts";

/** `unknown`: no verdict yet; the endpoint is used. */
export type CheckState = "unknown" | "passing" | "failing";

export class Verdict {
  state: CheckState = "unknown";
  /** Outcomes in a row that are like the last one. */
  inARow = 0;
  readonly #settings: Pick<HealthCheckSettings, "healthyThreshold" | "unhealthyThreshold">;
  #isLastPassed = true;

  constructor(settings: Pick<HealthCheckSettings, "healthyThreshold" | "unhealthyThreshold">) {
    this.#settings = settings;
  }

  /** Returns whether the state is another one now. */
  add(isPassed: boolean): boolean {
    this.inARow = isPassed === this.#isLastPassed ? this.inARow + 1 : 1;
    this.#isLastPassed = isPassed;
    const before = this.state;
    const { healthyThreshold, unhealthyThreshold } = this.#settings;
    if (!isPassed && this.inARow >= unhealthyThreshold) this.state = "failing";
    if (isPassed && (before === "unknown" || this.inARow >= healthyThreshold)) this.state = "passing";
    return this.state !== before;
  }
}
