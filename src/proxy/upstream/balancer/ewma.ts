// The better of two endpoints drawn at random, by how long their responses took of late (latency.ts) and how many
// requests wait there already.
import type { EndpointIr } from "../../../ir/routing.ts";
import type { Clock } from "../../../util/clock.ts";
import type { BalancedEndpoint, PolicyServices } from "./balancer.ts";
import { PeerPolicy } from "./peers.ts";

export class Ewma<E extends BalancedEndpoint> extends PeerPolicy<E> {
  override readonly measuresLatency = true;
  readonly #clock: Clock;

  constructor(services: PolicyServices<E>, slowStartMs: number) {
    super(services, slowStartMs);
    this.#clock = services.clock;
  }

  /** A new endpoint starts at the average: at zero it would get everything. */
  override update(endpoints: readonly EndpointIr[]): void {
    super.update(endpoints);
    const nowMs = this.#clock.nowMs();
    const latencies = this.peers.list.map(({ endpoint }) => endpoint.latency);
    const known = latencies.filter(({ isKnown }) => isKnown);
    if (known.length === 0) return;
    const average = known.reduce((sum, each) => sum + each.valueMs(nowMs), 0) / known.length;
    for (const each of latencies) if (!each.isKnown) each.startAt(average, nowMs);
  }

  override choose(tried: readonly E[], mustBeUsable: boolean): E | null {
    const first = this.peers.draw(tried, mustBeUsable, null);
    const second = first === null ? null : this.peers.draw(tried, mustBeUsable, first);
    if (first === null || second === null) return first;
    const nowMs = this.#clock.nowMs();
    return costOf(first, nowMs) <= costOf(second, nowMs) ? first : second;
  }
}

function costOf({ latency, active }: BalancedEndpoint, nowMs: number): number {
  return latency.valueMs(nowMs) * (active + 1);
}
