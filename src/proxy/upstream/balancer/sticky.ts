// Cookie affinity: a client that brings the cookie of an earlier response comes to the endpoint that it names; one
// without gets an endpoint and a cookie. Two ways to name an endpoint: sticky-balanced.ts and sticky-persistent.ts.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { AffinitySettings, RequestView } from "../../filter.ts";
import { sessionKeyOf } from "../session.ts";
import type { BalancedEndpoint, Balancer, BalancerServices } from "./balancer.ts";
import { Peers } from "./peers.ts";

const none: readonly never[] = [];

export abstract class Sticky<E extends BalancedEndpoint> implements Balancer<E> {
  readonly measuresLatency = false;
  sessionKey = "";
  protected readonly peers: Peers<E>;
  readonly #settings: AffinitySettings;

  constructor(services: BalancerServices<E>, settings: AffinitySettings, slowStartMs: number) {
    this.peers = new Peers(services, slowStartMs);
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
   * change on failure; then, and without a cookie, the order is that of every balancer.
   */
  pick(tried: readonly E[], request: RequestView): E | null {
    const { cookieName, changesOnFailure } = this.#settings;
    this.sessionKey = "";
    const key = sessionKeyOf(request, cookieName);
    const kept = key === "" ? null : this.find(key);
    if (kept !== null && (!changesOnFailure || (tried.length === 0 && kept.isUsable))) return kept;
    return (
      this.choose(tried, true) ??
      this.choose(tried, false) ??
      (tried.length === 0 ? null : (this.choose(none, true) ?? this.choose(none, false)))
    );
  }

  close(): void {
    this.update([]);
  }

  /** The endpoint that a key names; null: none. */
  protected abstract find(key: string): E | null;

  /** An endpoint for a new session, as `choose` of other policies; sets `sessionKey`. */
  protected abstract choose(tried: readonly E[], mustBeUsable: boolean): E | null;
}
