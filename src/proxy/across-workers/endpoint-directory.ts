// Which part of the shared memory is whose endpoint: a hash table that the workers change themselves, because each
// resolves names on its own. It is touched when tables change and never by a request, so one lock is enough.
import { createHash } from "node:crypto";
import { EndpointCells, sharedFields, timeFields } from "./endpoint-cells.ts";
import { SharedLock } from "./shared-lock.ts";

/** Endpoints that can be shared, as slots of the table; those beyond have cells for themselves. */
export const endpointSlots = 32_768;
/** Slots in which an endpoint may be. All are looked at each time, so that nothing is left behind by a removal. */
const window = 64;

/** Before the slots: the lock. */
const lockIndex = 0;
/** Counts the changes of what endpoints are good for. */
const changesIndex = 1;
const headerFields = 2;
/** 64 bits of a digest stand for a key: two of 30 000 endpoints are equal once in 40 billion tables. */
const Slot = { Hash: 0, Hash2: 1, Shared: 2 } as const;

export interface DirectoryBuffers {
  readonly counts: SharedArrayBuffer;
  readonly times: SharedArrayBuffer;
}

/** The memory is only reserved until an endpoint is put into it. */
export function makeDirectoryBuffers(workers: number): DirectoryBuffers {
  const counts = headerFields + endpointSlots * slotFields(workers);
  return {
    counts: new SharedArrayBuffer(counts * Int32Array.BYTES_PER_ELEMENT),
    times: new SharedArrayBuffer(endpointSlots * timeFields * Float64Array.BYTES_PER_ELEMENT),
  };
}

/** Two for the key; the endpoint's own cells with the requests of each worker; who holds it, of each worker. */
function slotFields(workers: number): number {
  return Slot.Shared + sharedFields + 2 * workers;
}

export interface SharedEndpoint {
  readonly cells: EndpointCells;
  /** Once; the cells belong to others from then on. */
  readonly release: () => void;
}

export class EndpointDirectory {
  readonly #buffers: DirectoryBuffers;
  readonly #cells: Int32Array;
  readonly #changes: Int32Array;
  readonly #workers: number;
  readonly #worker: number;
  readonly #lock: SharedLock;

  constructor(buffers: DirectoryBuffers, workers: number, worker: number) {
    this.#buffers = buffers;
    this.#cells = new Int32Array(buffers.counts);
    this.#changes = this.#cells.subarray(changesIndex, changesIndex + 1);
    this.#workers = workers;
    this.#worker = worker;
    this.#lock = new SharedLock(this.#cells, lockIndex, worker);
  }

  /** Another number than before: some endpoint was ejected, came back, or failed or passed its check. */
  get changes(): number {
    return Atomics.load(this.#changes, 0);
  }

  /** The cells of an endpoint, with what other workers know of it already. */
  acquire(key: string, nowMs: number): SharedEndpoint {
    const digest = createHash("sha1").update(key).digest();
    // The lowest bit says that the slot is in use.
    const hash = digest.readInt32LE(0) | 1;
    const hash2 = digest.readInt32LE(4);
    const slot = this.#lock.run(() =>
      this.#claim(digest.readUInt32LE(8) % endpointSlots, hash, hash2, nowMs),
    );
    if (slot < 0) {
      const cells = EndpointCells.local(this.#changes);
      cells.sinceMs = nowMs;
      return { cells, release: () => undefined };
    }
    return { cells: this.#cellsOf(slot), release: () => this.#lock.run(() => this.#release(slot, 1)) };
  }

  /** After the death of a worker: what it held and the requests it had are gone, and so is its lock. */
  clear(worker: number): void {
    this.#lock.open(worker);
    this.#lock.run(() => {
      for (let slot = 0; slot < endpointSlots; slot += 1) {
        const base = this.#base(slot);
        if (this.#cells[base] === 0) continue;
        this.#cells[base + Slot.Shared + sharedFields + worker] = 0;
        const holders = base + Slot.Shared + sharedFields + this.#workers + worker;
        const held = this.#cells[holders] ?? 0;
        if (held > 0) this.#release(slot, held, worker);
      }
    });
  }

  /** Endpoints that somebody holds. */
  get size(): number {
    let size = 0;
    for (let slot = 0; slot < endpointSlots; slot += 1) if (this.#cells[this.#base(slot)] !== 0) size += 1;
    return size;
  }

  #claim(start: number, hash: number, hash2: number, nowMs: number): number {
    let free = -1;
    for (let i = 0; i < window; i += 1) {
      const slot = (start + i) % endpointSlots;
      const base = this.#base(slot);
      const taken = this.#cells[base];
      if (taken === hash && this.#cells[base + Slot.Hash2] === hash2) return this.#hold(slot);
      if (taken === 0 && free < 0) free = slot;
    }
    if (free < 0) return -1;
    const base = this.#base(free);
    this.#cells.fill(0, base, base + slotFields(this.#workers));
    this.#cells[base + Slot.Hash2] = hash2;
    this.#cells[base] = hash;
    new Float64Array(this.#buffers.times, free * timeFields * 8, timeFields).fill(0);
    this.#cellsOf(free).sinceMs = nowMs;
    return this.#hold(free);
  }

  #hold(slot: number): number {
    const index = this.#holders(slot, this.#worker);
    this.#cells[index] = (this.#cells[index] ?? 0) + 1;
    return slot;
  }

  #release(slot: number, times: number, worker = this.#worker): void {
    const index = this.#holders(slot, worker);
    this.#cells[index] = (this.#cells[index] ?? 0) - times;
    const first = this.#holders(slot, 0);
    for (let i = 0; i < this.#workers; i += 1) if (this.#cells[first + i] !== 0) return;
    this.#cells[this.#base(slot)] = 0;
  }

  #holders(slot: number, worker: number): number {
    return this.#base(slot) + Slot.Shared + sharedFields + this.#workers + worker;
  }

  #base(slot: number): number {
    return headerFields + slot * slotFields(this.#workers);
  }

  #cellsOf(slot: number): EndpointCells {
    const { counts, times } = this.#buffers;
    const start = (this.#base(slot) + Slot.Shared) * Int32Array.BYTES_PER_ELEMENT;
    return new EndpointCells(
      new Int32Array(counts, start, sharedFields + this.#workers),
      new Float64Array(times, slot * timeFields * Float64Array.BYTES_PER_ELEMENT, timeFields),
      this.#worker,
      this.#changes,
    );
  }
}
