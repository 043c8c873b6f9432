// From our counters to the Prometheus text format, by prom-client. Our metrics are objects whose `get` reads the
// counters when somebody scrapes, so that counting itself costs the data path no call into a metrics library.
import { collectDefaultMetrics, Registry, type Metric } from "prom-client";
import { AdmissionMetrics } from "./admission-metrics.ts";
import { HealthCheckMetrics } from "./health-check-metrics.ts";
import { metricDefinitions, type MetricDefinition, type MetricKey } from "./definitions.ts";
import { ProxyMetrics } from "./proxy-metrics.ts";
import { PublishMetrics } from "./publish-metrics.ts";
import { ReloadMetrics } from "./reload-metrics.ts";
import { RequestMetrics } from "./request-metrics.ts";
import type { MetricSource, Sample } from "./samples.ts";
import { SourceMetrics } from "./source-metrics.ts";
import { WorkerMetrics } from "./worker-metrics.ts";

/** All of Fairway's metrics, and the text that Prometheus scrapes. */
export class Metrics {
  readonly requests = new RequestMetrics();
  readonly proxy = new ProxyMetrics();
  readonly reloads = new ReloadMetrics();
  readonly workers = new WorkerMetrics();
  readonly source = new SourceMetrics(() => performance.now());
  readonly healthChecks = new HealthCheckMetrics();
  readonly publish = new PublishMetrics();
  readonly admission = new AdmissionMetrics();
  readonly #registry = new Registry();

  /** `isProcessIncluded`: CPU, memory, event loop and garbage collection of this process too. */
  constructor(options: { readonly version: string; readonly isProcessIncluded: boolean }) {
    const labels = { version: options.version, node_version: process.version };
    const build: MetricSource = { samplers: { buildInfo: () => [{ labels, value: 1 }] } };
    if (options.isProcessIncluded) collectDefaultMetrics({ register: this.#registry });
    for (const { samplers } of [
      this.requests,
      this.proxy,
      this.reloads,
      this.workers,
      this.source,
      this.healthChecks,
      this.publish,
      this.admission,
      build,
    ]) {
      for (const [key, read] of Object.entries(samplers)) this.#register(key as MetricKey, read);
    }
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }

  #register(key: MetricKey, read: () => readonly Sample[]): void {
    const definition: MetricDefinition = metricDefinitions[key];
    const metric = {
      name: definition.name,
      help: definition.help,
      type: definition.type,
      aggregator: definition.type === "gauge" ? "first" : "sum",
      get: () => Promise.resolve({ ...metric, values: read() }),
      reset: () => undefined,
    };
    // The registry calls `get` and reads the fields above, nothing else; its types ask for its own classes.
    this.#registry.registerMetric(metric as unknown as Metric);
  }
}
