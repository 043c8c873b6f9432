// Smooth weighted round robin, as in nginx: weights 5, 1, 1 give a a b a c a a rather than a a a a a b c. With equal
// weights that is a rotation, which needs no look at every endpoint for each request. During a slow start weights change
// with time.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { BalancedEndpoint, Policy, PolicyServices } from "./balancer.ts";
import type { Rotation } from "../rotation.ts";
import { isEligible, warmth, type Peer } from "./peers.ts";

/** How far into its order of picks a new balancer starts at most. Bounds what its first update costs. */
const startStepsMax = 256;

const none: readonly never[] = [];

interface RatedPeer<E> extends Peer<E> {
  /** How much the endpoint is behind its share; the largest is next. Always 0 with equal weights. */
  current: number;
}

export class RoundRobin<E extends BalancedEndpoint> implements Policy<E> {
  readonly measuresLatency = false;
  readonly sessionKey = "";
  readonly namesEndpoints = false;
  readonly #services: PolicyServices<E>;
  readonly #slowStartMs: number;
  #peers: readonly RatedPeer<E>[] = [];
  #weightTotal = 0;
  #isWeighted = false;
  /** When the last slow start is over; 0: none is under way. */
  #warmAtMs = 0;
  /** Index of the next endpoint of the rotation. */
  #position = 0;

  /** Where to begin is random: replicas and upstreams should not all begin with the same endpoint. */
  constructor(services: PolicyServices<E>, slowStartMs: number) {
    this.#services = services;
    this.#slowStartMs = slowStartMs;
  }

  get endpoints(): readonly E[] {
    return this.#peers.map(({ endpoint }) => endpoint);
  }

  update(endpoints: readonly EndpointIr[]): void {
    const { source, clock } = this.#services;
    const old = this.#peers;
    const nowMs = clock.nowMs();
    const newSinceMs = old.length === 0 ? -Infinity : nowMs;
    const oldByEndpoint = new Map(old.map((peer) => [peer.endpoint, peer]));
    const weightTotal = endpoints.reduce((sum, { weight }) => sum + weight, 0);
    // Without this scale, what was one turn among heavy endpoints would be hundreds among light ones.
    const scale = this.#weightTotal === 0 ? 0 : weightTotal / this.#weightTotal;
    const isWeighted = endpoints.some(({ weight }) => weight !== endpoints[0]?.weight);
    // New ones are acquired before old ones are released: what is shared by both must not end in between.
    const peers = endpoints.map((each): RatedPeer<E> => {
      const endpoint = source.acquire(each);
      const before = oldByEndpoint.get(endpoint);
      const current = isWeighted ? Math.round((before?.current ?? 0) * scale) : 0;
      return { endpoint, weight: each.weight, current, sinceMs: before?.sinceMs ?? newSinceMs };
    });
    const newestMs = peers.reduce((newest, { sinceMs }) => Math.max(newest, sinceMs), -Infinity);
    this.#warmAtMs = newestMs + this.#slowStartMs > nowMs ? newestMs + this.#slowStartMs : 0;
    this.#position = positionAfter(old, this.#position, peers);
    this.#peers = peers;
    this.#weightTotal = weightTotal;
    this.#isWeighted = isWeighted;
    for (const { endpoint } of old) source.release(endpoint);
    if (old.length === 0) this.#startAnywhere();
  }

  keep(): null {
    return null;
  }

  choose(tried: readonly E[], mustBeUsable: boolean): E | null {
    const rotation = mustBeUsable ? this.#services.rotation : null;
    return this.#isWeighted || this.#warmAtMs !== 0
      ? this.#heaviest(tried, rotation)
      : this.#following(tried, rotation);
  }

  cameBack(endpoint: E): void {
    if (this.#slowStartMs === 0) return;
    const peer = this.#peers.find((each) => each.endpoint === endpoint);
    if (peer === undefined) return;
    peer.sinceMs = this.#services.clock.nowMs();
    this.#warmAtMs = peer.sinceMs + this.#slowStartMs;
  }

  close(): void {
    this.update([]);
  }

  #following(tried: readonly E[], rotation: Rotation<E> | null): E | null {
    const peers = this.#peers;
    let index = this.#position;
    for (let left = peers.length; left > 0; left--) {
      const endpoint = peers[index]?.endpoint;
      index = index + 1 < peers.length ? index + 1 : 0;
      if (endpoint === undefined || !isEligible(endpoint, tried, rotation)) continue;
      this.#position = index;
      return endpoint;
    }
    return null;
  }

  /** Endpoints that may not be picked gain nothing meanwhile, so they do not come back to a burst. */
  #heaviest(tried: readonly E[], rotation: Rotation<E> | null): E | null {
    const peers = this.#peers;
    const nowMs = this.#warmAtMs === 0 ? 0 : this.#services.clock.nowMs();
    if (nowMs >= this.#warmAtMs) this.#warmAtMs = 0;
    const isWarm = this.#warmAtMs === 0;
    let best: RatedPeer<E> | null = null;
    let total = 0;
    for (let i = 0; i < peers.length; i++) {
      const peer = peers[i];
      if (peer === undefined || !isEligible(peer.endpoint, tried, rotation)) continue;
      const weight = isWarm ? peer.weight : peer.weight * warmth(peer.sinceMs, this.#slowStartMs, nowMs);
      total += weight;
      peer.current += weight;
      if (best === null || peer.current > best.current) best = peer;
    }
    if (best === null) return null;
    best.current -= total;
    return best.endpoint;
  }

  #startAnywhere(): void {
    if (this.#isWeighted) {
      const steps = Math.floor(this.#services.random() * Math.min(this.#weightTotal, startStepsMax));
      for (let i = 0; i < steps; i++) this.#heaviest(none, null);
    } else {
      this.#position = Math.floor(this.#services.random() * this.#peers.length);
    }
  }
}

/** Where the rotation goes on: at the next old endpoint that is still there. */
function positionAfter<E>(old: readonly Peer<E>[], position: number, peers: readonly Peer<E>[]): number {
  const indexes = new Map(peers.map(({ endpoint }, index) => [endpoint, index]));
  for (let i = 0; i < old.length; i++) {
    const peer = old[(position + i) % old.length];
    const index = peer === undefined ? undefined : indexes.get(peer.endpoint);
    if (index !== undefined) return index;
  }
  return 0;
}
