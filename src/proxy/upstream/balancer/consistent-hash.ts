// Equal keys to one endpoint (upstream-hash-by), and to the next one of the ring when that is out of the question. With
// bounded load no endpoint gets more than so many times its share of the active requests: what is too much for it goes on
// along the ring (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads).
import type { EndpointIr } from "../../../ir/routing.ts";
import type { HashSettings, RequestView } from "../../filter.ts";
import { hashOf } from "../hash-key.ts";
import type { BalancedEndpoint, PolicyServices } from "./balancer.ts";
import { PeerPolicy } from "./peers.ts";
import { Ring } from "./ring.ts";

export class ConsistentHash<E extends BalancedEndpoint> extends PeerPolicy<E> {
  readonly #settings: HashSettings;
  #ring = new Ring([]);

  constructor(services: PolicyServices<E>, settings: HashSettings) {
    super(services);
    this.#settings = settings;
  }

  override update(endpoints: readonly EndpointIr[]): void {
    super.update(endpoints);
    this.#ring = new Ring(this.peers.list.map(({ endpoint: { key }, weight }) => ({ key, weight })));
  }

  override choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null {
    const point = this.#ring.find(hashOf(this.#settings.parts, request));
    if (this.#settings.loadFactorMax === 0) {
      // Nearly always, and without a look at every endpoint.
      const home = this.peers.list[this.#ring.owner(point)]?.endpoint;
      if (home !== undefined && this.isEligible(home, tried, mustBeUsable)) return home;
    }
    const bound = this.#boundOf(tried, mustBeUsable);
    return bound < 0 ? null : this.#walk(point, bound, tried, mustBeUsable);
  }

  /**
   * Active requests that an endpoint of weight 1 may get; -1: no endpoint may be picked. The bounds of all together are
   * more than there are requests, so that one of them at least is not reached.
   */
  #boundOf(tried: readonly E[], mustBeUsable: boolean): number {
    const { list } = this.peers;
    const { loadFactorMax } = this.#settings;
    let weights = 0;
    let active = 0;
    for (let i = 0; i < list.length; i += 1) {
      const peer = list[i];
      if (peer === undefined || !this.isEligible(peer.endpoint, tried, mustBeUsable)) continue;
      weights += peer.weight;
      active += peer.endpoint.active;
    }
    if (weights === 0) return -1;
    return loadFactorMax === 0 ? Infinity : (loadFactorMax * (active + 1)) / weights;
  }

  #walk(from: number, bound: number, tried: readonly E[], mustBeUsable: boolean): E {
    for (let point = from; ; point = this.#ring.before(point)) {
      const peer = this.peers.list[this.#ring.owner(point)];
      if (peer === undefined || peer.endpoint.active >= Math.ceil(bound * peer.weight)) continue;
      if (this.isEligible(peer.endpoint, tried, mustBeUsable)) return peer.endpoint;
    }
  }
}
