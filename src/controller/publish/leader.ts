// Which of several replicas writes to the cluster: the one that holds a Lease (coordination.k8s.io/v1). Losing it never
// stops traffic; only writes depend on it.
//
// No clock of another machine is trusted. A candidate takes a lease over when it has itself seen it unchanged for its
// whole duration. A leader stops being one `renewWithin` of the duration after it last SENT a renewal that succeeded, and
// that is judged whenever somebody asks, so that a process that was stopped does not go on where it left off.
import type { Cancel, Clock } from "../../util/clock.ts";

export interface LeaseRecord {
  /** Empty: released. */
  readonly holder: string;
  readonly durationMs: number;
  readonly transitions: number;
  /** ISO 8601, as the holder wrote it; empty: unknown. For people, and to see that a record has changed. */
  readonly acquiredAt: string;
  readonly renewedAt: string;
}

export interface VersionedLease extends LeaseRecord {
  /** Opaque; changes with every write. */
  readonly version: string;
}

/** The one object that candidates share. Every call rejects after `timeoutMs` at the latest. */
export interface LeaseApi {
  /** Null: there is none. */
  read(timeoutMs: number): Promise<VersionedLease | null>;
  /** Null: somebody was faster. */
  create(record: LeaseRecord, timeoutMs: number): Promise<VersionedLease | null>;
  /** Null: the lease is not of `version` any more. */
  update(record: LeaseRecord, version: string, timeoutMs: number): Promise<VersionedLease | null>;
}

export interface LeaderOptions {
  readonly api: LeaseApi;
  /** Of this replica; no two have the same. */
  readonly identity: string;
  /** How long a lease lives without renewal: `--election-ttl`. */
  readonly ttlMs: number;
  readonly clock: Clock;
  /** Time of day, for the record. */
  readonly now: () => Date;
  /** 0 up to 1. */
  readonly random: () => number;
  /** `holder`: who leads now; empty: nobody that we know of. */
  readonly onChange: (isLeader: boolean, holder: string) => void;
  /** The API could not be asked, or answered with an error. The election goes on. */
  readonly onError: (cause: unknown) => void;
}

/** Of the duration: within it a leader must have renewed. The proportions are those of ingress-nginx. */
const renewWithin = 1 / 2;
/** Of the duration: how often a leader renews, and a candidate looks. */
const tryEvery = 1 / 4;
/** Of the time between tries: candidates that started together do not stay together. */
const jitter = 0.2;

export class LeaderElection {
  readonly #options: LeaderOptions;
  /** As last read or written. */
  #seen: VersionedLease | null = null;
  /** When `#seen` came with another version than before, on our clock. */
  #seenAtMs = 0;
  /** Until then we lead; in the past: we do not. */
  #leadsUntilMs = -Infinity;
  #told: { isLeader: boolean; holder: string } = { isLeader: false, holder: "" };
  #cancelTry: Cancel | null = null;
  #cancelEnd: Cancel | null = null;
  #running: Promise<void> = Promise.resolve();
  #isStopped = false;

  constructor(options: LeaderOptions) {
    this.#options = options;
  }

  /** To be asked right before each write. */
  get isLeader(): boolean {
    return this.#options.clock.nowMs() < this.#leadsUntilMs;
  }

  /** Who leads, as far as we know; empty: nobody. */
  get holder(): string {
    return this.#seen?.holder ?? "";
  }

  start(): void {
    this.#run();
  }

  /** Ends the election; a lease that is ours is given back, so that another replica need not wait for its end. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelTry?.();
    await this.#running;
    if (this.isLeader && this.#seen !== null) {
      const released: LeaseRecord = { ...this.#record(this.#seen), holder: "", durationMs: 1_000 };
      try {
        await this.#options.api.update(released, this.#seen.version, this.#timeoutMs);
      } catch (cause) {
        this.#options.onError(cause);
      }
    }
    this.#setLeading(-Infinity);
  }

  get #timeoutMs(): number {
    return this.#options.ttlMs * tryEvery;
  }

  #run(): void {
    this.#cancelTry = null;
    this.#running = this.#try().then(() => {
      if (this.#isStopped) return;
      const { clock, random, ttlMs } = this.#options;
      const delayMs = ttlMs * tryEvery * (1 - jitter * random());
      const freeInMs = this.#freeInMs();
      this.#cancelTry = clock.after(freeInMs > 0 ? Math.min(delayMs, freeInMs) : delayMs, () => this.#run());
    });
  }

  /** Until the lease of another may be taken over, so that nobody looks just before and then once more; else 0. */
  #freeInMs(): number {
    if (this.isLeader || this.#seen === null) return 0;
    return this.#seenAtMs + this.#seen.durationMs - this.#options.clock.nowMs();
  }

  /** Never rejects. */
  async #try(): Promise<void> {
    try {
      if (this.isLeader && this.#seen !== null && (await this.#write(this.#seen))) return;
      await this.#readAndTake();
    } catch (cause) {
      // A leader stays one until its time is over: the next tries may succeed.
      this.#options.onError(cause);
    }
    this.#tell();
  }

  async #readAndTake(): Promise<void> {
    const { api, clock, identity } = this.#options;
    const lease = await api.read(this.#timeoutMs);
    if (lease === null) {
      await this.#create();
      return;
    }
    this.#see(lease);
    // Ours from before a restart, released, or not renewed for as long as it lives.
    const isFree =
      lease.holder === identity || lease.holder === "" || clock.nowMs() - this.#seenAtMs >= lease.durationMs;
    if (isFree) await this.#write(lease);
    else this.#setLeading(-Infinity);
  }

  async #create(): Promise<void> {
    const { api, clock } = this.#options;
    const sentAtMs = clock.nowMs();
    const lease = await api.create(this.#record(null), this.#timeoutMs);
    if (lease !== null) this.#won(lease, sentAtMs);
  }

  /** False: another replica has written meanwhile. */
  async #write(before: VersionedLease): Promise<boolean> {
    const { api, clock } = this.#options;
    const sentAtMs = clock.nowMs();
    const lease = await api.update(this.#record(before), before.version, this.#timeoutMs);
    if (lease === null) return false;
    this.#won(lease, sentAtMs);
    return true;
  }

  #won(lease: VersionedLease, sentAtMs: number): void {
    this.#see(lease);
    if (!this.#isStopped) this.#setLeading(sentAtMs + this.#options.ttlMs * renewWithin);
  }

  #see(lease: VersionedLease): void {
    if (this.#seen?.version !== lease.version) this.#seenAtMs = this.#options.clock.nowMs();
    this.#seen = lease;
  }

  #record(before: LeaseRecord | null): LeaseRecord {
    const { identity, ttlMs, now } = this.#options;
    const renewedAt = now().toISOString();
    const isOurs = before?.holder === identity;
    return {
      holder: identity,
      durationMs: ttlMs,
      transitions: before === null ? 0 : before.transitions + (isOurs ? 0 : 1),
      acquiredAt: isOurs && before.acquiredAt !== "" ? before.acquiredAt : renewedAt,
      renewedAt,
    };
  }

  #setLeading(untilMs: number): void {
    const { clock } = this.#options;
    this.#leadsUntilMs = untilMs;
    this.#cancelEnd?.();
    this.#cancelEnd =
      untilMs > clock.nowMs() ? clock.after(untilMs - clock.nowMs(), () => this.#tell()) : null;
    this.#tell();
  }

  #tell(): void {
    const { isLeader, holder } = this;
    if (isLeader === this.#told.isLeader && holder === this.#told.holder) return;
    this.#told = { isLeader, holder };
    this.#options.onChange(isLeader, holder);
  }
}
