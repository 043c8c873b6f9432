// Sessions that name their endpoint (affinity-mode: persistent): they stay as long as it is there, whatever comes beside
// it. The names are those of ingress-nginx.
import { createHash } from "node:crypto";
import type { EndpointIr } from "../../../ir/routing.ts";
import type { AffinitySettings } from "../../filter.ts";
import type { BalancedEndpoint, PolicyServices } from "./balancer.ts";
import { Sticky } from "./sticky.ts";

export class StickyPersistent<E extends BalancedEndpoint> extends Sticky<E> {
  readonly namesEndpoints = true;
  readonly #salt: string;
  #byKey: ReadonlyMap<string, E> = new Map();
  #keys: ReadonlyMap<E, string> = new Map();

  /** `salt` keeps the names of one upstream's endpoints apart from those of others. */
  constructor(
    services: PolicyServices<E>,
    settings: AffinitySettings,
    options: { readonly slowStartMs: number; readonly salt: string },
  ) {
    super(services, settings, options.slowStartMs);
    this.#salt = options.salt;
  }

  override update(endpoints: readonly EndpointIr[]): void {
    super.update(endpoints);
    this.#keys = new Map(
      this.endpoints.map((endpoint) => [
        endpoint,
        this.#keys.get(endpoint) ??
          createHash("md5")
            .update(this.#salt + endpoint.key)
            .digest("hex"),
      ]),
    );
    this.#byKey = new Map([...this.#keys].map(([endpoint, key]) => [key, endpoint]));
  }

  protected override find(key: string): E | null {
    return this.#byKey.get(key) ?? null;
  }

  override choose(tried: readonly E[], mustBeUsable: boolean): E | null {
    const endpoint = this.peers.draw(tried, mustBeUsable, null);
    if (endpoint !== null) this.sessionKey = this.#keys.get(endpoint) ?? "";
    return endpoint;
  }
}
