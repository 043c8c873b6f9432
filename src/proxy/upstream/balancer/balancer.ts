// What a load-balancing policy is. One balancer for each upstream; it outlives snapshots, so that a change of endpoints
// does not start everything over.
import type { EndpointIr } from "../../../ir/routing.ts";

/** What a balancer knows of an endpoint. Compared by identity: one object for each `address:port`. */
export interface BalancedEndpoint {
  /** False: it was ejected, and is not to be asked while others are left. */
  readonly isUsable: boolean;
}

/** Where balancers get their endpoints; shared by all of them. */
export interface EndpointSource<E extends BalancedEndpoint> {
  /** The same object for the same address and port as long as somebody holds it. */
  acquire(endpoint: EndpointIr): E;
  /** Once for each `acquire`. */
  release(endpoint: E): void;
}

export interface Balancer<E extends BalancedEndpoint> {
  /** In the order of the last update. */
  readonly endpoints: readonly E[];
  /** Endpoints that stay keep their place in the order of picks. */
  update(endpoints: readonly EndpointIr[]): void;
  /**
   * The endpoint for a try of a request that has already tried `tried`. In this order: one that is neither tried nor
   * ejected; one not tried, although ejected; one that was tried. Null only when there are no endpoints.
   */
  pick(tried: readonly E[]): E | null;
  /** Gives every endpoint back. */
  close(): void;
}
