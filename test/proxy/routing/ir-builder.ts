// Short ways to write a routing IR and a request in tests.
import type { AlternativeIr, BackendIr, FeatureIr, RouteIr, RoutingIr } from "../../../src/ir/routing.ts";
import { compareRoutes } from "../../../src/ir/order.ts";
import type { RequestView } from "../../../src/proxy/filter.ts";
import { parseAuthority } from "../../../src/proxy/routing/host.ts";
import { normalizePath } from "../../../src/proxy/routing/path.ts";

export interface RouteOptions {
  readonly upstream?: string | null;
  readonly features?: readonly FeatureIr[];
  readonly alternatives?: readonly { readonly upstream: string; readonly features: readonly FeatureIr[] }[];
  readonly denied?: string;
  readonly isImplicit?: boolean;
}

/** `route("Prefix /a")` goes to the upstream `Prefix /a`, so that a test can read off who won. */
export function route(text: string, options: RouteOptions = {}): RouteIr {
  const space = text.indexOf(" ");
  const [pathType, path] = [text.slice(0, space), text.slice(space + 1)];
  const upstream = options.upstream === undefined ? text : options.upstream;
  const backend: BackendIr = upstream === null ? { kind: "default" } : { kind: "upstream", upstream };
  return {
    path,
    pathType: pathType === "Exact" ? "Exact" : "Prefix",
    ingress: { kind: "Ingress", namespace: "default", name: "web" },
    isImplicit: options.isImplicit ?? false,
    backend,
    alternatives: (options.alternatives ?? []).map(({ upstream, features }): AlternativeIr => ({
      upstream,
      ingress: { kind: "Ingress", namespace: "default", name: upstream },
      features,
    })),
    features: options.features ?? [],
    denied: options.denied ?? null,
  };
}

export interface IrOptions {
  readonly hosts: Readonly<Record<string, readonly RouteIr[]>>;
  readonly tlsHosts?: readonly string[];
  /** Upstreams without endpoints; all others have one. */
  readonly empty?: readonly string[];
  readonly defaultBackend?: string;
}

export function routingIr({ hosts, tlsHosts = [], empty = [], defaultBackend }: IrOptions): RoutingIr {
  const ids = new Set(defaultBackend === undefined ? [] : [defaultBackend]);
  for (const each of Object.values(hosts).flat()) {
    if (each.backend.kind === "upstream") ids.add(each.backend.upstream);
    for (const { upstream } of each.alternatives) ids.add(upstream);
  }
  const upstreams = [...ids].sort().map((id) => ({ id, namespace: "default", service: id, port: "80" }));
  return {
    virtualHosts: Object.keys({ "": [], ...hosts })
      .sort()
      .map((host) => ({
        host,
        isTls: tlsHosts.includes(host),
        certificates: [],
        routes: (hosts[host] ?? []).toSorted(compareRoutes),
      })),
    upstreams,
    endpoints: upstreams.map(({ id }) => ({
      upstream: id,
      addresses: empty.includes(id) ? [] : [{ address: "10.0.0.1", port: 80, weight: 1 }],
      dns: null,
    })),
    certificates: [],
    defaultCertificate: null,
    defaultBackend: defaultBackend ?? null,
  };
}

export interface RequestOptions {
  readonly isTls?: boolean;
  readonly draw?: number;
  /** By lower-case name. */
  readonly fields?: Readonly<Record<string, string>>;
}

/** `request("a.example/x?y")`; without host when it begins with a slash. */
export function request(url: string, options: RequestOptions = {}): RequestView {
  const slash = url.indexOf("/");
  const authority = url.slice(0, slash);
  const target = url.slice(slash);
  const host = authority === "" ? "" : parseAuthority(authority);
  const path = normalizePath(target);
  if (host === null || path === null) throw new Error(`not a valid request: ${url}`);
  return {
    method: "GET",
    isTls: options.isTls ?? false,
    authority,
    host,
    target,
    path,
    clientAddress: "192.0.2.1",
    draw: options.draw ?? 0.5,
    field: (name) => options.fields?.[name],
  };
}
