// Sessions hashed onto the endpoints (affinity-mode: balanced). When endpoints come, they take over some of the
// sessions; when one goes, its sessions spread over the others. Keys and ring are those of ingress-nginx.
import type { EndpointIr } from "../../../ir/routing.ts";
import { crc32 } from "../../../util/crc32.ts";
import type { AffinitySettings } from "../../filter.ts";
import type { BalancedEndpoint, PolicyServices } from "./balancer.ts";
import { isEligible } from "./peers.ts";
import { Ring } from "./ring.ts";
import { Sticky } from "./sticky.ts";

/** Keys made for a new session until one leads to an endpoint that may be picked. */
const keysMax = 20;

export class StickyBalanced<E extends BalancedEndpoint> extends Sticky<E> {
  readonly namesEndpoints = false;
  readonly #random: () => number;
  #ring = new Ring([]);

  constructor(services: PolicyServices<E>, settings: AffinitySettings) {
    // Shares follow from the ring, so there is nothing to start slowly with.
    super(services, settings, 0);
    this.#random = services.random;
  }

  override update(endpoints: readonly EndpointIr[]): void {
    super.update(endpoints);
    this.#ring = new Ring(this.peers.list.map(({ endpoint: { key }, weight }) => ({ key, weight })));
  }

  protected override find(key: string): E | null {
    return this.peers.list[this.#ring.owner(this.#ring.find(crc32(key)))]?.endpoint ?? null;
  }

  override choose(tried: readonly E[], mustBeUsable: boolean): E | null {
    const rotation = mustBeUsable ? this.rotation : null;
    const seconds = Math.floor(Date.now() / 1000);
    for (let i = 0; i < keysMax; i += 1) {
      const key = `${seconds}.${process.pid}.${Math.floor(this.#random() * 1_000_000)}`;
      const endpoint = this.find(key);
      if (endpoint === null || !isEligible(endpoint, tried, rotation)) continue;
      this.sessionKey = key;
      return endpoint;
    }
    // Most are out of the question. The request goes to one that is not, and the session begins with a later one.
    return this.peers.draw(tried, mustBeUsable, null);
  }
}
