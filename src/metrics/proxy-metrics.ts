// Counters of the data path that belong to no route: connections, refusals, retries, ejections. Plain numbers that the
// data path adds to directly; they are read when somebody scrapes.
import { metricDefinitions } from "./definitions.ts";
import { single, type MetricSource, type Sample, type Samplers } from "./samples.ts";

/** Connections that one listener took from clients. */
export class ListenerCounters {
  accepted = 0;
  active = 0;

  opened(): void {
    this.accepted += 1;
    this.active += 1;
  }

  closed(): void {
    this.active -= 1;
  }
}

/** Counts by a word from a fixed list, such as the codes of the error table. */
export class CodeCounters {
  readonly #counts = new Map<string, number>();

  add(code: string): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + 1);
  }

  get(code: string): number {
    return this.#counts.get(code) ?? 0;
  }

  samples(label: string): Sample[] {
    return [...this.#counts].map(([code, value]) => ({ labels: { [label]: code }, value }));
  }
}

export class ProxyMetrics implements MetricSource {
  readonly http = new ListenerCounters();
  readonly https = new ListenerCounters();
  tlsHandshakeFailures = 0;
  /** Connections closed at once because there were too many. */
  connectionsRefused = 0;
  /** Gauges: connections to endpoints that serve a request, and those kept for the next one. */
  upstreamActive = 0;
  upstreamIdle = 0;
  upstreamOpened = 0;
  upstreamConnectFailures = 0;
  ejections = 0;
  internalErrors = 0;
  /** Generated error responses by code of the error table. */
  readonly refused = new CodeCounters();
  /** Retries by code of the error that caused them, or `http_503` and the like. */
  readonly retries = new CodeCounters();
  /** Requests that were not sent again because too many others were. */
  retriesOverBudget = 0;

  get downstreamActive(): number {
    return this.http.active + this.https.active;
  }

  readonly samplers: Samplers = {
    connectionsRefused: () => single(this.connectionsRefused),
    downstreamConnections: () => this.#perListener(({ active }) => active),
    downstreamAccepted: () => this.#perListener(({ accepted }) => accepted),
    tlsHandshakeFailures: () => single(this.tlsHandshakeFailures),
    upstreamConnections: () => [
      { labels: { state: "active" }, value: this.upstreamActive },
      { labels: { state: "idle" }, value: this.upstreamIdle },
    ],
    upstreamOpened: () => single(this.upstreamOpened),
    upstreamConnectFailures: () => single(this.upstreamConnectFailures),
    refusedRequests: () => this.refused.samples(metricDefinitions.refusedRequests.labels[0]),
    retries: () => this.retries.samples(metricDefinitions.retries.labels[0]),
    retriesOverBudget: () => single(this.retriesOverBudget),
    ejections: () => single(this.ejections),
    internalErrors: () => single(this.internalErrors),
  };

  #perListener(read: (counters: ListenerCounters) => number): Sample[] {
    return [
      { labels: { listener: "http" }, value: read(this.http) },
      { labels: { listener: "https" }, value: read(this.https) },
    ];
  }
}
