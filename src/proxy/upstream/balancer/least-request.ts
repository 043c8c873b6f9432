// The power of two choices: of two endpoints drawn by weight, the one with fewer active requests. Almost as good as
// asking all of them, and many proxies that do so do not all run to the same endpoint.
import type { BalancedEndpoint } from "./balancer.ts";
import { PeerPolicy } from "./peers.ts";

export class LeastRequest<E extends BalancedEndpoint> extends PeerPolicy<E> {
  override choose(tried: readonly E[], mustBeUsable: boolean): E | null {
    const first = this.peers.draw(tried, mustBeUsable, null);
    const second = first === null ? null : this.peers.draw(tried, mustBeUsable, first);
    return first === null || second === null || first.active <= second.active ? first : second;
  }
}
