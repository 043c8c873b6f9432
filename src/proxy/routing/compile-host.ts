// Compiles one virtual host, and the settings of one upstream. What cannot be compiled is contained in its route and
// reported. A broken filter closes its route, since it may be one that protects.
import type {
  AlternativeIr,
  CertificateIr,
  FeatureIr,
  RouteIr,
  UpstreamId,
  UpstreamIr,
  VirtualHostIr,
} from "../../ir/routing.ts";
import type {
  BackendSelector,
  FeatureRuntime,
  FeatureRuntimes,
  RouteSettings,
  RouteView,
} from "../filter.ts";
import type { FilterLists } from "./filter-lists.ts";
import { pathBytes, prefixKey } from "./path.ts";
import type { ResponseEditsFactory } from "./response-edits.ts";
import type {
  CompiledAlternative,
  CompiledRoute,
  CompiledUpstreamSettings,
  NamedFilter,
  SlashRedirect,
  VirtualHost,
} from "./snapshot.ts";
import { compileUpstream, defaultUpstreamSettings } from "./upstream-settings.ts";

/** Defaults of what features may change; filter.ts says what each is. */
export const defaultRouteSettings: Readonly<RouteSettings> = {
  connectTimeoutMs: 5_000,
  sendTimeoutMs: 60_000,
  readTimeoutMs: 60_000,
  requestTimeoutMs: 0,
  contentMaxBytes: 1_048_576,
  contentBufferMaxBytes: 8 * 1024,
  readsAhead: false,
  readAheadMaxBytes: 1024 * 1024 + 4 * 4 * 1024,
  retries: {
    causes: ["stale", "error", "timeout"],
    statuses: [],
    isNonIdempotentIncluded: false,
    triesMax: 3,
    timeoutMs: 0,
  },
  sessionCookie: null,
};

/** What every host has even if the IR forgot: the root, served by the controller's default backend. */
const implicitRoot: RouteIr = {
  path: "/",
  pathType: "Prefix",
  ingress: null,
  isImplicit: true,
  backend: { kind: "default" },
  alternatives: [],
  features: [],
  denied: null,
};

/** What is shared during one compilation. */
export interface Compilation {
  readonly runtimes: FeatureRuntimes;
  readonly upstreamIndexes: ReadonlyMap<UpstreamId, number>;
  readonly certificates: ReadonlyMap<string, CertificateIr>;
  readonly filterLists: FilterLists;
  readonly edits: ResponseEditsFactory;
  /** Of the host or upstream being compiled. */
  problems: string[];
}

/** Settings of an upstream protect nothing, so it serves with the defaults rather than not at all. */
export function compileUpstreamSettings(ir: UpstreamIr, compilation: Compilation): CompiledUpstreamSettings {
  try {
    return compileUpstream(ir, (feature) => runtimeOf(feature, compilation));
  } catch (cause) {
    compilation.problems.push(`upstream ${ir.id}: ${messageOf(cause)}; it has the default settings`);
    return defaultUpstreamSettings;
  }
}

export function compileHost(ir: VirtualHostIr, compilation: Compilation): VirtualHost {
  const routes = ir.routes.map((route) => compileRoute(ir, route, compilation));
  let root = routes.find((route) => route.pathType === "Prefix" && route.path === "/");
  if (root === undefined) {
    root = compileRoute(ir, implicitRoot, compilation);
    routes.push(root);
  }
  const exactPaths = new Map<string, CompiledRoute>();
  const prefixPaths = new Map<string, CompiledRoute>();
  for (const route of routes) {
    if (route.pathType === "Exact") addOnce(exactPaths, pathBytes(route.path), route, compilation);
  }
  for (const route of routes) {
    if (route.pathType === "Prefix") addPrefix(route, { exactPaths, prefixPaths }, compilation);
  }
  const certificates = ir.certificates.flatMap((id) => compilation.certificates.get(id) ?? []);
  if (certificates.length < ir.certificates.length) {
    compilation.problems.push(`host ${ir.host}: a certificate is missing`);
  }
  const prefixLengths = [...new Set([...prefixPaths.keys()].map((key) => key.length))].sort((a, b) => b - a);
  return {
    ir,
    host: ir.host,
    isTls: ir.isTls,
    certificates,
    routes,
    exactPaths,
    prefixPaths,
    prefixLengths,
    root,
  };
}

type Paths = Record<"exactPaths" | "prefixPaths", Map<string, CompiledRoute>>;

function addPrefix(route: CompiledRoute, paths: Paths, compilation: Compilation): void {
  const key = prefixKey(pathBytes(route.path));
  const { exactPaths, prefixPaths } = paths;
  const other = prefixPaths.get(key);
  if (other === undefined || other.path === route.path) return addOnce(prefixPaths, key, route, compilation);
  // Prefix `/a` and Prefix `/a/`: the longer one takes everything below, the shorter one only `/a`.
  const [longer, shorter] = route.path.endsWith("/") ? [route, other] : [other, route];
  prefixPaths.set(key, longer);
  if (!exactPaths.has(key)) exactPaths.set(key, shorter);
}

function addOnce(
  paths: Map<string, CompiledRoute>,
  key: string,
  route: CompiledRoute,
  compilation: Compilation,
): void {
  if (paths.has(key)) compilation.problems.push(`route ${route.id}: declared twice; the first one serves`);
  else paths.set(key, route);
}

function compileRoute(host: VirtualHostIr, ir: RouteIr, compilation: Compilation): CompiledRoute {
  try {
    return buildRoute(host, ir, compilation);
  } catch (cause) {
    const denied = messageOf(cause);
    compilation.problems.push(`route ${routeId(host, ir)}: ${denied}; it answers 503`);
    const bare = { ...ir, backend: { kind: "default" }, alternatives: [], features: [], denied } as const;
    return buildRoute(host, bare, compilation);
  }
}

/** Throws when a feature does, when a runtime is missing, or when the upstream is not in the IR. */
function buildRoute(host: VirtualHostIr, ir: RouteIr, compilation: Compilation): CompiledRoute {
  const view: RouteView = { host: host.host, path: ir.path, pathType: ir.pathType, isTls: host.isTls };
  const settings: RouteSettings = { ...defaultRouteSettings };
  const filters: NamedFilter[] = [];
  for (const each of ir.features) {
    const runtime = runtimeOf(each, compilation);
    if ("apply" in runtime) runtime.apply(settings, each.config, view);
    else if ("createFilter" in runtime) {
      const filter = runtime.createFilter(each.config, view);
      if (filter !== null) filters.push({ feature: each.feature, filter });
    } else throw new TypeError(`feature ${each.feature} is not one of routes`);
  }
  const all = filters.map(({ filter }) => filter);
  return {
    id: routeId(host, ir),
    host: host.host,
    path: ir.path,
    pathType: ir.pathType,
    ingress: ir.ingress,
    isImplicit: ir.isImplicit,
    upstream: ir.backend.kind === "default" ? -1 : upstreamIndex(ir.backend.upstream, compilation),
    alternatives: ir.alternatives.flatMap((each) => compileAlternative(routeId(host, ir), each, compilation)),
    filters: compilation.filterLists.share(filters.filter(({ filter }) => filter.answer !== undefined)),
    responseFields: compilation.edits.make(all, false),
    responseFieldsOverTls: compilation.edits.make(all, true),
    settings,
    denied: ir.denied,
    slashRedirect: slashRedirect(ir),
  };
}

function routeId(host: VirtualHostIr, { path, pathType }: RouteIr): string {
  return `${host.host} ${path} ${pathType}`;
}

/** Empty when it cannot be compiled: the primary backend then takes its requests, so nothing is opened by leaving it out. */
function compileAlternative(
  route: string,
  ir: AlternativeIr,
  compilation: Compilation,
): readonly CompiledAlternative[] {
  try {
    const upstream = upstreamIndex(ir.upstream, compilation);
    return [{ upstream, ingress: ir.ingress, selector: createSelector(ir, compilation) }];
  } catch (cause) {
    compilation.problems.push(`route ${route}, alternative ${ir.upstream}: ${messageOf(cause)}; left out`);
    return [];
  }
}

function createSelector(ir: AlternativeIr, compilation: Compilation): BackendSelector {
  for (const each of ir.features) {
    const runtime = runtimeOf(each, compilation);
    if ("createSelector" in runtime) return runtime.createSelector(each.config);
  }
  throw new TypeError("no feature says which requests it gets");
}

function runtimeOf({ feature }: FeatureIr, compilation: Compilation): FeatureRuntime<unknown> {
  const runtime = compilation.runtimes.get(feature);
  if (runtime === undefined) throw new TypeError(`there is no feature ${JSON.stringify(feature)}`);
  return runtime;
}

function upstreamIndex(id: UpstreamId, compilation: Compilation): number {
  const index = compilation.upstreamIndexes.get(id);
  if (index === undefined) throw new TypeError(`there is no upstream ${JSON.stringify(id)}`);
  return index;
}

function slashRedirect({ path, pathType }: RouteIr): SlashRedirect | null {
  if (pathType !== "Prefix" || path === "/" || !path.endsWith("/")) return null;
  // encodeURI keeps these two, which would end the path.
  const to = encodeURI(path.toWellFormed()).replaceAll("?", "%3F").replaceAll("#", "%23");
  return { from: prefixKey(pathBytes(path)), to };
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}
