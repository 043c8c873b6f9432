// Balancers and resolutions by upstream, across snapshots: publishing a table changes the endpoints of those that stay
// and never starts them over.
import type { EndpointsIr, UpstreamId } from "../../ir/routing.ts";
import type { Snapshot } from "../routing/snapshot.ts";
import type { Balancer } from "./balancer/balancer.ts";
import { RoundRobin } from "./balancer/round-robin.ts";
import type { EndpointHealth, HealthRegistry } from "./health.ts";
import { Resolution, type ResolverOptions } from "./resolver.ts";

interface Entry {
  readonly balancer: Balancer<EndpointHealth>;
  endpoints: EndpointsIr | null;
  resolution: Resolution | null;
}

export class UpstreamRegistry {
  readonly #health: HealthRegistry;
  readonly #resolver: ResolverOptions;
  readonly #random: () => number;
  readonly #onResolved: () => void;
  readonly #entries = new Map<UpstreamId, Entry>();

  /** `onResolved`: a name has led to other addresses, outside of any publication. */
  constructor(
    health: HealthRegistry,
    resolver: ResolverOptions,
    random: () => number,
    onResolved: () => void = () => undefined,
  ) {
    this.#health = health;
    this.#resolver = resolver;
    this.#random = random;
    this.#onResolved = onResolved;
  }

  /** The balancers of a snapshot's upstreams, by index. Upstreams that are gone are closed. */
  bind(snapshot: Snapshot): readonly Balancer<EndpointHealth>[] {
    const balancers: Balancer<EndpointHealth>[] = [];
    const kept = new Set<UpstreamId>();
    for (const [index, { id }] of snapshot.table.upstreams.entries()) {
      const entry = this.#entries.get(id) ?? this.#add(id);
      const endpoints = snapshot.endpoints[index];
      if (endpoints !== undefined && endpoints !== entry.endpoints) this.#update(entry, endpoints);
      balancers.push(entry.balancer);
      kept.add(id);
    }
    for (const [id, entry] of this.#entries) {
      if (kept.has(id)) continue;
      entry.resolution?.close();
      entry.balancer.close();
      this.#entries.delete(id);
    }
    return balancers;
  }

  /** Why the name of an ExternalName upstream has no addresses; empty: it has, or it needs none. */
  resolutionFailure(id: UpstreamId): string {
    return this.#entries.get(id)?.resolution?.failure ?? "";
  }

  close(): void {
    for (const { resolution, balancer } of this.#entries.values()) {
      resolution?.close();
      balancer.close();
    }
    this.#entries.clear();
  }

  #add(id: UpstreamId): Entry {
    const balancer = new RoundRobin<EndpointHealth>(this.#health, this.#random);
    const entry: Entry = { balancer, endpoints: null, resolution: null };
    this.#entries.set(id, entry);
    return entry;
  }

  #update(entry: Entry, endpoints: EndpointsIr): void {
    const before = entry.endpoints?.dns ?? null;
    const { dns } = endpoints;
    entry.endpoints = endpoints;
    const isSameName = dns !== null && dns.hostname === before?.hostname && dns.port === before.port;
    if (isSameName) return;
    entry.resolution?.close();
    entry.resolution = null;
    if (dns === null) {
      entry.balancer.update(endpoints.addresses);
      return;
    }
    // Until the first outcome requests go where they went before.
    entry.resolution = new Resolution(dns, this.#resolver, (found) => {
      entry.balancer.update(found);
      this.#onResolved();
    });
  }
}
