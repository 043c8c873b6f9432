// The IR in parts by key, and changes of it. A translation says which parts came out anew, workers are sent those that
// differ, and for a new worker everything differs from nothing. Lists stay sorted by patching: sorting 10 000 hosts
// takes 10 ms, and a change of one host must not cost that.
import { equalJson } from "../util/equal-json.ts";
import { compareText } from "./order.ts";
import type {
  CertificateIr,
  ConnectionsIr,
  EndpointsIr,
  RoutingIr,
  UpstreamIr,
  VirtualHostIr,
} from "./routing.ts";

export interface ListDelta<Item> {
  /** New or different. */
  readonly changed: readonly Item[];
  /** Keys. */
  readonly removed: readonly string[];
}

export interface TableDelta {
  readonly virtualHosts: ListDelta<VirtualHostIr>;
  readonly upstreams: ListDelta<UpstreamIr>;
  readonly endpoints: ListDelta<EndpointsIr>;
  readonly certificates: ListDelta<CertificateIr>;
  readonly defaultCertificate: RoutingIr["defaultCertificate"];
  readonly defaultBackend: RoutingIr["defaultBackend"];
  /** As a whole; absent: every default. */
  readonly connections?: ConnectionsIr;
}

export class TableParts {
  readonly #virtualHosts = new Part<VirtualHostIr>(({ host }) => host);
  readonly #upstreams = new Part<UpstreamIr>(({ id }) => id);
  readonly #endpoints = new Part<EndpointsIr>(({ upstream }) => upstream);
  readonly #certificates = new Part<CertificateIr>(({ id }) => id);
  #defaultCertificate: RoutingIr["defaultCertificate"] = null;
  #defaultBackend: RoutingIr["defaultBackend"] = null;
  #connections: ConnectionsIr | undefined;

  /** What makes `ir` of these parts. */
  differenceTo(ir: RoutingIr): TableDelta {
    return {
      virtualHosts: this.#virtualHosts.differenceTo(ir.virtualHosts),
      upstreams: this.#upstreams.differenceTo(ir.upstreams),
      endpoints: this.#endpoints.differenceTo(ir.endpoints),
      certificates: this.#certificates.differenceTo(ir.certificates),
      defaultCertificate: ir.defaultCertificate,
      defaultBackend: ir.defaultBackend,
      ...connectionsOf(ir.connections),
    };
  }

  /** What of `delta` is not so already: a part that was made anew need not have come out differently. */
  news(delta: TableDelta): TableDelta {
    return {
      virtualHosts: this.#virtualHosts.news(delta.virtualHosts),
      upstreams: this.#upstreams.news(delta.upstreams),
      endpoints: this.#endpoints.news(delta.endpoints),
      certificates: this.#certificates.news(delta.certificates),
      defaultCertificate: delta.defaultCertificate,
      defaultBackend: delta.defaultBackend,
      ...connectionsOf(delta.connections),
    };
  }

  /** `delta`, as `news` gave it, brings something besides endpoints. */
  changesRouting(delta: TableDelta): boolean {
    return (
      hasItems(delta.virtualHosts) ||
      hasItems(delta.upstreams) ||
      hasItems(delta.certificates) ||
      delta.defaultCertificate !== this.#defaultCertificate ||
      delta.defaultBackend !== this.#defaultBackend ||
      !equalJson(delta.connections, this.#connections)
    );
  }

  apply(delta: TableDelta): void {
    this.#virtualHosts.apply(delta.virtualHosts);
    this.#upstreams.apply(delta.upstreams);
    this.#endpoints.apply(delta.endpoints);
    this.#certificates.apply(delta.certificates);
    this.#defaultCertificate = delta.defaultCertificate;
    this.#defaultBackend = delta.defaultBackend;
    this.#connections = delta.connections;
  }

  /** Those of upstreams that are there. */
  setEndpoints(changed: readonly EndpointsIr[]): void {
    this.#endpoints.apply({
      changed: changed.filter((each) => this.#upstreams.has(each.upstream)),
      removed: [],
    });
  }

  toIr(): RoutingIr {
    return {
      virtualHosts: this.#virtualHosts.list(),
      upstreams: this.#upstreams.list(),
      certificates: this.#certificates.list(),
      defaultCertificate: this.#defaultCertificate,
      defaultBackend: this.#defaultBackend,
      ...connectionsOf(this.#connections),
      endpoints: this.#endpoints.list(),
    };
  }
}

/** Everything of `ir`, as a change of nothing. */
export function wholeTable(ir: RoutingIr): TableDelta {
  return {
    virtualHosts: { changed: ir.virtualHosts, removed: [] },
    upstreams: { changed: ir.upstreams, removed: [] },
    endpoints: { changed: ir.endpoints, removed: [] },
    certificates: { changed: ir.certificates, removed: [] },
    defaultCertificate: ir.defaultCertificate,
    defaultBackend: ir.defaultBackend,
    ...connectionsOf(ir.connections),
  };
}

function connectionsOf(connections: ConnectionsIr | undefined): { readonly connections?: ConnectionsIr } {
  return connections === undefined ? {} : { connections };
}

function hasItems({ changed, removed }: ListDelta<unknown>): boolean {
  return changed.length > 0 || removed.length > 0;
}

class Part<Item> {
  readonly #keyOf: (item: Item) => string;
  readonly #items = new Map<string, Item>();
  /** Sorted keys; null: to be sorted anew. */
  #keys: string[] | null = [];
  /** In the order of the keys; null: to be made. */
  #list: readonly Item[] | null = [];

  constructor(keyOf: (item: Item) => string) {
    this.#keyOf = keyOf;
  }

  has(key: string): boolean {
    return this.#items.has(key);
  }

  differenceTo(items: readonly Item[]): ListDelta<Item> {
    const keys = new Set(items.map(this.#keyOf));
    return {
      changed: items.filter((item) => !this.#isEqual(item)),
      removed: [...this.#items.keys()].filter((key) => !keys.has(key)),
    };
  }

  news({ changed, removed }: ListDelta<Item>): ListDelta<Item> {
    return {
      changed: changed.filter((item) => !this.#isEqual(item)),
      removed: removed.filter((key) => this.#items.has(key)),
    };
  }

  apply({ changed, removed }: ListDelta<Item>): void {
    if (changed.length === 0 && removed.length === 0) return;
    const added = changed.map(this.#keyOf).filter((key) => !this.#items.has(key));
    for (const key of removed) this.#items.delete(key);
    for (const item of changed) this.#items.set(this.#keyOf(item), item);
    this.#list = null;
    if (this.#keys === null || added.length > patchesMax) {
      this.#keys = null;
      return;
    }
    if (added.length === 0 && removed.length === 0) return;
    const keys = this.#keys.filter((key) => this.#items.has(key));
    for (const key of new Set(added)) keys.splice(lowerBound(keys, key), 0, key);
    this.#keys = keys;
  }

  /** In the order of the IR. */
  list(): readonly Item[] {
    this.#keys ??= [...this.#items.keys()].sort(compareText);
    this.#list ??= this.#keys.flatMap((key) => this.#items.get(key) ?? []);
    return this.#list;
  }

  #isEqual(item: Item): boolean {
    return equalJson(item, this.#items.get(this.#keyOf(item)));
  }
}

/** Keys that are put in their place one by one. */
const patchesMax = 64;

function lowerBound(keys: readonly string[], key: string): number {
  let low = 0;
  let high = keys.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (compareText(keys[middle] ?? "", key) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
