// The endpoints of one upstream as most policies hold them: with weights, with a slow start for new ones, and with a
// fair draw among those that may be picked.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { RequestView } from "../../filter.ts";
import type { Rotation } from "../rotation.ts";
import type { BalancedEndpoint, Policy, PolicyServices } from "./balancer.ts";

/** The share that a new endpoint begins with. */
const shareMin = 0.1;
/** Draws that may hit an endpoint that is out of the question, before all endpoints are looked at. */
const drawsMax = 8;

export interface Peer<E> {
  readonly endpoint: E;
  readonly weight: number;
  /** When it came, or came back. -Infinity: it was there from the beginning. */
  sinceMs: number;
}

/** How much of its weight counts: it grows over `slowStartMs`. */
export function warmth(sinceMs: number, slowStartMs: number, nowMs: number): number {
  return slowStartMs === 0 ? 1 : Math.min(1, Math.max(shareMin, (nowMs - sinceMs) / slowStartMs));
}

/** Null for `rotation`: it may be out of it. */
export function isEligible<E extends BalancedEndpoint>(
  endpoint: E,
  tried: readonly E[],
  rotation: Rotation<E> | null,
): boolean {
  if (tried.length > 0 && tried.includes(endpoint)) return false;
  return rotation === null || rotation.includes(endpoint);
}

export class Peers<E extends BalancedEndpoint> {
  list: readonly Peer<E>[] = [];
  readonly #services: PolicyServices<E>;
  readonly #slowStartMs: number;
  #weightMax = 0;
  #hasWeights = false;
  /** When the last slow start is over; 0: none is under way. */
  #warmAtMs = 0;

  constructor(services: PolicyServices<E>, slowStartMs = 0) {
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

  cameBack(endpoint: E): void {
    if (this.#slowStartMs === 0) return;
    const peer = this.list.find((each) => each.endpoint === endpoint);
    if (peer === undefined) return;
    peer.sinceMs = this.#services.clock.nowMs();
    this.#warmAtMs = peer.sinceMs + this.#slowStartMs;
  }

  /** One that may be picked and is not `except`, by weight; null: there is none. */
  draw(tried: readonly E[], mustBeUsable: boolean, except: E | null): E | null {
    const { list } = this;
    const { random } = this.#services;
    const rotation = mustBeUsable ? this.#services.rotation : null;
    const nowMs = this.#timeOfSlowStart();
    const isUneven = this.#hasWeights || nowMs >= 0;
    for (let i = 0; i < drawsMax && list.length > 0; i += 1) {
      const peer = list[Math.floor(random() * list.length)];
      if (peer === undefined || peer.endpoint === except) continue;
      if (!isEligible(peer.endpoint, tried, rotation)) continue;
      if (isUneven && random() * this.#weightMax >= this.#shareOf(peer, nowMs)) continue;
      return peer.endpoint;
    }
    return this.#drawOfAll(tried, rotation, { except, nowMs });
  }

  #drawOfAll(
    tried: readonly E[],
    rotation: Rotation<E> | null,
    { except, nowMs }: { readonly except: E | null; readonly nowMs: number },
  ): E | null {
    const { list } = this;
    let total = 0;
    for (let i = 0; i < list.length; i += 1) {
      const peer = list[i];
      if (peer === undefined || peer.endpoint === except) continue;
      if (isEligible(peer.endpoint, tried, rotation)) total += this.#shareOf(peer, nowMs);
    }
    let left = this.#services.random() * total;
    let last: E | null = null;
    for (let i = 0; i < list.length && left >= 0; i += 1) {
      const peer = list[i];
      if (peer === undefined || peer.endpoint === except) continue;
      if (!isEligible(peer.endpoint, tried, rotation)) continue;
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

/** What policies without sessions have in common. */
export abstract class PeerPolicy<E extends BalancedEndpoint> implements Policy<E> {
  readonly measuresLatency: boolean = false;
  readonly sessionKey = "";
  readonly namesEndpoints = false;
  protected readonly peers: Peers<E>;
  readonly #rotation: Rotation<E>;

  constructor(services: PolicyServices<E>, slowStartMs = 0) {
    this.peers = new Peers(services, slowStartMs);
    this.#rotation = services.rotation;
  }

  get endpoints(): readonly E[] {
    return this.peers.list.map(({ endpoint }) => endpoint);
  }

  update(endpoints: readonly EndpointIr[]): void {
    this.peers.update(endpoints);
  }

  keep(): null {
    return null;
  }

  cameBack(endpoint: E): void {
    this.peers.cameBack(endpoint);
  }

  close(): void {
    this.update([]);
  }

  abstract choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null;

  protected isEligible(endpoint: E, tried: readonly E[], mustBeUsable: boolean): boolean {
    return isEligible(endpoint, tried, mustBeUsable ? this.#rotation : null);
  }
}
