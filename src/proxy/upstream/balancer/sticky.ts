// Cookie affinity: a client that brings the cookie of an earlier response comes to the endpoint that it names; one
// without gets an endpoint and a cookie. Two ways to name an endpoint: sticky-balanced.ts and sticky-persistent.ts.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { AffinitySettings, RequestView } from "../../filter.ts";
import { sessionKeyOf } from "../session.ts";
import type { Rotation } from "../rotation.ts";
import type { BalancedEndpoint, Policy, PolicyServices } from "./balancer.ts";
import { Peers } from "./peers.ts";

export abstract class Sticky<E extends BalancedEndpoint> implements Policy<E> {
  readonly measuresLatency = false;
  abstract readonly namesEndpoints: boolean;
  sessionKey = "";
  protected readonly peers: Peers<E>;
  protected readonly rotation: Rotation<E>;
  readonly #settings: AffinitySettings;

  constructor(services: PolicyServices<E>, settings: AffinitySettings, slowStartMs: number) {
    this.peers = new Peers(services, slowStartMs);
    this.rotation = services.rotation;
    this.#settings = settings;
  }

  get endpoints(): readonly E[] {
    return this.peers.list.map(({ endpoint }) => endpoint);
  }

  update(endpoints: readonly EndpointIr[]): void {
    this.peers.update(endpoints);
  }

  /**
   * The endpoint of the cookie, even if it was tried or is ejected: the client's state is there. Unless the cookie is to
   * change on failure.
   */
  keep(tried: readonly E[], request: RequestView): E | null {
    const { cookieName, changesOnFailure } = this.#settings;
    this.sessionKey = "";
    const key = sessionKeyOf(request, cookieName);
    const kept = key === "" ? null : this.find(key);
    if (kept !== null && (!changesOnFailure || (tried.length === 0 && this.rotation.includes(kept))))
      return kept;
    return null;
  }

  cameBack(endpoint: E): void {
    this.peers.cameBack(endpoint);
  }

  close(): void {
    this.update([]);
  }

  /** The endpoint that a key names; null: none. */
  protected abstract find(key: string): E | null;

  /** An endpoint for a new session, as `choose` of other policies; sets `sessionKey`. */
  abstract choose(tried: readonly E[], mustBeUsable: boolean): E | null;
}
