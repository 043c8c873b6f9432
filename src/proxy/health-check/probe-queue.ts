// Probes in flight are bounded over all endpoints; those that are due wait for their turn, first come first served. None
// waits twice, so there are never more waiting than endpoints.

export interface QueueGauge {
  active: number;
  waiting: number;
}

/** Runs when it is its turn; its place is free again when the promise settles. It never rejects. */
export type Job = () => Promise<void>;

export class ProbeQueue {
  readonly #activeMax: number;
  readonly #gauge: QueueGauge;
  readonly #waiting = new Set<Job>();

  constructor(activeMax: number, gauge: QueueGauge) {
    this.#activeMax = activeMax;
    this.#gauge = gauge;
  }

  add(job: Job): void {
    this.#waiting.add(job);
    this.#next();
  }

  /** One that is running goes on. */
  remove(job: Job): void {
    this.#waiting.delete(job);
    this.#gauge.waiting = this.#waiting.size;
  }

  #next(): void {
    for (const job of this.#waiting) {
      if (this.#gauge.active >= this.#activeMax) break;
      this.#waiting.delete(job);
      this.#gauge.active += 1;
      void job().finally(() => {
        this.#gauge.active -= 1;
        this.#next();
      });
    }
    this.#gauge.waiting = this.#waiting.size;
  }
}
