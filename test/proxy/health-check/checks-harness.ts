// Health checks on a clock that a test moves, as the thread that owns the workers runs them.
import { EventEmitter, once } from "node:events";
import { onTestFinished } from "vitest";
import type { EndpointsIr, RoutingIr, UpstreamIr } from "../../../src/ir/routing.ts";
import { TableParts } from "../../../src/ir/table-parts.ts";
import { HealthCheckMetrics } from "../../../src/metrics/health-check-metrics.ts";
import { SharedState } from "../../../src/proxy/across-workers/shared-state.ts";
import type { EndpointDirectory } from "../../../src/proxy/across-workers/endpoint-directory.ts";
import type { FeatureRuntimes, HealthCheckSettings } from "../../../src/proxy/filter.ts";
import type { CheckChange } from "../../../src/proxy/health-check/checked-endpoint.ts";
import { HealthChecks, type HealthChecksOptions } from "../../../src/proxy/health-check/health-checks.ts";
import { systemProber } from "../../../src/proxy/health-check/probers.ts";
import { ManualClock } from "../../../src/util/clock.ts";

export const httpCheck: HealthCheckSettings = {
  kind: "http",
  port: null,
  path: "/healthz",
  host: "",
  statuses: [{ first: 200, last: 399 }],
  service: "",
  intervalMs: 10_000,
  timeoutMs: 2_000,
  healthyThreshold: 2,
  unhealthyThreshold: 3,
};

export const runtimes: FeatureRuntimes = new Map([
  ["upstream-settings", { applyUpstream: (settings, config) => void Object.assign(settings, config) }],
]);

/** A metrics object that tells when a probe has ended. */
class ObservedMetrics extends HealthCheckMetrics {
  readonly events = new EventEmitter();
  ended = 0;

  override probed(type: string, result: string): void {
    super.probed(type, result);
    this.ended += 1;
    // After the verdict, which is made in the same turn.
    queueMicrotask(() => this.events.emit("probed"));
  }
}

export class ChecksHarness {
  readonly clock = new ManualClock();
  readonly metrics = new ObservedMetrics();
  readonly changes: CheckChange[] = [];
  readonly checks: HealthChecks;
  readonly directory: EndpointDirectory;
  readonly #published = new TableParts();

  constructor(options: Partial<HealthChecksOptions> = {}) {
    this.directory = options.directory ?? SharedState.alone().endpoints;
    this.checks = new HealthChecks({
      runtimes,
      directory: this.directory,
      clock: this.clock,
      // The middle: half an interval to the first probe, then exactly one.
      random: () => 0.5,
      prober: systemProber,
      metrics: this.metrics,
      allowsLoopback: true,
      onChange: (change) => this.changes.push(change),
      ...options,
    });
    onTestFinished(() => this.checks.close());
  }

  /** As the controller does: what differs from the table before. */
  publishTable(ir: RoutingIr): void {
    const delta = this.#published.differenceTo(ir);
    this.#published.apply(delta);
    this.checks.publishTable(delta);
  }

  /** Moves the clock and waits until so many more probes have ended. */
  async probes(count: number, ms: number): Promise<void> {
    const until = this.metrics.ended + count;
    this.clock.advanceMs(ms);
    while (this.metrics.ended < until) await once(this.metrics.events, "probed");
  }

  states(): Record<string, string> {
    return Object.fromEntries(this.checks.reports().map(({ key, state }) => [key.split(" ")[0], state]));
  }
}

/** `addresses` by the id of their upstream: `web: "10.0.0.1 10.0.0.2:81"`. */
export function tableOf(
  addresses: Readonly<Record<string, string>>,
  settings: Partial<HealthCheckSettings> | null = {},
): RoutingIr {
  const upstreams = Object.keys(addresses).map((id): UpstreamIr => upstreamOf(id, settings));
  return {
    virtualHosts: [],
    upstreams,
    endpoints: Object.entries(addresses).map(([id, text]) => endpointsOf(id, text)),
    certificates: [],
    defaultCertificate: null,
    defaultBackend: null,
  };
}

export function upstreamOf(id: string, settings: Partial<HealthCheckSettings> | null): UpstreamIr {
  const upstream = { id, namespace: "default", service: id, port: "80" };
  if (settings === null) return upstream;
  return { ...upstream, features: [checkFeature(settings)] };
}

export function checkFeature(settings: Partial<HealthCheckSettings>): {
  readonly feature: string;
  readonly config: unknown;
} {
  return { feature: "upstream-settings", config: { healthCheck: { ...httpCheck, ...settings } } };
}

export function endpointsOf(upstream: string, text: string): EndpointsIr {
  const addresses = text
    .split(" ")
    .filter((each) => each !== "")
    .map((each) => {
      const [address = "", port = "80"] = each.split(":");
      return { address, port: Number(port), weight: 1 };
    });
  return { upstream, addresses, dns: null };
}
