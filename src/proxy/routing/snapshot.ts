// The compiled routing table and what a decision over it looks like. Types only: table.ts makes them, decide.ts uses
// them, and the rest of the proxy reads them. A snapshot never changes; a change of configuration makes a new one.
import type { ObjectRef } from "../../ir/object-ref.ts";
import type {
  CertificateIr,
  EndpointsIr,
  PathType,
  UpstreamId,
  UpstreamIr,
  VirtualHostIr,
} from "../../ir/routing.ts";
import type { Answer, BackendSelector, Filter, RouteSettings, UpstreamSettings } from "../filter.ts";

/** Routes and endpoints that belong together. Exchanges take one when their head is complete and keep it. */
export interface Snapshot {
  /** Grows by one with every snapshot, of either kind of change. */
  readonly generation: number;
  readonly table: RoutingTable;
  /** By upstream index. Replaced without recompiling the table when only endpoints change. */
  readonly endpoints: readonly EndpointsIr[];
}

export interface RoutingTable {
  /** By exact lower-case name. */
  readonly exactHosts: ReadonlyMap<string, VirtualHost>;
  /** By what follows the one label: `.foo.example` for `*.foo.example`. */
  readonly wildcardHosts: ReadonlyMap<string, VirtualHost>;
  readonly catchAll: VirtualHost;
  /** Null: a gap that an upstream left; nothing refers to it. */
  readonly upstreams: readonly (UpstreamIr | null)[];
  /** By upstream index. */
  readonly upstreamSettings: readonly CompiledUpstreamSettings[];
  readonly upstreamIndexes: ReadonlyMap<UpstreamId, number>;
  /** Index of the controller's default backend; -1: none, the built-in 404. */
  readonly defaultBackend: number;
  readonly certificates: ReadonlyMap<string, CertificateIr>;
  readonly defaultCertificate: CertificateIr | null;
  /**
   * Parts of the IR that could not be compiled, and why; everything else serves. A route answers 503; an alternative is
   * left out, so that its requests go to the primary backend; an upstream gets the default settings.
   */
  readonly problems: readonly string[];
  /** The same by `host` or `upstream` and its name. */
  readonly problemsByPart: ReadonlyMap<string, readonly string[]>;
}

export interface CompiledUpstreamSettings extends Readonly<UpstreamSettings> {
  /** What ingress-nginx calls it, and makes its session cookies of. Empty without affinity. */
  readonly name: string;
  /** What its session cookies are recognised by: their part after the `|`. Empty without affinity. */
  readonly sessionId: string;
  /** Its health check as a text: equal for upstreams whose endpoints are checked alike. Empty: none. */
  readonly check: string;
}

export interface VirtualHost {
  readonly ir: VirtualHostIr;
  readonly host: string;
  readonly isTls: boolean;
  readonly certificates: readonly CertificateIr[];
  /** Every route, in order of precedence: for printing and for explanations. */
  readonly routes: readonly CompiledRoute[];
  /**
   * By path, one character per byte. Holds the Exact routes, and a Prefix `/a` beside a Prefix `/a/`: the two share a key
   * below, and all that is left to `/a` is the request for exactly `/a`.
   */
  readonly exactPaths: ReadonlyMap<string, CompiledRoute>;
  /** Prefix routes by their path without trailing slash (the root is the empty string), one character per byte. */
  readonly prefixPaths: ReadonlyMap<string, CompiledRoute>;
  /** The lengths of the keys of `prefixPaths`, longest first: all a lookup has to try. */
  readonly prefixLengths: readonly number[];
  /** The Prefix `/`, which takes what nothing else does. */
  readonly root: CompiledRoute;
}

export interface CompiledRoute {
  /** Stable across snapshots as long as host, path and path type stay: `host path pathType`. */
  readonly id: string;
  readonly host: string;
  /** As in the IR. */
  readonly path: string;
  readonly pathType: PathType;
  readonly ingress: ObjectRef | null;
  readonly isImplicit: boolean;
  /** Index into the endpoints of the snapshot; -1: the controller's default backend. */
  readonly upstream: number;
  readonly alternatives: readonly CompiledAlternative[];
  /** Those with an `answer`, in order. */
  readonly filters: readonly NamedFilter[];
  /** For responses over a connection without TLS. */
  readonly responseFields: ResponseEdits;
  /** For responses over TLS: complete, so it takes the place of `responseFields`. */
  readonly responseFieldsOverTls: ResponseEdits;
  readonly settings: Readonly<RouteSettings>;
  /** Not null: answers 503, and why. */
  readonly denied: string | null;
  /** Of a Prefix `/a/`: the request for `/a` is redirected there. Null for all other routes. */
  readonly slashRedirect: SlashRedirect | null;
}

export interface SlashRedirect {
  /** The request path, one character per byte: `/a`. */
  readonly from: string;
  /** The path of the Location, percent-encoded: `/a/`. Made from the route, so nothing in it is the client's. */
  readonly to: string;
}

export interface NamedFilter {
  readonly feature: string;
  readonly filter: Filter;
}

/** Fields set on each response of a route, ready to be written. */
export interface ResponseEdits {
  /** Lower-case names whose fields from the backend are dropped. */
  readonly names: readonly string[];
  /** Complete field lines, each ending in CRLF; empty when there are none. */
  readonly lines: string;
}

export interface CompiledAlternative {
  readonly upstream: number;
  readonly ingress: ObjectRef;
  readonly selector: BackendSelector;
}

/** What happens to a request. */
export type Decision =
  | {
      readonly kind: "forward";
      readonly route: CompiledRoute;
      /** Index into the endpoints of the snapshot; they are not empty. */
      readonly upstream: number;
      /** The alternative that was chosen; null: the primary backend. */
      readonly alternative: CompiledAlternative | null;
    }
  | { readonly kind: "answer"; readonly route: CompiledRoute; readonly answer: Answer }
  | {
      readonly kind: "refuse";
      readonly route: CompiledRoute;
      readonly code: "notFound" | "noEndpoints" | "routeDenied";
      /** The upstream without endpoints; -1 for the other codes. */
      readonly upstream: number;
    };

/** One candidate that a decision weighed. Collected only when asked for. */
export interface TraceStep {
  readonly stage: "host" | "path" | "filter" | "backend";
  /** What was weighed: a host, `Prefix /a`, a feature, an upstream id. */
  readonly candidate: string;
  readonly outcome: "won" | "lost";
  /** In a few words: `the exact host comes first`, `weight: drew 0.734 of a share of 0.1`. */
  readonly reason: string;
}
