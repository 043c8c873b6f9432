// Counters of the data path that belong to no route: connections, refusals, retries, ejections. Plain numbers that the
// data path adds to directly; they are read when somebody scrapes.
import { metricDefinitions } from "./definitions.ts";
import { single, type MetricSource, type Sample, type Samplers } from "./samples.ts";

/** The counters of one worker as plain data, which a message can carry. */
export interface ProxyCounts {
  readonly counters: Readonly<Record<CounterName, number>>;
  /** What is open now; a worker that has died has nothing open. */
  readonly gauges: Readonly<Record<GaugeName, number>>;
  readonly connectionsRefused: readonly (readonly [string, number])[];
  readonly refused: readonly (readonly [string, number])[];
  readonly retries: readonly (readonly [string, number])[];
  readonly ejections: readonly (readonly [string, number])[];
  /** Of the whole process, as this worker sees it. */
  readonly endpointsEjected: number;
  readonly upstreamsPanicking: number;
}

const counterNames = [
  "tlsHandshakeFailures",
  "upstreamOpened",
  "upstreamConnectFailures",
  "internalErrors",
  "retriesOverBudget",
] as const;
type CounterName = (typeof counterNames)[number] | "httpAccepted" | "httpsAccepted";
const gaugeNames = ["upstreamActive", "upstreamIdle", "bufferedBytes", "keptContentBytes"] as const;
type GaugeName = (typeof gaugeNames)[number] | "httpActive" | "httpsActive";

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

  add(code: string, times = 1): void {
    this.#counts.set(code, (this.#counts.get(code) ?? 0) + times);
  }

  entries(): (readonly [string, number])[] {
    return [...this.#counts];
  }

  clear(): void {
    this.#counts.clear();
  }

  get(code: string): number {
    return this.#counts.get(code) ?? 0;
  }

  samples(label: string): Sample[] {
    return [...this.#counts].map(([code, value]) => ({ labels: { [label]: code }, value }));
  }
}

/** The counts of a worker that has died: nothing is open any more. */
export function closedCounts(counts: ProxyCounts): ProxyCounts {
  const names = Object.keys(counts.gauges) as GaugeName[];
  const gauges = Object.fromEntries(names.map((name) => [name, 0])) as Record<GaugeName, number>;
  return { ...counts, gauges, endpointsEjected: 0, upstreamsPanicking: 0 };
}

export class ProxyMetrics implements MetricSource {
  readonly http = new ListenerCounters();
  readonly https = new ListenerCounters();
  tlsHandshakeFailures = 0;
  /** Connections that were not taken, by reason. */
  readonly connectionsRefused = new CodeCounters();
  /** Gauges: connections to endpoints that serve a request, and those kept for the next one. */
  upstreamActive = 0;
  upstreamIdle = 0;
  /** Gauges: bytes that wait in connections, and content that is kept so that it can be sent again. */
  bufferedBytes = 0;
  keptContentBytes = 0;
  upstreamOpened = 0;
  upstreamConnectFailures = 0;
  /** Endpoints ejected, by what for. */
  readonly ejections = new CodeCounters();
  /** Gauges, alike in all workers but for the names that each resolves: endpoints that are ejected, upstreams in panic. */
  endpointsEjected = 0;
  upstreamsPanicking = 0;
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

  counts(): ProxyCounts {
    const { http, https } = this;
    const gauges = Object.fromEntries(gaugeNames.map((name) => [name, this[name]])) as Record<
      (typeof gaugeNames)[number],
      number
    >;
    const own = Object.fromEntries(counterNames.map((name) => [name, this[name]])) as Record<
      (typeof counterNames)[number],
      number
    >;
    return {
      counters: { ...own, httpAccepted: http.accepted, httpsAccepted: https.accepted },
      gauges: { ...gauges, httpActive: http.active, httpsActive: https.active },
      connectionsRefused: this.connectionsRefused.entries(),
      refused: this.refused.entries(),
      retries: this.retries.entries(),
      ejections: this.ejections.entries(),
      endpointsEjected: this.endpointsEjected,
      upstreamsPanicking: this.upstreamsPanicking,
    };
  }

  /** Adds what another worker counted. */
  add(counts: ProxyCounts): void {
    const { counters, gauges, connectionsRefused, refused, retries, ejections } = counts;
    for (const name of counterNames) this[name] += counters[name];
    this.http.accepted += counters.httpAccepted;
    this.https.accepted += counters.httpsAccepted;
    this.http.active += gauges.httpActive;
    this.https.active += gauges.httpsActive;
    for (const name of gaugeNames) this[name] += gauges[name];
    for (const [reason, count] of connectionsRefused) this.connectionsRefused.add(reason, count);
    for (const [code, count] of refused) this.refused.add(code, count);
    for (const [code, count] of retries) this.retries.add(code, count);
    for (const [reason, count] of ejections) this.ejections.add(reason, count);
    this.endpointsEjected = Math.max(this.endpointsEjected, counts.endpointsEjected);
    this.upstreamsPanicking = Math.max(this.upstreamsPanicking, counts.upstreamsPanicking);
  }

  /** Before the counts of all workers are added up. */
  clear(): void {
    for (const name of counterNames) this[name] = 0;
    for (const listener of [this.http, this.https]) {
      listener.accepted = 0;
      listener.active = 0;
    }
    for (const name of gaugeNames) this[name] = 0;
    this.connectionsRefused.clear();
    this.refused.clear();
    this.retries.clear();
    this.ejections.clear();
    this.endpointsEjected = 0;
    this.upstreamsPanicking = 0;
  }

  readonly samplers: Samplers = {
    connectionsRefused: () => this.connectionsRefused.samples(metricDefinitions.connectionsRefused.labels[0]),
    downstreamConnections: () => this.#perListener(({ active }) => active),
    downstreamAccepted: () => this.#perListener(({ accepted }) => accepted),
    tlsHandshakeFailures: () => single(this.tlsHandshakeFailures),
    upstreamConnections: () => [
      { labels: { state: "active" }, value: this.upstreamActive },
      { labels: { state: "idle" }, value: this.upstreamIdle },
    ],
    bufferedBytes: () => [
      { labels: { kind: "waiting" }, value: this.bufferedBytes },
      { labels: { kind: "kept_content" }, value: this.keptContentBytes },
    ],
    upstreamOpened: () => single(this.upstreamOpened),
    upstreamConnectFailures: () => single(this.upstreamConnectFailures),
    refusedRequests: () => this.refused.samples(metricDefinitions.refusedRequests.labels[0]),
    retries: () => this.retries.samples(metricDefinitions.retries.labels[0]),
    retriesOverBudget: () => single(this.retriesOverBudget),
    ejections: () => this.ejections.samples(metricDefinitions.ejections.labels[0]),
    endpointsEjected: () => single(this.endpointsEjected),
    upstreamsPanicking: () => single(this.upstreamsPanicking),
    internalErrors: () => single(this.internalErrors),
  };

  #perListener(read: (counters: ListenerCounters) => number): Sample[] {
    return [
      { labels: { listener: "http" }, value: read(this.http) },
      { labels: { listener: "https" }, value: read(this.https) },
    ];
  }
}
