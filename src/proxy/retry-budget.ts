// Keeps retries from making an overload worse: when everything fails, everything would be sent several times.
// One for all exchanges of a proxy.
import type { ProxyLimits } from "./limits.ts";

type BudgetLimits = Pick<ProxyLimits, "retriesActiveShareMax" | "retriesActiveMin">;

export class RetryBudget {
  readonly #limits: BudgetLimits;
  #requests = 0;
  #retries = 0;

  constructor(limits: BudgetLimits) {
    this.#limits = limits;
  }

  /** Requests under way, from their head to the end of their response. */
  get requests(): number {
    return this.#requests;
  }

  /** Those of them that were sent again. */
  get retries(): number {
    return this.#retries;
  }

  begin(): void {
    this.#requests += 1;
  }

  /** `hasRetried`: the request had taken a place. */
  end(hasRetried: boolean): void {
    this.#requests -= 1;
    if (hasRetried) this.#retries -= 1;
  }

  /** Takes a place for a request until its end. False: there is none. */
  take(): boolean {
    const { retriesActiveShareMax, retriesActiveMin } = this.#limits;
    if (this.#retries >= Math.max(retriesActiveMin, Math.floor(this.#requests * retriesActiveShareMax))) {
      return false;
    }
    this.#retries += 1;
    return true;
  }
}
