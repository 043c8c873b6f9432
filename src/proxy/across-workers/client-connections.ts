// Connections of each client address, of all workers together: a hash table in shared memory that the workers change
// themselves. An IPv6 client is its /64, since whoever has one address has all of them.
//
// A client is in the table only while it has connections, so twice as many slots as there can be connections always have
// room. Should there be none nevertheless, the connection is refused: a limit that lets through what it cannot count is
// none.
import { parseAddress } from "../../util/addresses.ts";
import { SharedLock } from "./shared-lock.ts";

/** Slots in which a client may be. All are looked at each time, so that a removal leaves nothing behind. */
const window = 64;
const lockIndex = 0;
/** Keeps clients from choosing addresses that meet in one window. */
const seedIndex = 1;
const headerFields = 2;
const Slot = { Used: 0, High: 1, Low: 2, Counts: 3 } as const;

/** 64 bits for each client: the prefix of an IPv6 address, or an IPv4 one where multicast prefixes would be. */
export interface ClientKey {
  readonly high: number;
  readonly low: number;
}

const noClient: ClientKey = { high: -1, low: -1 };

export function clientKey(address: string): ClientKey {
  const bytes = parseAddress(address.replace(/%.*$/, ""));
  if (bytes === null) return noClient;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (bytes.length === 4) return { high: -2, low: view.getInt32(0) };
  const isMapped = view.getInt32(0) === 0 && view.getInt32(4) === 0 && view.getInt32(8) === 0xffff;
  return isMapped ? { high: -2, low: view.getInt32(12) } : { high: view.getInt32(0), low: view.getInt32(4) };
}

/** `workers` counts everyone who has a number. 0 slots: nothing is counted. */
export function makeClientBuffer(workers: number, slots: number, seed: number): SharedArrayBuffer {
  const fields = slots === 0 ? 0 : headerFields + slots * (Slot.Counts + workers);
  const buffer = new SharedArrayBuffer(fields * Int32Array.BYTES_PER_ELEMENT);
  if (slots > 0) new Int32Array(buffer)[seedIndex] = seed;
  return buffer;
}

export class ClientConnections {
  readonly #cells: Int32Array;
  readonly #workers: number;
  readonly #worker: number;
  readonly #slots: number;
  readonly #lock: SharedLock;

  constructor(buffer: SharedArrayBuffer, workers: number, worker: number) {
    this.#cells = new Int32Array(buffer);
    this.#workers = workers;
    this.#worker = worker;
    this.#slots = Math.max(0, Math.floor((this.#cells.length - headerFields) / (Slot.Counts + workers)));
    this.#lock = new SharedLock(this.#cells, lockIndex, worker);
  }

  /** Counts one more connection of the client, unless it has `max` already or there is no room. */
  tryOpen(client: ClientKey, max: number): boolean {
    return this.#lock.run(() => {
      const base = this.#claim(client);
      if (base < 0) return false;
      if (this.#total(base) >= max) return false;
      this.#cells[base] = 1;
      this.#add(base, 1);
      return true;
    });
  }

  close(client: ClientKey): void {
    this.#lock.run(() => {
      const base = this.#claim(client);
      if (base < 0 || this.#cells[base] === 0) return;
      this.#add(base, -1);
      if (this.#total(base) === 0) this.#cells[base] = 0;
    });
  }

  /** After the death of a worker. */
  clear(worker: number): void {
    if (this.#slots === 0) return;
    this.#lock.open(worker);
    this.#lock.run(() => {
      for (let slot = 0; slot < this.#slots; slot += 1) {
        const base = this.#base(slot);
        if (this.#cells[base] === 0) continue;
        this.#cells[base + Slot.Counts + worker] = 0;
        if (this.#total(base) === 0) this.#cells[base] = 0;
      }
    });
  }

  /** Clients that have connections. */
  get size(): number {
    let size = 0;
    for (let slot = 0; slot < this.#slots; slot += 1) size += this.#cells[this.#base(slot)] ?? 0;
    return size;
  }

  /** Where the client is, or could be: made ready, but not in use yet. -1: there is no room. */
  #claim({ high, low }: ClientKey): number {
    const start = this.#hash(high, low);
    let free = -1;
    for (let i = 0; i < Math.min(window, this.#slots); i += 1) {
      const base = this.#base((start + i) % this.#slots);
      if (this.#cells[base] === 0) {
        if (free < 0) free = base;
      } else if (this.#cells[base + Slot.High] === high && this.#cells[base + Slot.Low] === low) {
        return base;
      }
    }
    if (free < 0) return -1;
    this.#cells.fill(0, free, free + Slot.Counts + this.#workers);
    this.#cells[free + Slot.High] = high;
    this.#cells[free + Slot.Low] = low;
    return free;
  }

  #base(slot: number): number {
    return headerFields + slot * (Slot.Counts + this.#workers);
  }

  #total(base: number): number {
    let total = 0;
    for (let i = 0; i < this.#workers; i += 1) total += this.#cells[base + Slot.Counts + i] ?? 0;
    return total;
  }

  #add(base: number, difference: number): void {
    const index = base + Slot.Counts + this.#worker;
    this.#cells[index] = (this.#cells[index] ?? 0) + difference;
  }

  /** The finalizer of MurmurHash3, over both halves and the seed. */
  #hash(high: number, low: number): number {
    let hash = Math.imul(high ^ (this.#cells[seedIndex] ?? 0), 0x9e3779b1) ^ low;
    hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
    return ((hash ^ (hash >>> 16)) >>> 0) % this.#slots;
  }
}
