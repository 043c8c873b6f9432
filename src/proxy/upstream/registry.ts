// Balancers and resolutions by upstream, across snapshots: publishing a table changes the endpoints of those that stay
// and never starts them over. A change of an upstream's policy makes a new balancer with the same endpoints.
import type { EndpointIr, EndpointsIr, UpstreamId } from "../../ir/routing.ts";
import type { LiveUpstream } from "../live.ts";
import type { CompiledUpstreamSettings, Snapshot } from "../routing/snapshot.ts";
import { defaultUpstreamSettings } from "../routing/upstream-settings.ts";
import type { Balancer, BalancerServices } from "./balancer/balancer.ts";
import { createBalancer } from "./balancer/create.ts";
import type { EndpointHealth, HealthRegistry } from "./health.ts";
import { Resolution, type ResolverOptions } from "./resolver.ts";

interface Entry extends LiveUpstream {
  balancer: Balancer<EndpointHealth>;
  settings: CompiledUpstreamSettings;
  endpoints: EndpointsIr | null;
  /** What the balancer has. */
  addresses: readonly EndpointIr[];
  resolution: Resolution | null;
}

export class UpstreamRegistry {
  readonly #health: HealthRegistry;
  readonly #random: () => number;
  readonly #resolver: ResolverOptions;
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
    this.#random = random;
    this.#resolver = resolver;
    this.#onResolved = onResolved;
  }

  /** A snapshot's upstreams, by index; null where it has a gap. Upstreams that are gone are closed. */
  bind(snapshot: Snapshot): readonly (LiveUpstream | null)[] {
    const { upstreams, upstreamSettings } = snapshot.table;
    const live: (LiveUpstream | null)[] = [];
    let count = 0;
    for (const [index, upstream] of upstreams.entries()) {
      if (upstream === null) {
        live.push(null);
        continue;
      }
      const settings = upstreamSettings[index] ?? defaultUpstreamSettings;
      const entry = this.#entries.get(upstream.id) ?? this.#add(upstream.id, settings);
      if (settings !== entry.settings) this.#configure(entry, settings);
      const endpoints = snapshot.endpoints[index];
      if (endpoints !== undefined && endpoints !== entry.endpoints) this.#update(entry, endpoints);
      live.push(entry);
      count += 1;
    }
    if (this.#entries.size > count) this.#closeOthers(snapshot.table.upstreamIndexes);
    return live;
  }

  /** Upstreams that try all their endpoints, since too few are usable. */
  get panicking(): number {
    let count = 0;
    for (const { balancer } of this.#entries.values()) if (balancer.isPanicking) count += 1;
    return count;
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

  #closeOthers(kept: ReadonlyMap<UpstreamId, number>): void {
    for (const [id, entry] of this.#entries) {
      if (kept.has(id)) continue;
      entry.resolution?.close();
      entry.balancer.close();
      this.#entries.delete(id);
    }
  }

  #add(id: UpstreamId, settings: CompiledUpstreamSettings): Entry {
    const balancer = createBalancer(settings, this.#servicesFor(settings));
    const entry: Entry = { balancer, settings, endpoints: null, addresses: [], resolution: null };
    this.#entries.set(id, entry);
    return entry;
  }

  /** Every table has settings of its own; equal ones leave the balancer where it is. */
  #configure(entry: Entry, settings: CompiledUpstreamSettings): void {
    const isSame = JSON.stringify(settings) === JSON.stringify(entry.settings);
    entry.settings = settings;
    if (isSame) return;
    const old = entry.balancer;
    entry.balancer = createBalancer(settings, this.#servicesFor(settings));
    // Before the old one lets go, so that health, latency and connections of the endpoints stay; of these only health
    // when it is judged otherwise.
    entry.balancer.update(entry.addresses);
    old.close();
  }

  #servicesFor(settings: CompiledUpstreamSettings): BalancerServices<EndpointHealth> {
    return { source: this.#health.judgedBy(settings), clock: this.#resolver.clock, random: this.#random };
  }

  #setAddresses(entry: Entry, addresses: readonly EndpointIr[]): void {
    entry.addresses = addresses;
    entry.balancer.update(addresses);
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
      this.#setAddresses(entry, endpoints.addresses);
      return;
    }
    // Until the first outcome requests go where they went before.
    entry.resolution = new Resolution(dns, this.#resolver, (found) => {
      this.#setAddresses(entry, found);
      this.#onResolved();
    });
  }
}
