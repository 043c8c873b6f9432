// `status.loadBalancer` of our Ingresses: the addresses under which clients reach us, for people and for external-dns.
// Only the leader writes, and only what differs. What is not known is not written: an empty list takes hosts out of DNS.
// A sweep compares all; writes that fail are tried again, each with a back-off of its own, so that an Ingress which
// nobody may change does not hold up the others; while the API server is away all wait together.
import type { Cancel, Clock } from "../../util/clock.ts";
import type { RequestLimit } from "../../kube-api/request-limit.ts";
import type { ObjectKey } from "../objects.ts";
import { backOffMs } from "../sources/kubernetes/back-off.ts";
import { addressesText, sortAddresses, type Addresses } from "./addresses.ts";
import type { ObservedIngress } from "./observed.ts";
import { judgeWrite, type WriteFailure } from "./write-failure.ts";

/** `observe`: differences are told, nothing is written. */
export type StatusMode = "own" | "observe" | "off";

export interface StatusOptions {
  readonly mode: StatusMode;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  /** Of writes, beside the limit of all requests. */
  readonly limit: RequestLimit;
  /** Where clients reach us; null: not known at present. Rejects when it cannot be found out. */
  readonly readAddresses: () => Promise<Addresses | null>;
  readonly refreshEveryMs: number;
  readonly ingresses: StatusIngresses;
  /** Asked right before each write. */
  readonly isLeader: () => boolean;
  readonly write: (key: ObjectKey, uid: string, addresses: Addresses) => Promise<unknown>;
  readonly listener: StatusListener;
}

export interface StatusIngresses {
  /** Of which the status is ours. */
  ours(): Iterable<ObjectKey>;
  find(key: ObjectKey): ObservedIngress | null;
  /** Takes the answer to a write. */
  observe(key: ObjectKey, value: unknown): void;
}

export interface StatusListener {
  written(): void;
  failed(key: ObjectKey, failure: WriteFailure): void;
  /** Null: they are not known; what was written stays. */
  addresses(text: string | null): void;
  /** They could not be found out. */
  addressesFailed(cause: unknown): void;
  /** Ingresses whose status is another than we would write, after a sweep in which their number has changed. */
  differences(count: number): void;
}

export interface StatusDifference {
  readonly ingress: ObjectKey;
  readonly found: string;
}

/** Events in a row are answered by one sweep. */
const sweepGapMs = 250;
const writesAtOnceMax = 8;
/** A write that was refused is tried again after a second at first, then less and less often. */
const refusedBackOffFactor = 5;
/** On shutdown: then the rest stays as it is. */
const removalMaxMs = 15_000;

export class StatusWriter {
  readonly #options: StatusOptions;
  #addresses: Addresses | null = null;
  #text: string | null = null;
  readonly #queue = new Set<ObjectKey>();
  readonly #writing = new Set<ObjectKey>();
  readonly #refused = new Map<ObjectKey, { readonly failures: number; readonly untilMs: number }>();
  #generalFailures = 0;
  #pausedUntilMs = -Infinity;
  #differences = 0;
  #cancelSweep: Cancel | null = null;
  #sweepAtMs = Infinity;
  #nextSweepMs = -Infinity;
  #cancelRefresh: Cancel | null = null;
  #isRefreshing = false;
  #isRefreshDue = false;
  #isStopped = false;
  #idle: (() => void) | null = null;

  constructor(options: StatusOptions) {
    this.#options = options;
  }

  /** Text of the addresses; null: not known. */
  get addresses(): string | null {
    return this.#text;
  }

  get differences(): number {
    return this.#differences;
  }

  start(): void {
    const { clock, mode, refreshEveryMs } = this.#options;
    if (mode === "off") return;
    this.#cancelRefresh = clock.every(refreshEveryMs, () => this.refresh());
    this.refresh();
  }

  /** The addresses may be others, or it is us now who writes. */
  refresh(): void {
    const { mode, isLeader } = this.#options;
    if (this.#isStopped || mode === "off" || (mode === "own" && !isLeader())) return;
    this.#isRefreshDue = true;
    // It catches everything itself.
    if (!this.#isRefreshing) void this.#refresh();
  }

  /** An Ingress is new, or its status has changed. */
  touch(): void {
    const { mode, clock } = this.#options;
    if (mode !== "off") this.#sweepAt(Math.max(clock.nowMs(), this.#nextSweepMs));
  }

  /** At most `max`, as they are now. */
  listDifferences(max: number): readonly StatusDifference[] {
    const found: StatusDifference[] = [];
    for (const [key, { status }] of this.#different()) {
      if (found.length === max) break;
      found.push({ ingress: key, found: status });
    }
    return found;
  }

  /** Nothing is written after it has resolved. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelSweep?.();
    this.#cancelRefresh?.();
    this.#queue.clear();
    if (this.#writing.size > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
  }

  /**
   * After `stop`: takes away what we have written, and nothing else. As in ingress-nginx not when there are several
   * addresses, since then others than us are among them. Resolves with the number of Ingresses.
   */
  async remove(): Promise<number> {
    const { clock, mode, limit, isLeader, ingresses, write, listener } = this.#options;
    if (mode !== "own" || this.#addresses?.length !== 1) return 0;
    const endMs = clock.nowMs() + removalMaxMs;
    const due = [...ingresses.ours()].filter((key) => ingresses.find(key)?.status === this.#text).values();
    let removed = 0;
    const removeNext = async (): Promise<void> => {
      for (const key of due) {
        await limit.take();
        if (!isLeader() || clock.nowMs() >= endMs) return;
        const uid = ingresses.find(key)?.uid ?? "";
        try {
          await write(key, uid, []);
          removed += 1;
          listener.written();
        } catch (cause) {
          listener.failed(key, judgeWrite(cause));
        }
      }
    };
    await Promise.all(Array.from({ length: writesAtOnceMax }, removeNext));
    return removed;
  }

  async #refresh(): Promise<void> {
    const { readAddresses, listener } = this.#options;
    this.#isRefreshing = true;
    while (this.#isRefreshDue && !this.#isStopped) {
      this.#isRefreshDue = false;
      try {
        this.#setAddresses(await readAddresses());
      } catch (cause) {
        listener.addressesFailed(cause);
      }
    }
    this.#isRefreshing = false;
    if (!this.#isStopped) this.touch();
  }

  #setAddresses(addresses: Addresses | null): void {
    const sorted = addresses === null ? null : sortAddresses(addresses);
    const text = sorted === null ? null : addressesText(sorted);
    if (text === this.#text) return;
    this.#addresses = sorted;
    this.#text = text;
    // A new list may be accepted where another was not.
    this.#refused.clear();
    this.#options.listener.addresses(text);
  }

  #sweepAt(atMs: number): void {
    if (this.#isStopped || atMs >= this.#sweepAtMs) return;
    const { clock } = this.#options;
    this.#cancelSweep?.();
    this.#sweepAtMs = atMs;
    this.#cancelSweep = clock.after(Math.max(0, atMs - clock.nowMs()), () => this.#sweep());
  }

  #sweep(): void {
    const { clock, mode, isLeader, ingresses, listener } = this.#options;
    this.#cancelSweep = null;
    this.#sweepAtMs = Infinity;
    this.#nextSweepMs = clock.nowMs() + sweepGapMs;
    let differences = 0;
    let nextTryMs = Infinity;
    const isWriting = mode === "own" && isLeader();
    // What another replica writes is not ours to count: it knows the addresses, and we only what they were.
    for (const [key] of isWriting || mode === "observe" ? this.#different() : []) {
      differences += 1;
      const refusedUntilMs = this.#refused.get(key)?.untilMs ?? -Infinity;
      if (refusedUntilMs > clock.nowMs()) nextTryMs = Math.min(nextTryMs, refusedUntilMs);
      else if (isWriting && !this.#writing.has(key)) this.#queue.add(key);
    }
    if (differences !== this.#differences) {
      this.#differences = differences;
      listener.differences(differences);
    }
    for (const key of this.#refused.keys()) if (ingresses.find(key) === null) this.#refused.delete(key);
    this.#pump();
    if (isWriting && nextTryMs < Infinity) this.#sweepAt(nextTryMs);
  }

  *#different(): Iterable<readonly [ObjectKey, ObservedIngress]> {
    if (this.#text === null) return;
    const { ingresses } = this.#options;
    for (const key of ingresses.ours()) {
      const found = ingresses.find(key);
      if (found !== null && found.status !== this.#text) yield [key, found];
    }
  }

  #pump(): void {
    const { clock } = this.#options;
    if (this.#queue.size > 0 && this.#pausedUntilMs > clock.nowMs()) {
      this.#queue.clear();
      this.#sweepAt(this.#pausedUntilMs);
      return;
    }
    for (const key of this.#queue) {
      if (this.#writing.size >= writesAtOnceMax) return;
      this.#queue.delete(key);
      this.#writing.add(key);
      // It catches everything itself.
      void this.#write(key);
    }
  }

  async #write(key: ObjectKey): Promise<void> {
    const { limit, ingresses, isLeader, write, listener } = this.#options;
    try {
      await limit.take();
      const found = ingresses.find(key);
      const addresses = this.#addresses;
      const isDue = addresses !== null && found !== null && found.status !== this.#text;
      if (this.#isStopped || !isDue || !isLeader()) return;
      const answer = await write(key, found.uid, addresses);
      // What was refused and is not any more: so may be the others.
      if (this.#refused.has(key)) this.#refused.clear();
      this.#generalFailures = 0;
      listener.written();
      ingresses.observe(key, answer);
    } catch (cause) {
      this.#onFailure(key, judgeWrite(cause));
    } finally {
      this.#writing.delete(key);
      if (this.#isStopped && this.#writing.size === 0) this.#idle?.();
      else if (!this.#isStopped) {
        this.#pump();
        if (this.#writing.size === 0) this.touch();
      }
    }
  }

  #onFailure(key: ObjectKey, failure: WriteFailure): void {
    const { clock, random, listener } = this.#options;
    const nowMs = clock.nowMs();
    listener.failed(key, failure);
    const failures = (this.#refused.get(key)?.failures ?? 0) + 1;
    const waitMs = Math.max(refusedBackOffFactor * backOffMs(failures, random), failure.retryAfterMs);
    this.#refused.set(key, { failures, untilMs: nowMs + waitMs });
    if (!failure.isGeneral) return;
    this.#generalFailures += 1;
    const pauseMs = Math.max(backOffMs(this.#generalFailures, random), failure.retryAfterMs);
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, nowMs + pauseMs);
  }
}
