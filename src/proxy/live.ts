// A snapshot together with what outlives snapshots: the balancers of its upstreams and the counters of its routes.
// Replaced by one assignment; exchanges keep the one they began with.
import type { RequestMetrics, RouteCells, RouteLabels } from "../metrics/request-metrics.ts";
import { pathBytes, prefixKey } from "./routing/path.ts";
import type { CompiledAlternative, CompiledRoute, Snapshot } from "./routing/snapshot.ts";
import type { Balancer } from "./upstream/balancer/balancer.ts";
import type { EndpointHealth } from "./upstream/health.ts";

/** An upstream as exchanges hold it: the balancer may be replaced meanwhile. */
export interface LiveUpstream {
  readonly balancer: Balancer<EndpointHealth>;
}

export class Live {
  readonly snapshot: Snapshot;
  readonly #upstreams: readonly (LiveUpstream | null)[];
  readonly #metrics: RequestMetrics;
  /** By route, or by alternative for requests that went to one; filled as requests come. */
  readonly #cells = new Map<CompiledRoute | CompiledAlternative, RouteCells>();

  /** `upstreams` by their index. */
  constructor(snapshot: Snapshot, upstreams: readonly (LiveUpstream | null)[], metrics: RequestMetrics) {
    this.snapshot = snapshot;
    this.#upstreams = upstreams;
    this.#metrics = metrics;
  }

  upstream(index: number): LiveUpstream | null {
    return this.#upstreams[index] ?? null;
  }

  /** The table has a route, or an alternative of one, with these labels. */
  isConfigured(labels: RouteLabels): boolean {
    return routesAt(this.snapshot, labels.host, labels.path).some((route) =>
      [null, ...route.alternatives].some((alternative) =>
        isSame(labels, routeLabels(this.snapshot, route, alternative)),
      ),
    );
  }

  cells(route: CompiledRoute, alternative: CompiledAlternative | null): RouteCells {
    const key = alternative ?? route;
    let cells = this.#cells.get(key);
    if (cells === undefined) {
      cells = this.#metrics.cellsFor(routeLabels(this.snapshot, route, alternative));
      this.#cells.set(key, cells);
    }
    return cells;
  }
}

/** The routes of a host that have this path: an Exact one, a Prefix one, or both. */
function routesAt(snapshot: Snapshot, hostName: string, path: string): readonly CompiledRoute[] {
  const { exactHosts, wildcardHosts, catchAll } = snapshot.table;
  const host =
    hostName === "" ? catchAll : (exactHosts.get(hostName) ?? wildcardHosts.get(hostName.slice(1)));
  if (host === undefined) return [];
  const bytes = pathBytes(path);
  const found = [host.exactPaths.get(bytes), host.prefixPaths.get(prefixKey(bytes))];
  return found.flatMap((route) => (route?.path === path ? [route] : []));
}

function isSame(a: RouteLabels, b: RouteLabels): boolean {
  return (
    a.namespace === b.namespace &&
    a.ingress === b.ingress &&
    a.service === b.service &&
    a.isCanary === b.isCanary
  );
}

/** The Ingress and service of the backend that took the request: those of the canary for a canary's. */
export function routeLabels(
  snapshot: Snapshot,
  route: CompiledRoute,
  alternative: CompiledAlternative | null,
): RouteLabels {
  const ingress = alternative?.ingress ?? route.ingress;
  const upstream = snapshot.table.upstreams[alternative?.upstream ?? route.upstream];
  return {
    namespace: ingress?.namespace ?? "",
    ingress: ingress?.name ?? "",
    service: upstream?.service ?? "",
    host: route.host,
    path: route.path,
    isCanary: alternative !== null,
  };
}
