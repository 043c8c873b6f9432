// The contract between the data path and the features. Everything here runs inside decide(): pure, synchronous,
// no clock and no randomness of its own, so that explaining a decision runs the very code that took it.

/** What a decision may depend on. The exchange implements it; tools make one from a description of a request. */
export interface RequestView {
  /** As sent; methods are case-sensitive. */
  readonly method: string;
  /** The connection to Fairway is TLS. */
  readonly isTls: boolean;
  /** `host[:port]` as the client sent it; empty when it sent none. */
  readonly authority: string;
  /** Lower case, without port and without one trailing dot. */
  readonly host: string;
  /** The request target in origin form as sent, with its query. Forwarded unchanged. */
  readonly target: string;
  /** The path of the target: percent-decoded (one byte is one UTF-16 unit), dot segments and double slashes resolved. */
  readonly path: string;
  /** Textual address of the peer. */
  readonly clientAddress: string;
  /** Uniform in [0, 1), drawn once for the request. */
  readonly draw: number;
  /** The value of a field by lower-case name; repeated fields joined with `, ` (`cookie` with `; `); undefined when absent. */
  field(name: string): string | undefined;
}

/** The route whose filters run, as far as a filter may know it. */
export interface RouteView {
  /** Of the virtual host: a name, `*.name`, or empty for the catch-all. */
  readonly host: string;
  readonly path: string;
  readonly pathType: "Exact" | "Prefix";
  /** The host has a TLS entry, its own or that of a wildcard above it. */
  readonly isTls: boolean;
}

/** A field of a response: a name in lower case, and a value without CR, LF or NUL. */
export interface Field {
  readonly name: string;
  readonly value: string;
}

/** A response that a filter gives instead of forwarding the request. */
export interface Answer {
  readonly status: number;
  readonly fields: readonly Field[];
  /** For logs and explanations: what decided, in a few words. */
  readonly reason: string;
}

/** Made once per snapshot and route, called for each request. */
export interface Filter {
  /** Null: go on. Called in registry order; the first answer wins. */
  answer?(request: RequestView): Answer | null;
  /** Set on every response of the route, generated ones too, replacing the backend's fields of the same name. */
  readonly responseFields?: readonly ResponseField[];
}

export interface ResponseField extends Field {
  /** Only on responses over TLS. */
  readonly onlyOverTls: boolean;
}

/** What one rule of an alternative says to a request. */
export const Verdict = {
  /** The rule does not apply: ask the next one. */
  Next: 0,
  /** The request goes to this alternative. */
  Take: 1,
  /** The request does not go to this alternative, whatever its later rules say. */
  Refuse: 2,
} as const;
export type Verdict = (typeof Verdict)[keyof typeof Verdict];

/** One rule that selects an alternative, with the words that explain it. */
export interface SelectionRule {
  readonly description: string;
  judge(request: RequestView): Verdict;
}

/** Says which requests of a route go to an alternative upstream. */
export interface BackendSelector {
  /** In order of precedence: rule `i` of every alternative is asked before rule `i + 1` of any. */
  readonly rules: readonly (SelectionRule | null)[];
  /** Share of the requests that no rule decided: 0 to 1. */
  readonly share: number;
}

/** Settings of the core that features may change while a route is compiled. */
export interface RouteSettings {
  /** Time to establish a connection to an endpoint. Default 5 000 ms. */
  connectTimeoutMs: number;
  /** Time between two writes of the request to an endpoint. Default 60 000 ms. */
  sendTimeoutMs: number;
  /** Time to the first byte of the response, and between two reads of it. Default 60 000 ms. */
  readTimeoutMs: number;
  /** Time from the end of the request's head to the head of the response, tries included; then 504. Default 0: any. */
  requestTimeoutMs: number;
  /** Larger request content is answered with 413. Default 1 MiB; 0: no limit. */
  contentMaxBytes: number;
  /** The cookie that tells a client which endpoint has its session. Default null: it is told nothing. */
  sessionCookie: SessionCookie | null;
  /**
   * Request content up to here is read before an endpoint is contacted; larger content, and any with 0, is passed on as it
   * comes. Default 8 KiB.
   */
  contentBufferMaxBytes: number;
  /** A response is read ahead of its client, unless its endpoint says otherwise (`X-Accel-Buffering`). Default: false. */
  readsAhead: boolean;
  /** How much of a response may be kept where it is read ahead. Default: 1 MiB and 16 KiB. */
  readAheadMaxBytes: number;
  /** When a request goes to another endpoint. */
  retries: RetrySettings;
}

/**
 * Why a request may be tried again. `stale`: a connection that had carried an exchange before ended without a byte of
 * response, as happens when the endpoint closes it while we write. `error`: no connection, or one that ended before the
 * head of the response. `timeout`: connecting, sending or waiting for the head. `invalid_header`: what came is no head.
 */
export type RetryCause = "stale" | "error" | "timeout" | "invalid_header";

export interface RetrySettings {
  /** Default: `stale`, `error`, `timeout`. */
  readonly causes: readonly RetryCause[];
  /** Responses that are discarded while there is another endpoint to ask. Default: none. */
  readonly statuses: readonly number[];
  /** Also for methods that are not idempotent, once the request was sent. Default: false. */
  readonly isNonIdempotentIncluded: boolean;
  /** Tries of one request, the first included. Default 3; 0: each endpoint once. */
  readonly triesMax: number;
  /** Time from the first try in which others may start. Default 0: any. */
  readonly timeoutMs: number;
}

/** Attributes of a session cookie (RFC 6265, 4.1). Name and value come from the upstream. */
export interface SessionCookie {
  readonly path: string;
  /** Empty: none. */
  readonly domain: string;
  /** Seconds from now; null: none. */
  readonly expiresSeconds: number | null;
  readonly maxAgeSeconds: number | null;
  readonly sameSite: "None" | "Lax" | "Strict" | null;
  /** Without `SameSite=None` for browsers that take it for something else. */
  readonly avoidsSameSiteNone: boolean;
  /** Secure also on a response without TLS. */
  readonly isAlwaysSecure: boolean;
}

/** Settings of one upstream, whatever route leads to it. */
export interface UpstreamSettings {
  /** How an endpoint is chosen. Default `round_robin`. */
  policy: BalancingPolicy;
  /** Time in which the share of a new endpoint grows from a tenth to all of it. Default 0: it has all of it at once. */
  slowStartMs: number;
  /** Not null: requests with equal keys go to one endpoint, whatever the policy. Default null. */
  hash: HashSettings | null;
  /** Not null: a client stays with one endpoint, whatever the hash. Default null. */
  affinity: AffinitySettings | null;
  /** Not null: endpoints are probed, and requests go to those that pass. Default null. */
  healthCheck: HealthCheckSettings | null;
  /** What ejects an endpoint, and for how long. */
  outliers: OutlierSettings;
  /**
   * An ejection has no effect while more than this share of the endpoints would be out, in percent; those that failed
   * their check count. One of two or more may always be out, unless it is 0. Default 50.
   */
  ejectedPercentMax: number;
  /** With fewer endpoints usable than this share, in percent, requests go to all. Default 20; 0: never. */
  panicPercent: number;
}

/** What ejects an endpoint: faults in a row, counted apart for each kind. */
export interface OutlierSettings {
  /** Connections that failed or brought no response, or responses that broke off. Default 3; 0: any number. */
  readonly failuresMax: number;
  /** Responses with 5xx other than 501 and 505, which are about the request. Default 0: any number. */
  readonly statusesMax: number;
  /** Time out after the first ejection; doubles with each one that follows without a success. Default 1 000 ms. */
  readonly ejectionMinMs: number;
  /** Default 60 000 ms. */
  readonly ejectionMaxMs: number;
}

export const defaultOutliers: OutlierSettings = {
  failuresMax: 3,
  statusesMax: 0,
  ejectionMinMs: 1_000,
  ejectionMaxMs: 60_000,
};

/** How endpoints are probed. Upstreams whose settings are equal share the probes of the endpoints they share. */
export interface HealthCheckSettings {
  /** `http`: a GET. `tcp`: a connection. `grpc`: `grpc.health.v1.Health/Check` over HTTP/2 without TLS. */
  readonly kind: "http" | "tcp" | "grpc";
  /** Null: that of the endpoint. */
  readonly port: number | null;
  readonly intervalMs: number;
  /** Of a probe as a whole, from connecting to the end of the response's head. */
  readonly timeoutMs: number;
  /** Probes in a row that must pass before an endpoint that failed is used again. */
  readonly healthyThreshold: number;
  /** Probes in a row that must fail before an endpoint is no longer used. */
  readonly unhealthyThreshold: number;
  /** Of `http`: path and query. */
  readonly path: string;
  /** Of `http` and `grpc`: the authority. Empty: address and port of the probe. */
  readonly host: string;
  /** Of `http`: what passes. */
  readonly statuses: readonly StatusRange[];
  /** Of `grpc`: the name in the request; empty: the server as a whole. */
  readonly service: string;
}

/** Both ends belong to it. */
export interface StatusRange {
  readonly first: number;
  readonly last: number;
}

export type BalancingPolicy = "round_robin" | "ewma" | "least_request";

export interface HashSettings {
  /** Whose texts, one after the other, are the key. */
  readonly parts: readonly HashPart[];
  /** Not 0: the key chooses a group of so many endpoints, and chance one of them. */
  readonly subsetSize: number;
  /** Not 0: an endpoint gets no more than this many times its share of the active requests; 1.25 is usual. */
  readonly loadFactorMax: number;
}

/** A piece of a hash key: constant text, or something of the request. */
export type HashPart =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "target" | "path" | "query" | "clientAddress" | "host" | "scheme" | "method" }
  /** A field by lower-case name, an argument of the query (case does not count), a cookie (case counts). */
  | { readonly kind: "field" | "argument" | "cookie"; readonly name: string };

export interface AffinitySettings {
  readonly cookieName: string;
  /**
   * `balanced`: the session is hashed onto the endpoints, and some sessions move when endpoints come or go.
   * `persistent`: it stays as long as its endpoint is there.
   */
  readonly mode: "balanced" | "persistent";
  /** After a failed try the client gets another endpoint and a new cookie; otherwise its tries stay where its cookie says. */
  readonly changesOnFailure: boolean;
}

/** How a feature takes part in the data path: by exactly one of these. `config` is what its parser returned. */
export type FeatureRuntime<Config> =
  | { readonly createFilter: (config: Config, route: RouteView) => Filter | null }
  | { readonly apply: (settings: RouteSettings, config: Config, route: RouteView) => void }
  | { readonly applyUpstream: (settings: UpstreamSettings, config: Config) => void }
  | { readonly createSelector: (config: Config) => BackendSelector };

/** The runtime half of the feature registry, by feature name. */
export type FeatureRuntimes = ReadonlyMap<string, FeatureRuntime<unknown>>;
