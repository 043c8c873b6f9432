// Which endpoints of one upstream are in rotation. Each endpoint knows by itself whether it is ejected or has failed its
// check (health.ts); here it is decided what that means for an upstream as a whole, so that no rule for the single one
// takes all of them away. The rules, with examples: docs/ejections.md.
import type { Clock } from "../../util/clock.ts";
import type { UpstreamSettings } from "../filter.ts";

/** What the rules need to know of an endpoint. */
export interface JudgedEndpoint {
  readonly key: string;
  readonly failedCheck: boolean;
  /** Also while its trial is due or under way. */
  readonly isEjected: boolean;
  readonly ejectedAtMs: number;
}

export interface RotatedEndpoint extends JudgedEndpoint {
  /** May be given a request by its own state: healthy, or due for a trial. */
  readonly isUsable: boolean;
  /** Of an ejected one. */
  readonly trialAtMs: number;
}

export type RotationSettings = Pick<UpstreamSettings, "ejectedPercentMax" | "panicPercent">;

export interface RotationCounts<E> {
  readonly total: number;
  readonly failedCheck: number;
  /** Ejections that have an effect. */
  readonly ejected: number;
  /** Ejected, but used nevertheless, because too many others are out. */
  readonly spared: readonly E[];
  readonly isPanicking: boolean;
}

/** How many of `total` may be out before further ejections have no effect. */
export function ejectedMax(total: number, percent: number): number {
  // A single endpoint is the only choice whatever is known of it.
  if (total < 2 || percent === 0) return 0;
  return Math.max(1, Math.floor((total * percent) / 100));
}

/** Those that have been ejected for longest stay out. Workers come to the same result, since they share what it is made of. */
export function judge<E extends JudgedEndpoint>(
  endpoints: readonly E[],
  settings: RotationSettings,
): RotationCounts<E> {
  const total = endpoints.length;
  let failedCheck = 0;
  const ejected: E[] = [];
  for (const endpoint of endpoints) {
    if (endpoint.failedCheck) failedCheck += 1;
    else if (endpoint.isEjected) ejected.push(endpoint);
  }
  const heeded = Math.min(
    ejected.length,
    Math.max(0, ejectedMax(total, settings.ejectedPercentMax) - failedCheck),
  );
  const spared = heeded === ejected.length ? [] : ejected.sort(byEjection).slice(heeded);
  const usable = total - failedCheck - heeded;
  const isPanicking = total > 0 && (usable * 100) / total < settings.panicPercent;
  return { total, failedCheck, ejected: heeded, spared, isPanicking };
}

function byEjection(a: JudgedEndpoint, b: JudgedEndpoint): number {
  return a.ejectedAtMs - b.ejectedAtMs || (a.key < b.key ? -1 : 1);
}

const none: readonly never[] = [];

/** Upstreams with more endpoints than this are counted at most once in so many milliseconds as they have hundreds. */
const countedAtOnceMax = 100;

export class Rotation<E extends RotatedEndpoint> {
  readonly #source: { readonly changes: number };
  readonly #settings: RotationSettings;
  readonly #clock: Clock;
  #endpoints: readonly E[] = none;
  /** Of the source, when the rest was found out. */
  #changes = -1;
  /** Not before this time again. */
  #recountAtMs = -Infinity;
  /** Every endpoint is in rotation, for one reason or the other. */
  #isWhole = true;
  #hasUsable = true;
  #isPanicking = false;
  #spared: ReadonlySet<E> = new Set();
  #out: ReadonlySet<E> = new Set();

  constructor(source: { readonly changes: number }, settings: RotationSettings, clock: Clock) {
    this.#source = source;
    this.#settings = settings;
    this.#clock = clock;
  }

  update(endpoints: readonly E[]): void {
    this.#endpoints = endpoints;
    this.#changes = -1;
    this.#recountAtMs = -Infinity;
  }

  /**
   * Before a pick. Returns those that have come back. Endpoints are looked at only when one of any upstream has changed:
   * as long as nothing happens it costs one comparison, however many there are.
   */
  refresh(): readonly E[] {
    const { changes } = this.#source;
    if (changes === this.#changes) return none;
    const { length } = this.#endpoints;
    if (length > countedAtOnceMax) {
      // 10,000 take a millisecond or more, and when a zone fails thousands change within a second. Until they are counted
      // again each one goes by its own state; only share and panic wait.
      const nowMs = this.#clock.nowMs();
      if (nowMs < this.#recountAtMs) {
        this.#isWhole = this.#isPanicking;
        return none;
      }
      this.#recountAtMs = nowMs + length / 100;
    }
    return this.#recount(changes);
  }

  /** As of the last `refresh`: too few are usable, so all are tried. */
  get isPanicking(): boolean {
    return this.#isPanicking;
  }

  /** May be given a request while others could take it. */
  includes(endpoint: E): boolean {
    return this.#isWhole || endpoint.isUsable || (this.#spared.size > 0 && this.#spared.has(endpoint));
  }

  /**
   * When nothing is in rotation: the one whose trial is due first, of those not tried that did not fail their check. No
   * waiting for a time out when there is nobody else. Null: there is none, or there are others.
   */
  earliest(tried: readonly E[]): E | null {
    if (this.#hasUsable) return null;
    let earliest: E | null = null;
    for (const endpoint of this.#endpoints) {
      if (endpoint.failedCheck || endpoint.trialAtMs === Infinity || tried.includes(endpoint)) continue;
      if (earliest === null || endpoint.trialAtMs < earliest.trialAtMs) earliest = endpoint;
    }
    return earliest;
  }

  #recount(changes: number): readonly E[] {
    // Read before the endpoints: what changes meanwhile is seen next time.
    this.#changes = changes;
    const before = this.#out;
    const out = new Set<E>();
    for (const endpoint of this.#endpoints) if (endpoint.failedCheck || endpoint.isEjected) out.add(endpoint);
    this.#out = out;
    if (out.size === 0) {
      this.#isWhole = true;
      this.#hasUsable = true;
      this.#isPanicking = false;
      this.#spared = out;
    } else {
      const { total, failedCheck, ejected, spared, isPanicking } = judge(this.#endpoints, this.#settings);
      this.#isWhole = isPanicking;
      this.#isPanicking = isPanicking;
      this.#hasUsable = isPanicking || failedCheck + ejected < total;
      this.#spared = new Set(spared);
    }
    if (before.size === 0) return none;
    return this.#endpoints.filter((endpoint) => before.has(endpoint) && !out.has(endpoint));
  }
}
