// The IR in parts by key, and what has changed between two of them: a worker is sent the virtual hosts, upstreams,
// endpoints and certificates that differ. For a new worker everything differs from nothing.
import { compareText } from "../../ir/order.ts";
import type { CertificateIr, EndpointsIr, RoutingIr, UpstreamIr, VirtualHostIr } from "../../ir/routing.ts";
import { equalJson } from "../../util/equal-json.ts";

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
}

export class TableParts {
  readonly #virtualHosts = new Part<VirtualHostIr>(({ host }) => host);
  readonly #upstreams = new Part<UpstreamIr>(({ id }) => id);
  readonly #endpoints = new Part<EndpointsIr>(({ upstream }) => upstream);
  readonly #certificates = new Part<CertificateIr>(({ id }) => id);
  #defaultCertificate: RoutingIr["defaultCertificate"] = null;
  #defaultBackend: RoutingIr["defaultBackend"] = null;

  /** What makes `ir` of these parts. */
  differenceTo(ir: RoutingIr): TableDelta {
    return {
      virtualHosts: this.#virtualHosts.differenceTo(ir.virtualHosts),
      upstreams: this.#upstreams.differenceTo(ir.upstreams),
      endpoints: this.#endpoints.differenceTo(ir.endpoints),
      certificates: this.#certificates.differenceTo(ir.certificates),
      defaultCertificate: ir.defaultCertificate,
      defaultBackend: ir.defaultBackend,
    };
  }

  apply(delta: TableDelta): void {
    this.#virtualHosts.apply(delta.virtualHosts);
    this.#upstreams.apply(delta.upstreams);
    this.#endpoints.apply(delta.endpoints);
    this.#certificates.apply(delta.certificates);
    this.#defaultCertificate = delta.defaultCertificate;
    this.#defaultBackend = delta.defaultBackend;
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
      endpoints: this.#endpoints.list(),
      certificates: this.#certificates.list(),
      defaultCertificate: this.#defaultCertificate,
      defaultBackend: this.#defaultBackend,
    };
  }
}

class Part<Item> {
  readonly #keyOf: (item: Item) => string;
  readonly #items = new Map<string, Item>();
  /** Null: to be made. Sorting 10 000 hosts takes a worker 10 ms, so what has not changed stays. */
  #list: readonly Item[] | null = null;

  constructor(keyOf: (item: Item) => string) {
    this.#keyOf = keyOf;
  }

  has(key: string): boolean {
    return this.#items.has(key);
  }

  differenceTo(items: readonly Item[]): ListDelta<Item> {
    const keys = new Set(items.map(this.#keyOf));
    return {
      changed: items.filter((item) => !equalJson(item, this.#items.get(this.#keyOf(item)))),
      removed: [...this.#items.keys()].filter((key) => !keys.has(key)),
    };
  }

  apply({ changed, removed }: ListDelta<Item>): void {
    if (changed.length > 0 || removed.length > 0) this.#list = null;
    for (const key of removed) this.#items.delete(key);
    for (const item of changed) this.#items.set(this.#keyOf(item), item);
  }

  /** In the order of the IR. */
  list(): readonly Item[] {
    this.#list ??= [...this.#items].sort(([a], [b]) => compareText(a, b)).map(([, item]) => item);
    return this.#list;
  }
}
