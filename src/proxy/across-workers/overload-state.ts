// Which worker is overloaded, and whether the process is short of memory: written by whoever measures it, read with every
// new connection.

/** What is beyond its bound. The words are those of logs and metrics. */
export const overloadReasons = ["event_loop", "heap", "memory"] as const;
export type OverloadReason = (typeof overloadReasons)[number];

export class OverloadState {
  readonly #cells: Int32Array;
  readonly #worker: number;

  /** `buffer` has four bytes for each worker, and four for the thread that owns them, which has the last number. */
  constructor(buffer: SharedArrayBuffer, worker: number) {
    this.#cells = new Int32Array(buffer);
    this.#worker = worker;
  }

  set(reason: OverloadReason, isOverloaded: boolean): void {
    const bit = bitOf(reason);
    if (isOverloaded) Atomics.or(this.#cells, this.#worker, bit);
    else Atomics.and(this.#cells, this.#worker, ~bit);
  }

  /** Why this worker takes no new connections; null: it does. */
  get reason(): OverloadReason | null {
    const bits = Atomics.load(this.#cells, this.#worker) | Atomics.load(this.#cells, this.#cells.length - 1);
    if (bits === 0) return null;
    return overloadReasons.find((reason) => (bits & bitOf(reason)) !== 0) ?? null;
  }

  /** Of a worker, or of the owner. */
  has(worker: number, reason: OverloadReason): boolean {
    return (Atomics.load(this.#cells, worker) & bitOf(reason)) !== 0;
  }

  /** After the death of a worker. */
  clear(worker: number): void {
    Atomics.store(this.#cells, worker, 0);
  }
}

function bitOf(reason: OverloadReason): number {
  return 1 << overloadReasons.indexOf(reason);
}
