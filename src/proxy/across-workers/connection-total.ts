// Client connections of all workers. Each worker counts in a cell of its own and the total is their sum, so that what a
// dead worker held is forgotten by clearing one cell.

export class ConnectionTotal {
  readonly #cells: Int32Array;
  readonly #worker: number;

  /** `buffer` has four bytes for each worker. */
  constructor(buffer: SharedArrayBuffer, worker: number) {
    this.#cells = new Int32Array(buffer);
    this.#worker = worker;
  }

  /** Counts one more connection unless that would exceed `max`. Under a race a worker may refuse, never exceed. */
  tryOpen(max: number): boolean {
    Atomics.add(this.#cells, this.#worker, 1);
    if (this.total <= max) return true;
    Atomics.sub(this.#cells, this.#worker, 1);
    return false;
  }

  close(): void {
    Atomics.sub(this.#cells, this.#worker, 1);
  }

  get total(): number {
    let total = 0;
    for (let worker = 0; worker < this.#cells.length; worker += 1) total += Atomics.load(this.#cells, worker);
    return total;
  }

  /** Of this worker. */
  get own(): number {
    return this.of(this.#worker);
  }

  of(worker: number): number {
    return Atomics.load(this.#cells, worker);
  }

  /** After the death of a worker. */
  clear(worker: number): void {
    Atomics.store(this.#cells, worker, 0);
  }
}
