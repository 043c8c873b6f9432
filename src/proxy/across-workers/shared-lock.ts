// One lock in shared memory, for tables that all workers change. Held for microseconds, and never by a request.

const lockWaitMs = 1;

export class SharedLock {
  readonly #cells: Int32Array;
  readonly #index: number;
  readonly #mine: number;

  /** `cells[index]` says who holds it, as 1 + worker; 0: nobody. */
  constructor(cells: Int32Array, index: number, worker: number) {
    this.#cells = cells;
    this.#index = index;
    this.#mine = worker + 1;
  }

  run<T>(work: () => T): T {
    for (;;) {
      const holder = Atomics.compareExchange(this.#cells, this.#index, 0, this.#mine);
      if (holder === 0) break;
      Atomics.wait(this.#cells, this.#index, holder, lockWaitMs);
    }
    try {
      return work();
    } finally {
      Atomics.store(this.#cells, this.#index, 0);
      Atomics.notify(this.#cells, this.#index);
    }
  }

  /** After the death of a worker, which may have been inside. */
  open(worker: number): void {
    Atomics.compareExchange(this.#cells, this.#index, worker + 1, 0);
  }
}
