// Compiles the routing IR into the tables that decide.ts looks things up in, and changes of it into the next ones. Pure
// and total.
import type { EndpointsIr, RoutingIr, UpstreamId, UpstreamIr, VirtualHostIr } from "../../ir/routing.ts";
import { wholeTable, type ListDelta, type TableDelta } from "../../ir/table-parts.ts";
import type { FeatureRuntimes } from "../filter.ts";
import { compileHost, compileUpstreamSettings, type Compilation } from "./compile-host.ts";
import { FilterLists } from "./filter-lists.ts";
import { ResponseEditsFactory } from "./response-edits.ts";
import type { CompiledUpstreamSettings, RoutingTable, Snapshot, VirtualHost } from "./snapshot.ts";
import { defaultUpstreamSettings } from "./upstream-settings.ts";

/** What a table is made from. Only the first one is made from none. */
type Former = Omit<RoutingTable, "catchAll"> & { readonly catchAll: VirtualHost | null };

const nothing: Former = {
  exactHosts: new Map(),
  wildcardHosts: new Map(),
  catchAll: null,
  upstreams: [],
  upstreamSettings: [],
  upstreamIndexes: new Map(),
  defaultBackend: -1,
  certificates: new Map(),
  defaultCertificate: null,
  problems: [],
  problemsByPart: new Map(),
};

/** `runtimes` are those of every feature the IR may name. The generation follows that of `previous`. */
export function compile(ir: RoutingIr, runtimes: FeatureRuntimes, previous: Snapshot | null): Snapshot {
  const former = { generation: previous?.generation ?? 0, table: nothing, endpoints: [] };
  return recompile(former, wholeTable(ir), runtimes);
}

/**
 * The table of `previous` with what `delta` brings: the hosts in it are compiled, all others are taken over. Upstreams
 * keep their indexes, since routes hold them.
 */
export function recompile(
  previous: Pick<Snapshot, "generation" | "endpoints"> & { readonly table: Former },
  delta: TableDelta,
  runtimes: FeatureRuntimes,
): Snapshot {
  const before = previous.table;
  const upstreams = placeUpstreams(before, delta.upstreams);
  const certificates = patchedMap(before.certificates, delta.certificates, ({ id }) => id);
  const compilation: Compilation = {
    runtimes,
    upstreamIndexes: upstreams.indexes,
    certificates,
    filterLists: new FilterLists(),
    edits: new ResponseEditsFactory(),
    problems: [],
  };
  const problems = new Map(before.problemsByPart);
  const { defaultCertificate, defaultBackend } = delta;
  const hosts = compileHosts(before, delta, { compilation, problems, freed: upstreams.freed });
  const upstreamSettings = compileAllSettings(before, upstreams, { compilation, problems });
  return {
    generation: previous.generation + 1,
    table: {
      ...hosts,
      upstreams: upstreams.list,
      upstreamSettings,
      upstreamIndexes: upstreams.indexes,
      defaultBackend: defaultBackend === null ? -1 : (upstreams.indexes.get(defaultBackend) ?? -1),
      certificates,
      defaultCertificate: defaultCertificate === null ? null : (certificates.get(defaultCertificate) ?? null),
      problems: [...problems.values()].flat(),
      problemsByPart: problems,
    },
    endpoints: placeEndpoints(previous, upstreams, delta.endpoints.changed),
  };
}

/** The same table with other endpoints. Those of upstreams that the table does not have are left out. */
export function withEndpoints(snapshot: Snapshot, changed: readonly EndpointsIr[]): Snapshot {
  const endpoints = snapshot.endpoints.slice();
  for (const each of changed) {
    const index = snapshot.table.upstreamIndexes.get(each.upstream);
    if (index !== undefined) endpoints[index] = each;
  }
  return { generation: snapshot.generation + 1, table: snapshot.table, endpoints };
}

interface Upstreams {
  readonly list: readonly (UpstreamIr | null)[];
  readonly indexes: ReadonlyMap<UpstreamId, number>;
  /** Indexes whose upstream is gone, or another one. */
  readonly freed: ReadonlySet<number>;
  /** Indexes whose upstream is new or different. */
  readonly changed: readonly number[];
}

/** An upstream that is gone leaves a gap, which the next new one fills. */
function placeUpstreams(before: Former, delta: TableDelta["upstreams"]): Upstreams {
  const freed = new Set<number>();
  const changed: number[] = [];
  if (delta.changed.length === 0 && delta.removed.length === 0) {
    return { list: before.upstreams, indexes: before.upstreamIndexes, freed, changed };
  }
  const list = before.upstreams.slice();
  const indexes = new Map(before.upstreamIndexes);
  for (const id of delta.removed) {
    const index = indexes.get(id);
    if (index === undefined) continue;
    indexes.delete(id);
    list[index] = null;
    freed.add(index);
  }
  const gaps =
    list.length === indexes.size ? [] : list.flatMap((each, index) => (each === null ? index : []));
  for (const upstream of delta.changed) {
    const index = indexes.get(upstream.id) ?? gaps.shift() ?? list.length;
    indexes.set(upstream.id, index);
    list[index] = upstream;
    changed.push(index);
  }
  return { list, indexes, freed, changed };
}

/** By upstream index; an upstream without an entry has no endpoints. */
function placeEndpoints(
  { endpoints: before }: Pick<Snapshot, "endpoints">,
  { list, indexes, freed, changed: placed }: Upstreams,
  changed: readonly EndpointsIr[],
): readonly EndpointsIr[] {
  const endpoints = before.slice();
  for (const index of [...freed, ...placed]) {
    const id = list[index]?.id ?? "";
    if (endpoints[index]?.upstream !== id) endpoints[index] = { upstream: id, addresses: [], dns: null };
  }
  for (const each of changed) {
    const index = indexes.get(each.upstream);
    if (index !== undefined) endpoints[index] = each;
  }
  return endpoints;
}

interface Progress {
  readonly compilation: Compilation;
  /** By host or upstream. */
  readonly problems: Map<string, readonly string[]>;
}

type Hosts = Pick<RoutingTable, "exactHosts" | "wildcardHosts" | "catchAll">;

function compileHosts(
  before: Former,
  delta: TableDelta,
  { compilation, problems, freed }: Progress & { readonly freed: ReadonlySet<number> },
): Hosts {
  const exactHosts = new Map(before.exactHosts);
  const wildcardHosts = new Map(before.wildcardHosts);
  let catchAll: VirtualHost | null = before.catchAll;
  const compiled = (ir: VirtualHostIr): VirtualHost =>
    noting(`host ${ir.host}`, { compilation, problems }, () => compileHost(ir, compilation));
  const place = (host: VirtualHost): void => {
    if (host.host === "") catchAll = host;
    else if (host.host.startsWith("*.")) wildcardHosts.set(host.host.slice(1), host);
    else exactHosts.set(host.host, host);
  };
  for (const name of delta.virtualHosts.removed) {
    problems.delete(`host ${name}`);
    if (name === "") catchAll = null;
    else if (name.startsWith("*.")) wildcardHosts.delete(name.slice(1));
    else exactHosts.delete(name);
  }
  for (const ir of delta.virtualHosts.changed) place(compiled(ir));
  const { changed, removed } = delta.certificates;
  const certificates = new Set(
    [...changed.map(({ id }) => id), ...removed].filter((id) => before.certificates.has(id)),
  );
  if (freed.size > 0 || certificates.size > 0 || problems.size > 0) {
    // Whoever publishes names these hosts too, as far as they are whole. But a route to an upstream that is gone must not
    // lead to another's, and what was missing may be there now.
    const fresh = new Set(delta.virtualHosts.changed.map(({ host }) => host));
    const others = [
      ...exactHosts.values(),
      ...wildcardHosts.values(),
      ...(catchAll === null ? [] : [catchAll]),
    ];
    for (const host of others) {
      const isStale =
        usesUpstream(host, freed) || usesCertificate(host, certificates) || problems.has(`host ${host.host}`);
      if (isStale && !fresh.has(host.host)) place(compiled(host.ir));
    }
  }
  catchAll ??= compiled({ host: "", isTls: false, certificates: [], routes: [] });
  return { exactHosts, wildcardHosts, catchAll };
}

function usesUpstream({ routes }: VirtualHost, indexes: ReadonlySet<number>): boolean {
  return (
    indexes.size > 0 &&
    routes.some(
      ({ upstream, alternatives }) =>
        indexes.has(upstream) || alternatives.some((each) => indexes.has(each.upstream)),
    )
  );
}

function usesCertificate({ certificates }: VirtualHost, ids: ReadonlySet<string>): boolean {
  return ids.size > 0 && certificates.some(({ id }) => ids.has(id));
}

/** Keeps the problems that `work` has, in place of those of before. */
function noting<T>(key: string, { compilation, problems }: Progress, work: () => T): T {
  compilation.problems = [];
  const result = work();
  if (compilation.problems.length > 0) problems.set(key, compilation.problems);
  else problems.delete(key);
  return result;
}

function patchedMap<Item>(
  before: ReadonlyMap<string, Item>,
  { changed, removed }: ListDelta<Item>,
  keyOf: (item: Item) => string,
): ReadonlyMap<string, Item> {
  if (changed.length === 0 && removed.length === 0) return before;
  const after = new Map(before);
  for (const key of removed) after.delete(key);
  for (const item of changed) after.set(keyOf(item), item);
  return after;
}

function compileAllSettings(
  before: Former,
  upstreams: Upstreams,
  progress: Progress,
): readonly CompiledUpstreamSettings[] {
  if (upstreams.list === before.upstreams) return before.upstreamSettings;
  const settings = before.upstreamSettings.slice();
  for (const index of upstreams.freed) {
    progress.problems.delete(`upstream ${before.upstreams[index]?.id ?? ""}`);
    settings[index] = defaultUpstreamSettings;
  }
  for (const index of upstreams.changed) {
    const upstream = upstreams.list[index];
    if (upstream === undefined || upstream === null) continue;
    settings[index] = noting(`upstream ${upstream.id}`, progress, () =>
      compileUpstreamSettings(upstream, progress.compilation),
    );
  }
  return settings;
}
