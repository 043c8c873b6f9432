// What connections hold of bytes that wait: for a client or an endpoint that does not take them, for their turn in a
// pipeline, for the rest of a head. Each connection is bounded by itself; here is what all of a proxy may hold together.
//
// Beyond it the connection ends that has made no progress for the longest: a client that reads nothing goes before one
// that reads slowly. Nothing is counted for a connection whose bytes leave at once, so those that are fast cost nothing.
import type { ProxyMetrics } from "../metrics/proxy-metrics.ts";
import type { Cancel, Clock } from "../util/clock.ts";

/** How late it may be noticed that bytes have left. That bytes have come is noticed at once. */
const refreshMs = 100;
/** New connections are refused before those that exist have to end. */
const nearlyFullShare = 0.9;

export interface BufferOwner {
  /** All connections together hold too much, and this one has held its bytes for the longest: it ends. */
  onBuffersFull(): void;
}

export class BufferedBytes {
  readonly #maxBytes: number;
  readonly #metrics: Pick<ProxyMetrics, "bufferedBytes">;
  readonly #onBug: (error: unknown) => void;
  readonly #cancel: Cancel;
  /** Those that hold something; whose last progress is longest ago comes first. */
  readonly #holders = new Set<HeldBytes>();
  #bytes = 0;
  #isRelieving = false;

  constructor(
    maxBytes: number,
    services: {
      readonly clock: Clock;
      readonly metrics: Pick<ProxyMetrics, "bufferedBytes">;
      readonly onBug: (error: unknown) => void;
    },
  ) {
    this.#maxBytes = maxBytes;
    this.#metrics = services.metrics;
    this.#onBug = services.onBug;
    this.#cancel = services.clock.every(refreshMs, () => this.#refresh());
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isNearlyFull(): boolean {
    return this.#bytes > this.#maxBytes * nearlyFullShare;
  }

  close(): void {
    this.#cancel();
  }

  /** From `HeldBytes`. */
  change(holder: HeldBytes, from: number, to: number): void {
    this.#bytes += to - from;
    this.#metrics.bufferedBytes += to - from;
    if (to < from) this.#holders.delete(holder);
    if (to > 0) this.#holders.add(holder);
    if (this.#bytes <= this.#maxBytes || this.#isRelieving) return;
    this.#isRelieving = true;
    // Not inside the connection that is just at work; before the next one is.
    queueMicrotask(() => this.#relieve());
  }

  #refresh(): void {
    for (const holder of this.#holders) holder.refresh();
  }

  #relieve(): void {
    for (const holder of this.#holders) {
      holder.refresh();
      if (this.#bytes <= this.#maxBytes) break;
      try {
        holder.owner.onBuffersFull();
      } catch (error) {
        this.#onBug(error);
      }
    }
    this.#isRelieving = false;
  }
}

/** Of one direction of one connection. */
export class HeldBytes {
  readonly owner: BufferOwner;
  readonly #all: BufferedBytes;
  readonly #measure: () => number;
  #bytes = 0;

  constructor(all: BufferedBytes, owner: BufferOwner, measure: () => number) {
    this.#all = all;
    this.owner = owner;
    this.#measure = measure;
  }

  update(bytes: number): void {
    const before = this.#bytes;
    if (bytes === before) return;
    this.#bytes = bytes;
    this.#all.change(this, before, bytes);
  }

  refresh(): void {
    this.update(this.#measure());
  }
}
