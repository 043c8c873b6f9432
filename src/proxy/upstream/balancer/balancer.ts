// What a load-balancing policy is. One balancer for each upstream; it outlives snapshots, so that a change of endpoints
// does not start everything over.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { Clock } from "../../../util/clock.ts";
import type { RequestView } from "../../filter.ts";
import type { Latency } from "../latency.ts";
import type { RotatedEndpoint, Rotation } from "../rotation.ts";

/** What a balancer knows of an endpoint. Compared by identity: one object for each `address:port`. */
export interface BalancedEndpoint extends RotatedEndpoint {
  /** `address:port`, an IPv6 address in brackets. */
  readonly key: string;
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

/** What policies of one upstream share. */
export interface PolicyServices<E extends BalancedEndpoint> extends BalancerServices<E> {
  readonly rotation: Rotation<E>;
}

/** Where balancers get their endpoints; shared by all of them. */
export interface EndpointSource<E extends BalancedEndpoint> {
  /** Another number than before: some endpoint was ejected, came back, or failed or passed its check. */
  readonly changes: number;
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
  /** So few endpoints are usable that all are tried. */
  readonly isPanicking: boolean;
  /** Endpoints that stay keep their place in the order of picks, and their sessions. */
  update(endpoints: readonly EndpointIr[]): void;
  /** The endpoint for a try of a request that has already tried `tried`. Null only when there are no endpoints. */
  pick(tried: readonly E[], request: RequestView): E | null;
  /** Gives every endpoint back. */
  close(): void;
}

/** How an endpoint is chosen; in which order they come into question is the same for all (upstream-balancer.ts). */
export interface Policy<E extends BalancedEndpoint> {
  /** In the order of the last update. */
  readonly endpoints: readonly E[];
  readonly measuresLatency: boolean;
  /** As that of the balancer, since the last `keep`. */
  readonly sessionKey: string;
  /** A session's key names its endpoint: other endpoints have nothing to do with it. */
  readonly namesEndpoints: boolean;
  update(endpoints: readonly EndpointIr[]): void;
  /** The endpoint of the session that the request belongs to, if it is to go there. Before every `choose`. */
  keep(tried: readonly E[], request: RequestView): E | null;
  /** One of those that are not `tried`, and in rotation when they must be; null: there is none. */
  choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null;
  /** It was out of rotation until now: it starts slowly. */
  cameBack(endpoint: E): void;
  close(): void;
}
