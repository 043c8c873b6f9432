// Requests by route. The data path asks for a route's cells once for each compiled route and then calls `observe` at
// the end of every exchange; that call touches typed arrays only and allocates nothing once a status has been seen.
import { durationBucketsSeconds, metricDefinitions } from "./definitions.ts";
import { add, Histogram } from "./histogram.ts";
import type { MetricSource, Sample, Samplers } from "./samples.ts";

/** Which route and backend. Host and path are those of the configuration; empty where there is none. */
export interface RouteLabels {
  readonly namespace: string;
  readonly ingress: string;
  readonly service: string;
  readonly host: string;
  readonly path: string;
  readonly isCanary: boolean;
}

/** The counts of one route as plain data, which a message can carry. */
export interface RouteCounts {
  readonly labels: RouteLabels;
  /** By slot: what is counted there, and how often. */
  readonly keys: Uint32Array;
  readonly counts: Float64Array;
  readonly durations: Float64Array;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

/** Cells of routes that are no longer configured stay this long, so that a last scrape sees their final counts. */
export const retiredCellsKeepMs = 300_000;

/** Routes counted on their own; those beyond share one set of cells with empty labels. */
export const routeCellsMax = 100_000;

const methods = ["OTHER", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE"];
const methodIndexes: ReadonlyMap<string, number> = new Map(methods.map((method, index) => [method, index]));
/** A slot's key is `method * statusesMax + status`. */
const statusesMax = 1024;
const durationBounds = Float64Array.from(durationBucketsSeconds);

/** The counts of one route and backend. */
export class RouteCells {
  readonly labels: RouteLabels;
  readonly durations = new Histogram(durationBounds);
  /** Where in `#counts` a method and status are counted. */
  readonly #slots = new Map<number, number>();
  #counts = new Float64Array(4);
  #lastKey = -1;
  #lastSlot = 0;
  #bytesIn = 0;
  #bytesOut = 0;

  constructor(labels: RouteLabels) {
    this.labels = labels;
  }

  /** One finished exchange. Bytes are those of the content; a status outside 100 to 599 counts as 0. */
  observe(status: number, method: string, durationMs: number, bytesIn: number, bytesOut: number): void {
    const known = status >= 100 && status < 600 ? status : 0;
    const key = (methodIndexes.get(method) ?? 0) * statusesMax + known;
    if (key !== this.#lastKey) {
      this.#lastSlot = this.#slotOf(key);
      this.#lastKey = key;
    }
    add(this.#counts, this.#lastSlot, 1);
    this.durations.observe(durationMs / 1000);
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  counts(): { method: string; status: number; count: number }[] {
    return [...this.#slots].map(([key, slot]) => ({
      method: methods[Math.floor(key / statusesMax)] ?? "OTHER",
      status: key % statusesMax,
      count: this.#counts[slot] ?? 0,
    }));
  }

  get bytesIn(): number {
    return this.#bytesIn;
  }

  get bytesOut(): number {
    return this.#bytesOut;
  }

  /** As plain data. */
  export(): RouteCounts {
    return {
      labels: this.labels,
      keys: Uint32Array.from(this.#slots.keys()),
      counts: this.#counts.slice(0, this.#slots.size),
      durations: this.durations.cells(),
      bytesIn: this.#bytesIn,
      bytesOut: this.#bytesOut,
    };
  }

  /** Adds what another worker counted. */
  add({ keys, counts, durations, bytesIn, bytesOut }: RouteCounts): void {
    for (const [slot, key] of keys.entries()) add(this.#counts, this.#slotOf(key), counts[slot] ?? 0);
    this.durations.add(durations);
    this.#bytesIn += bytesIn;
    this.#bytesOut += bytesOut;
  }

  #slotOf(key: number): number {
    return this.#slots.get(key) ?? this.#addSlot(key);
  }

  #addSlot(key: number): number {
    const slot = this.#slots.size;
    this.#slots.set(key, slot);
    if (slot === this.#counts.length) {
      const grown = new Float64Array(slot * 2);
      grown.set(this.#counts);
      this.#counts = grown;
    }
    return slot;
  }
}

const noLabels: RouteLabels = {
  namespace: "",
  ingress: "",
  service: "",
  host: "",
  path: "",
  isCanary: false,
};

export class RequestMetrics implements MetricSource {
  readonly #routes = new Map<string, { readonly cells: RouteCells; retiredAtMs: number }>();
  #overflow = new RouteCells(noLabels);

  /**
   * The cells of a route: the same ones for equal labels. Ask again for every new table and keep them no longer
   * than the compiled route, since the cells of routes that are gone are dropped.
   */
  cellsFor(labels: RouteLabels): RouteCells {
    const key = routeKey(labels);
    const known = this.#routes.get(key);
    if (known !== undefined) {
      known.retiredAtMs = -1;
      return known.cells;
    }
    if (this.#routes.size >= routeCellsMax) return this.#overflow;
    const cells = new RouteCells(labels);
    this.#routes.set(key, { cells, retiredAtMs: -1 });
    return cells;
  }

  /** Called with every new table: drops the cells of routes that have been gone for `retiredCellsKeepMs`. */
  keepConfigured(isConfigured: (labels: RouteLabels) => boolean, nowMs: number): void {
    for (const [key, route] of this.#routes) {
      if (isConfigured(route.cells.labels)) route.retiredAtMs = -1;
      else if (route.retiredAtMs < 0) route.retiredAtMs = nowMs;
      else if (nowMs - route.retiredAtMs >= retiredCellsKeepMs) this.#routes.delete(key);
    }
  }

  /** All counts as plain data. */
  counts(): RouteCounts[] {
    return this.#all().map((cells) => cells.export());
  }

  /** Adds what another worker counted. */
  add(routes: readonly RouteCounts[]): void {
    for (const route of routes) {
      const isOverflow = routeKey(route.labels) === routeKey(noLabels);
      (isOverflow ? this.#overflow : this.cellsFor(route.labels)).add(route);
    }
  }

  /** Before the counts of all workers are added up. */
  clear(): void {
    this.#routes.clear();
    this.#overflow = new RouteCells(noLabels);
  }

  readonly samplers: Samplers = {
    requests: () =>
      this.#all().flatMap((cells) => {
        const labels = prometheusLabels(cells.labels);
        return cells.counts().map(({ method, status, count }): Sample => ({
          labels: { ...labels, method, status: String(status) },
          value: count,
        }));
      }),
    requestDuration: () =>
      this.#all().flatMap((cells) =>
        cells.durations.samples(metricDefinitions.requestDuration.name, prometheusLabels(cells.labels)),
      ),
    requestBytes: () => this.#perRoute((cells) => cells.bytesIn),
    responseBytes: () => this.#perRoute((cells) => cells.bytesOut),
  };

  #all(): RouteCells[] {
    const all = [...this.#routes.values()].map((route) => route.cells);
    return this.#overflow.counts().length > 0 ? [...all, this.#overflow] : all;
  }

  #perRoute(read: (cells: RouteCells) => number): Sample[] {
    return this.#all().map((cells) => ({ labels: prometheusLabels(cells.labels), value: read(cells) }));
  }
}

/** No label can hold a line feed: hosts, paths and Kubernetes names are checked before they reach the IR. */
function routeKey({ namespace, ingress, service, host, path, isCanary }: RouteLabels): string {
  return `${namespace}\n${ingress}\n${service}\n${host}\n${path}\n${isCanary}`;
}

function prometheusLabels(labels: RouteLabels): Record<string, string> {
  const { namespace, ingress, service, host, path, isCanary } = labels;
  return { namespace, ingress, service, host, path, canary: String(isCanary) };
}
