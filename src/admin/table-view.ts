// The routing table as people and scripts read it on the admin port. Plain data: it is also the JSON form. It holds no
// key and nothing of any request.

export interface TableView {
  readonly generation: number;
  readonly hosts: readonly HostView[];
  readonly upstreams: readonly UpstreamView[];
  readonly certificates: readonly CertificateView[];
  /** `namespace/service/port`, or null: the built-in 404. */
  readonly defaultBackend: string | null;
  /** Parts of the configuration that could not be put to use, a sentence each. */
  readonly problems: readonly string[];
}

export interface HostView {
  /** Empty: requests that no other host takes. */
  readonly host: string;
  readonly isTls: boolean;
  /** `namespace/name` of their Secrets; empty: the default certificate. */
  readonly certificates: readonly string[];
  /** In order of precedence. */
  readonly routes: readonly RouteView[];
}

export interface RouteView {
  readonly pathType: string;
  readonly path: string;
  /** `namespace/name`; null: no Ingress declares it. */
  readonly ingress: string | null;
  /** `namespace/service/port`; null: the default backend. */
  readonly upstream: string | null;
  readonly alternatives: readonly AlternativeView[];
  /** Features that may answer a request themselves. */
  readonly filters: readonly string[];
  /** Not null: answers 503, and why. */
  readonly denied: string | null;
}

export interface AlternativeView {
  readonly upstream: string;
  readonly ingress: string;
  /** `header x-canary`, in order of precedence. */
  readonly rules: readonly string[];
  /** Of the requests that no rule decided: 0 to 1. */
  readonly share: number;
}

export interface UpstreamView {
  readonly id: string;
  /** `name:port` of an ExternalName Service; null: the endpoints come from EndpointSlices. */
  readonly dns: string | null;
  /** `GET /healthz every 10 s`; null: its endpoints are not probed. */
  readonly check: string | null;
  /** `least_request`, `affinity balanced`, `hash`. */
  readonly policy: string;
  /** What is in rotation; null: nothing runs. */
  readonly rotation: RotationView | null;
  readonly endpoints: readonly EndpointView[];
}

export interface RotationView {
  readonly usable: number;
  /** Ejections that have an effect. */
  readonly ejected: number;
  /** Ejected, but used nevertheless: too many others are out. */
  readonly spared: number;
  readonly failedCheck: number;
  /** Too few are usable, so all are tried. */
  readonly isPanicking: boolean;
}

export interface EndpointView {
  /** `10.0.0.1:8080`, `[fd00::1]:8080`. */
  readonly address: string;
  readonly weight: number;
  /** `healthy`, `failed check`, `ejected`, `trial`; `unused` before the first request. */
  readonly state: string;
  /** The last failure, and what was wrong with the last probe; empty when successes followed them. */
  readonly reason: string;
  /** Null: it is not probed. */
  readonly check: CheckView | null;
}

export interface CheckView {
  /** `unknown` before the first verdict, `passing`, `failing`. */
  readonly state: string;
  /** How long it has been that. */
  readonly forSeconds: number;
  /** Null: there was none yet. */
  readonly lastProbeSecondsAgo: number | null;
}

export interface CertificateView {
  /** `namespace/name`; null: the self-signed one made at start. */
  readonly secret: string | null;
  readonly names: readonly string[];
  readonly keyType: string;
  /** ISO 8601. */
  readonly notAfter: string;
  readonly isDefault: boolean;
}
