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
  /** Larger request content is answered with 413. Default 1 MiB; 0: no limit. */
  contentMaxBytes: number;
}

/** How a feature takes part in the data path: by exactly one of these. `config` is what its parser returned. */
export type FeatureRuntime<Config> =
  | { readonly createFilter: (config: Config, route: RouteView) => Filter | null }
  | { readonly apply: (settings: RouteSettings, config: Config) => void }
  | { readonly createSelector: (config: Config) => BackendSelector };

/** The runtime half of the feature registry, by feature name. */
export type FeatureRuntimes = ReadonlyMap<string, FeatureRuntime<unknown>>;
