// Equal keys to one small group of endpoints, chance among its members (upstream-hash-by-subset): spreads a hot key, and
// keeps its state in few places. The groups are cut from the list of endpoints, as in ingress-nginx.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { HashSettings, RequestView } from "../../filter.ts";
import { hashOf } from "../hash-key.ts";
import type { BalancedEndpoint, PolicyServices } from "./balancer.ts";
import { PeerPolicy, type Peer } from "./peers.ts";
import { Ring } from "./ring.ts";

export class SubsetHash<E extends BalancedEndpoint> extends PeerPolicy<E> {
  readonly #settings: HashSettings;
  readonly #random: () => number;
  #subsets: readonly (readonly Peer<E>[])[] = [];
  #ring = new Ring([]);

  constructor(services: PolicyServices<E>, settings: HashSettings) {
    super(services);
    this.#settings = settings;
    this.#random = services.random;
  }

  override update(endpoints: readonly EndpointIr[]): void {
    super.update(endpoints);
    const { list } = this.peers;
    const size = this.#settings.subsetSize;
    // The last group is filled up from the beginning of the list.
    this.#subsets = Array.from({ length: Math.ceil(list.length / size) }, (_, group) =>
      Array.from({ length: size }, (_, member) => list[(group * size + member) % list.length]).filter(
        (peer) => peer !== undefined,
      ),
    );
    this.#ring = new Ring(
      this.#subsets.map((subset, index) => ({ key: `set${index + 1}`, weight: weightOf(subset) })),
    );
  }

  override choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null {
    const { list } = this.peers;
    let hasAny = false;
    for (let i = 0; i < list.length && !hasAny; i += 1) {
      const peer = list[i];
      hasAny = peer !== undefined && this.isEligible(peer.endpoint, tried, mustBeUsable);
    }
    if (!hasAny) return null;
    let point = this.#ring.find(hashOf(this.#settings.parts, request));
    for (;;) {
      const found = this.#draw(this.#subsets[this.#ring.owner(point)] ?? [], tried, mustBeUsable);
      if (found !== null) return found;
      point = this.#ring.before(point);
    }
  }

  #draw(subset: readonly Peer<E>[], tried: readonly E[], mustBeUsable: boolean): E | null {
    let total = 0;
    for (let i = 0; i < subset.length; i += 1) {
      const peer = subset[i];
      if (peer !== undefined && this.isEligible(peer.endpoint, tried, mustBeUsable)) total += peer.weight;
    }
    let left = this.#random() * total;
    let last: E | null = null;
    for (let i = 0; i < subset.length && left >= 0; i += 1) {
      const peer = subset[i];
      if (peer === undefined || !this.isEligible(peer.endpoint, tried, mustBeUsable)) continue;
      last = peer.endpoint;
      left -= peer.weight;
    }
    return last;
  }
}

function weightOf(subset: readonly Peer<unknown>[]): number {
  return subset.reduce((sum, { weight }) => sum + weight, 0);
}
