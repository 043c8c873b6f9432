// The endpoints of one upstream as most policies hold them: with weights, with a slow start for new ones, and with a
// fair draw among those that may be picked.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { RequestView } from "../../filter.ts";
import type { BalancedEndpoint, Balancer, BalancerServices } from "./balancer.ts";

/** The share that a new endpoint begins with. */
const shareMin = 0.1;
/** Draws that may hit an endpoint that is out of the question, before all endpoints are looked at. */
const drawsMax = 8;

const none: readonly never[] = [];

export interface Peer<E> {
  readonly endpoint: E;
  readonly weight: number;
  /** When it came. -Infinity: it was there from the beginning. */
  readonly sinceMs: number;
}

/** How much of its weight counts: it grows over `slowStartMs`. */
export function warmth(sinceMs: number, slowStartMs: number, nowMs: number): number {
  return slowStartMs === 0 ? 1 : Math.min(1, Math.max(shareMin, (nowMs - sinceMs) / slowStartMs));
}

export function isEligible<E extends BalancedEndpoint>(
  endpoint: E,
  tried: readonly E[],
  mustBeUsable: boolean,
): boolean {
  if (tried.length > 0 && tried.includes(endpoint)) return false;
  return !mustBeUsable || endpoint.isUsable;
}

export class Peers<E extends BalancedEndpoint> {
  list: readonly Peer<E>[] = [];
  readonly #services: BalancerServices<E>;
  readonly #slowStartMs: number;
  #weightMax = 0;
  #hasWeights = false;
  /** When the last slow start is over; 0: none is under way. */
  #warmAtMs = 0;

  constructor(services: BalancerServices<E>, slowStartMs = 0) {
    this.#services = services;
    this.#slowStartMs = slowStartMs;
  }

  update(endpoints: readonly EndpointIr[]): void {
    const { source, clock } = this.#services;
    const old = this.list;
    const known = new Map(old.map((peer) => [peer.endpoint, peer]));
    const nowMs = clock.nowMs();
    // New ones are acquired before old ones are released: what is shared by both must not end in between.
    this.list = endpoints.map((each): Peer<E> => {
      const endpoint = source.acquire(each);
      const sinceMs = known.get(endpoint)?.sinceMs ?? (old.length === 0 ? -Infinity : nowMs);
      return { endpoint, weight: each.weight, sinceMs };
    });
    this.#weightMax = Math.max(0, ...this.list.map(({ weight }) => weight));
    this.#hasWeights = this.list.some(({ weight }) => weight !== this.#weightMax);
    const newest = Math.max(-Infinity, ...this.list.map(({ sinceMs }) => sinceMs));
    this.#warmAtMs = newest + this.#slowStartMs > nowMs ? newest + this.#slowStartMs : 0;
    for (const { endpoint } of old) source.release(endpoint);
  }

  /** One that may be picked and is not `except`, by weight; null: there is none. */
  draw(tried: readonly E[], mustBeUsable: boolean, except: E | null): E | null {
    const { list } = this;
    const { random } = this.#services;
    const nowMs = this.#timeOfSlowStart();
    const isUneven = this.#hasWeights || nowMs >= 0;
    for (let i = 0; i < drawsMax && list.length > 0; i += 1) {
      const peer = list[Math.floor(random() * list.length)];
      if (peer === undefined || peer.endpoint === except) continue;
      if (!isEligible(peer.endpoint, tried, mustBeUsable)) continue;
      if (isUneven && random() * this.#weightMax >= this.#shareOf(peer, nowMs)) continue;
      return peer.endpoint;
    }
    return this.#drawOfAll(tried, mustBeUsable, except, nowMs);
  }

  #drawOfAll(tried: readonly E[], mustBeUsable: boolean, except: E | null, nowMs: number): E | null {
    const { list } = this;
    let total = 0;
    for (let i = 0; i < list.length; i += 1) {
      const peer = list[i];
      if (peer === undefined || peer.endpoint === except) continue;
      if (isEligible(peer.endpoint, tried, mustBeUsable)) total += this.#shareOf(peer, nowMs);
    }
    let left = this.#services.random() * total;
    let last: E | null = null;
    for (let i = 0; i < list.length && left >= 0; i += 1) {
      const peer = list[i];
      if (peer === undefined || peer.endpoint === except) continue;
      if (!isEligible(peer.endpoint, tried, mustBeUsable)) continue;
      last = peer.endpoint;
      left -= this.#shareOf(peer, nowMs);
    }
    return last;
  }

  #shareOf({ weight, sinceMs }: Peer<E>, nowMs: number): number {
    return nowMs < 0 ? weight : weight * warmth(sinceMs, this.#slowStartMs, nowMs);
  }

  /** -1: every endpoint is warm. The clock is read only while one is not. */
  #timeOfSlowStart(): number {
    if (this.#warmAtMs === 0) return -1;
    const nowMs = this.#services.clock.nowMs();
    if (nowMs < this.#warmAtMs) return nowMs;
    this.#warmAtMs = 0;
    return -1;
  }
}

/** What policies without sessions have in common: the order in which endpoints come into question. */
export abstract class PeerBalancer<E extends BalancedEndpoint> implements Balancer<E> {
  readonly measuresLatency: boolean = false;
  readonly sessionKey = "";
  protected readonly peers: Peers<E>;

  constructor(services: BalancerServices<E>, slowStartMs = 0) {
    this.peers = new Peers(services, slowStartMs);
  }

  get endpoints(): readonly E[] {
    return this.peers.list.map(({ endpoint }) => endpoint);
  }

  update(endpoints: readonly EndpointIr[]): void {
    this.peers.update(endpoints);
  }

  pick(tried: readonly E[], request: RequestView): E | null {
    const { list } = this.peers;
    // A single endpoint is the only choice in every case.
    if (list.length <= 1) return list[0]?.endpoint ?? null;
    return (
      this.choose(tried, true, request) ??
      this.choose(tried, false, request) ??
      (tried.length === 0 ? null : (this.choose(none, true, request) ?? this.choose(none, false, request)))
    );
  }

  close(): void {
    this.update([]);
  }

  /** One of those that are not `tried`, and usable when they must be; null: there is none. */
  protected abstract choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null;
}
