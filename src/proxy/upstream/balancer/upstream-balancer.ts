// The order in which the endpoints of an upstream come into question, whatever the policy. In rotation before out of it
// (rotation.ts), not yet tried before tried, and those of our zone before the reserve. The reserve has a policy of its
// own: a request must not look at a thousand endpoints of other zones to find one of ours.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { RequestView } from "../../filter.ts";
import type { Rotation } from "../rotation.ts";
import type { BalancedEndpoint, Balancer, Policy } from "./balancer.ts";

const none: readonly never[] = [];

export class UpstreamBalancer<E extends BalancedEndpoint> implements Balancer<E> {
  readonly #first: Policy<E>;
  readonly #reserve: Policy<E>;
  readonly #rotation: Rotation<E>;
  #endpoints: readonly E[] = none;
  #hasReserve = false;

  /** Both policies are new, and of one kind. */
  constructor(first: Policy<E>, reserve: Policy<E>, rotation: Rotation<E>) {
    this.#first = first;
    this.#reserve = reserve;
    this.#rotation = rotation;
  }

  get endpoints(): readonly E[] {
    return this.#endpoints;
  }

  get measuresLatency(): boolean {
    return this.#first.measuresLatency;
  }

  get sessionKey(): string {
    return this.#first.sessionKey || this.#reserve.sessionKey;
  }

  get isPanicking(): boolean {
    this.#refresh();
    return this.#rotation.isPanicking;
  }

  update(endpoints: readonly EndpointIr[]): void {
    const reserve = endpoints.filter(({ isReserve }) => isReserve === true);
    // An upstream of nothing but reserve has none: there is nothing that it could stand in for.
    this.#hasReserve = reserve.length > 0 && reserve.length < endpoints.length;
    this.#first.update(
      this.#hasReserve ? endpoints.filter(({ isReserve }) => isReserve !== true) : endpoints,
    );
    this.#reserve.update(this.#hasReserve ? reserve : none);
    const first = this.#first.endpoints;
    this.#endpoints = this.#hasReserve ? [...first, ...this.#reserve.endpoints] : first;
    // The share that may be out counts all: one endpoint of our zone may be out if there are others elsewhere.
    this.#rotation.update(this.#endpoints);
  }

  /**
   * In this order: in rotation and not tried; the one whose trial is due first, when nothing is in rotation; not tried,
   * although out; one that was tried, those in rotation first.
   */
  pick(tried: readonly E[], request: RequestView): E | null {
    this.#refresh();
    const kept = this.#keep(tried, request);
    if (kept !== null) return kept;
    // A single endpoint is the only choice in every case.
    if (this.#endpoints.length <= 1) return this.#choose(none, false, request);
    return (
      this.#choose(tried, true, request) ??
      this.#rotation.earliest(tried) ??
      this.#choose(tried, false, request) ??
      (tried.length === 0 ? null : (this.#choose(none, true, request) ?? this.#choose(none, false, request)))
    );
  }

  close(): void {
    this.update([]);
  }

  #refresh(): void {
    for (const endpoint of this.#rotation.refresh()) {
      this.#first.cameBack(endpoint);
      this.#reserve.cameBack(endpoint);
    }
  }

  /** A session that began in the reserve stays there, if its key says so: its state is there. */
  #keep(tried: readonly E[], request: RequestView): E | null {
    const kept = this.#first.keep(tried, request);
    if (!this.#hasReserve) return kept;
    const reserved = this.#reserve.keep(tried, request);
    return kept ?? (this.#reserve.namesEndpoints ? reserved : null);
  }

  #choose(tried: readonly E[], mustBeUsable: boolean, request: RequestView): E | null {
    const chosen = this.#first.choose(tried, mustBeUsable, request);
    return chosen !== null || !this.#hasReserve ? chosen : this.#reserve.choose(tried, mustBeUsable, request);
  }
}
