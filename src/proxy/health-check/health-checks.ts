// Which endpoints are probed, and how: from what is published of tables, across all of them. Runs in one thread, so
// that an endpoint is probed once for each check and not by every worker; the verdicts are in shared memory.
import type { EndpointIr, EndpointsIr, UpstreamId, UpstreamIr } from "../../ir/routing.ts";
import type { TableDelta } from "../../ir/table-parts.ts";
import type { HealthCheckMetrics } from "../../metrics/health-check-metrics.ts";
import type { Clock } from "../../util/clock.ts";
import { equalJson } from "../../util/equal-json.ts";
import type { EndpointDirectory } from "../across-workers/endpoint-directory.ts";
import type { FeatureRuntime, FeatureRuntimes, HealthCheckSettings, OutlierSettings } from "../filter.ts";
import { compileUpstream } from "../routing/upstream-settings.ts";
import { endpointKey, judgedKey, verdictKey } from "../upstream/health.ts";
import { Resolution, type Lookup } from "../upstream/resolver.ts";
import {
  CheckedEndpoint,
  type CheckChange,
  type CheckReport,
  type CheckServices,
} from "./checked-endpoint.ts";
import type { Prober } from "./probe.ts";
import { ProbeQueue } from "./probe-queue.ts";

/** Probes in flight at a time, of all endpoints. */
export const probesActiveMax = 256;

export interface HealthChecksOptions {
  readonly runtimes: FeatureRuntimes;
  /** That of the thread which probes. */
  readonly directory: EndpointDirectory;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly prober: Prober;
  readonly metrics: HealthCheckMetrics;
  /** Names of ExternalName Services may lead to loopback addresses. */
  readonly allowsLoopback: boolean;
  /** Default: the system's resolver. */
  readonly lookup?: Lookup;
  readonly probesActiveMax?: number;
  readonly onChange: (change: CheckChange) => void;
}

/** How an upstream judges its endpoints. */
interface Judgement {
  readonly settings: HealthCheckSettings;
  readonly check: string;
  readonly outliers: OutlierSettings;
}

interface CheckedUpstream {
  readonly ir: UpstreamIr;
  judgement: Judgement;
  endpoints: EndpointsIr | null;
  addresses: readonly EndpointIr[];
  checked: ReadonlyMap<string, CheckedEndpoint>;
  resolution: Resolution | null;
}

export class HealthChecks {
  readonly #options: HealthChecksOptions;
  readonly #services: CheckServices;
  /** Those with a check. */
  readonly #upstreams = new Map<UpstreamId, CheckedUpstream>();
  /** Of every upstream, as published last. */
  readonly #endpoints = new Map<UpstreamId, EndpointsIr>();
  readonly #checked = new Map<string, CheckedEndpoint>();

  constructor(options: HealthChecksOptions) {
    const queue = new ProbeQueue(options.probesActiveMax ?? probesActiveMax, options.metrics.queue);
    this.#options = options;
    this.#services = { ...options, queue };
    options.metrics.readFailing = () => [...this.#upstreams.values()].map(failingOf);
  }

  publishTable({ upstreams, endpoints }: Pick<TableDelta, "upstreams" | "endpoints">): void {
    for (const id of upstreams.removed) this.#remove(id);
    for (const id of endpoints.removed) this.#endpoints.delete(id);
    for (const upstream of upstreams.changed) {
      const compiled = this.#compile(upstream);
      if (compiled === null) this.#remove(upstream.id);
      else this.#configure(upstream, compiled);
    }
    this.publishEndpoints(endpoints.changed);
    // What has a check now may have the endpoints that it had without one.
    for (const { id } of upstreams.changed) this.#update(id);
  }

  publishEndpoints(changed: readonly EndpointsIr[]): void {
    for (const endpoints of changed) {
      this.#endpoints.set(endpoints.upstream, endpoints);
      this.#update(endpoints.upstream);
    }
  }

  reports(): readonly CheckReport[] {
    return [...this.#checked.values()].map((each) => each.report());
  }

  close(): void {
    for (const id of this.#upstreams.keys()) this.#remove(id);
  }

  /** Null: it has no check. An upstream that cannot be compiled is a problem of the table, which tells of it. */
  #compile(upstream: UpstreamIr): Judgement | null {
    if (upstream.features === undefined) return null;
    try {
      const { healthCheck, check, outliers } = compileUpstream(upstream, ({ feature }) =>
        this.#runtime(feature),
      );
      return healthCheck === null ? null : { settings: healthCheck, check, outliers };
    } catch {
      return null;
    }
  }

  #runtime(feature: string): FeatureRuntime<unknown> {
    const runtime = this.#options.runtimes.get(feature);
    if (runtime === undefined) throw new TypeError(`there is no feature ${feature}`);
    return runtime;
  }

  #configure(ir: UpstreamIr, judgement: Judgement): void {
    const known = this.#upstreams.get(ir.id);
    if (known === undefined) {
      const nothing = { endpoints: null, addresses: [], checked: new Map(), resolution: null };
      this.#upstreams.set(ir.id, { ir, judgement, ...nothing });
    } else if (!equalJson(known.judgement, judgement)) {
      known.judgement = judgement;
      this.#setAddresses(known, known.addresses);
    }
  }

  #update(id: UpstreamId): void {
    const entry = this.#upstreams.get(id);
    const endpoints = this.#endpoints.get(id);
    if (entry === undefined || endpoints === undefined || endpoints === entry.endpoints) return;
    const before = entry.endpoints?.dns ?? null;
    const { dns } = endpoints;
    entry.endpoints = endpoints;
    if (dns !== null && dns.hostname === before?.hostname && dns.port === before.port) return;
    entry.resolution?.close();
    entry.resolution = null;
    if (dns === null) {
      this.#setAddresses(entry, endpoints.addresses);
      return;
    }
    const { clock, allowsLoopback, lookup } = this.#options;
    const options = { clock, allowsLoopback, ...(lookup === undefined ? {} : { lookup }) };
    entry.resolution = new Resolution(dns, options, (found) => this.#setAddresses(entry, found));
  }

  #setAddresses(entry: CheckedUpstream, addresses: readonly EndpointIr[]): void {
    const before = entry.checked;
    entry.addresses = addresses;
    entry.checked = new Map(
      addresses.map((address) => {
        const checked = this.#acquire(entry, address);
        return [checked.key, checked];
      }),
    );
    for (const [key, checked] of before) if (!entry.checked.has(key)) this.#release(entry, checked);
  }

  #acquire({ ir, judgement }: CheckedUpstream, { address, port }: EndpointIr): CheckedEndpoint {
    const endpoint = endpointKey(address, port);
    const key = verdictKey(endpoint, judgement.check);
    let checked = this.#checked.get(key);
    if (checked === undefined) {
      checked = new CheckedEndpoint({ address, port }, judgement, this.#services);
      this.#checked.set(key, checked);
    }
    checked.upstreams.set(ir.id, judgedKey(endpoint, judgement.outliers));
    return checked;
  }

  #release({ ir }: CheckedUpstream, checked: CheckedEndpoint): void {
    checked.upstreams.delete(ir.id);
    if (checked.upstreams.size > 0) return;
    this.#checked.delete(checked.key);
    checked.close();
  }

  #remove(id: UpstreamId): void {
    const entry = this.#upstreams.get(id);
    if (entry === undefined) return;
    this.#upstreams.delete(id);
    entry.resolution?.close();
    this.#setAddresses(entry, []);
  }
}

function failingOf({ ir, checked }: CheckedUpstream): {
  readonly labels: Readonly<Record<"namespace" | "service" | "port", string>>;
  readonly value: number;
} {
  const failing = [...checked.values()].filter(({ isFailing }) => isFailing).length;
  return { labels: { namespace: ir.namespace, service: ir.service, port: ir.port }, value: failing };
}
