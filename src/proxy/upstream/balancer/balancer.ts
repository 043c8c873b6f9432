// What a load-balancing policy is. One balancer for each upstream; it outlives snapshots, so that a change of endpoints
// does not start everything over.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { Clock } from "../../../util/clock.ts";
import type { RequestView } from "../../filter.ts";
import type { Latency } from "../latency.ts";

/** What a balancer knows of an endpoint. Compared by identity: one object for each `address:port`. */
export interface BalancedEndpoint {
  /** `address:port`, an IPv6 address in brackets. */
  readonly key: string;
  /** False: it was ejected, and is not to be asked while others are left. */
  readonly isUsable: boolean;
  /** Attempts under way, of every upstream that has the endpoint. */
  readonly active: number;
  readonly latency: Latency;
}

export interface BalancerServices<E extends BalancedEndpoint> {
  readonly source: EndpointSource<E>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
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
  /** The policy wants to know how long attempts take to the head of their response (`latency` of the endpoint). */
  readonly measuresLatency: boolean;
  /**
   * What the client must bring back in its session cookie to come to the endpoint of the last pick; empty: nothing, or
   * it has it. Read right after `pick`.
   */
  readonly sessionKey: string;
  /** Endpoints that stay keep their place in the order of picks, and their sessions. */
  update(endpoints: readonly EndpointIr[]): void;
  /**
   * The endpoint for a try of a request that has already tried `tried`. In this order: one that is neither tried nor
   * ejected; one not tried, although ejected; one that was tried. Null only when there are no endpoints.
   */
  pick(tried: readonly E[], request: RequestView): E | null;
  /** Gives every endpoint back. */
  close(): void;
}
