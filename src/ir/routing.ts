// The routing IR: what translate makes of the cluster's objects and what the proxy compiles.
// Plain data that survives JSON.stringify; lists are sorted so that equal configurations are equal texts.
import type { ObjectRef } from "./object-ref.ts";

/** `namespace/service/port`, the port as the Ingress wrote it (number or name). */
export type UpstreamId = string;

/** SHA-256 (hex) of a certificate chain and its key. */
export type CertificateId = string;

export interface RoutingIr {
  /** Sorted by `host`. The catch-all `""` is always there. */
  readonly virtualHosts: readonly VirtualHostIr[];
  /** Every upstream that a route, an alternative or the default backend names; sorted by `id`. */
  readonly upstreams: readonly UpstreamIr[];
  /** One entry for each upstream, in the same order. Changes far more often than the rest. */
  readonly endpoints: readonly EndpointsIr[];
  /** Sorted by `id`. */
  readonly certificates: readonly CertificateIr[];
  /** From `--default-ssl-certificate`; null: the self-signed one made at start. */
  readonly defaultCertificate: CertificateId | null;
  /** From `--default-backend-service`; null, or without endpoints: the built-in 404. */
  readonly defaultBackend: UpstreamId | null;
  /** Of connections, before any route is known. Absent: every default. */
  readonly connections?: ConnectionsIr;
}

/** Limits of connections that the ConfigMap sets; what is absent has its default. The names are those of the proxy. */
export interface ConnectionsIr {
  readonly keepAliveTimeoutMs?: number;
  readonly requestsPerConnectionMax?: number;
  readonly headTimeoutMs?: number;
  readonly contentTimeoutMs?: number;
  readonly requestLineMaxBytes?: number;
  readonly fieldLineMaxBytes?: number;
  readonly headMaxBytes?: number;
  readonly idleUpstreamMax?: number;
  readonly idleUpstreamTimeoutMs?: number;
  readonly requestsPerUpstreamConnectionMax?: number;
  readonly upstreamConnectionMaxAgeMs?: number;
}

export interface VirtualHostIr {
  /** Lower case. `foo.example`, `*.foo.example` (exactly one label), or `""` for requests that no other host takes. */
  readonly host: string;
  /** The host has a TLS entry, its own or that of a wildcard above it. Decides on `ssl-redirect`. */
  readonly isTls: boolean;
  /** At most one for each key type, RSA or ECDSA; empty: the default certificate. */
  readonly certificates: readonly CertificateId[];
  /** Sorted by the order of `compareRoutes` in order.ts. No two have the same path and path type. */
  readonly routes: readonly RouteIr[];
}

export type PathType = "Exact" | "Prefix";

export interface RouteIr {
  /** Begins with `/`. For `Prefix`, as written: a trailing `/` means that `/a` is redirected to `/a/`. */
  readonly path: string;
  readonly pathType: PathType;
  /** The Ingress whose rule this is; null for the catch-all that no Ingress declares. */
  readonly ingress: ObjectRef | null;
  /** True for the `/` that a host has although no rule declares it. */
  readonly isImplicit: boolean;
  readonly backend: BackendIr;
  /** Canaries, oldest first. */
  readonly alternatives: readonly AlternativeIr[];
  /** In registry order, which is the order of execution. */
  readonly features: readonly FeatureIr[];
  /** Not null: a protective feature is broken, and the route answers 503 rather than open. Says why. */
  readonly denied: string | null;
}

export type BackendIr =
  | { readonly kind: "upstream"; readonly upstream: UpstreamId }
  /** The controller's default backend. */
  | { readonly kind: "default" };

/** A second upstream of a route, with the features (canary) that say which requests go there. */
export interface AlternativeIr {
  readonly upstream: UpstreamId;
  readonly ingress: ObjectRef;
  readonly features: readonly FeatureIr[];
}

/** The configuration of one feature, as its parser made it; `config` is plain JSON. */
export interface FeatureIr {
  readonly feature: string;
  readonly config: unknown;
}

export interface UpstreamIr {
  readonly id: UpstreamId;
  readonly namespace: string;
  readonly service: string;
  /** As the Ingress wrote it. */
  readonly port: string;
  /** How its endpoints are chosen, from the Ingresses that refer to it; absent: every default. */
  readonly features?: readonly FeatureIr[];
}

export interface EndpointsIr {
  readonly upstream: UpstreamId;
  /** Sorted by address and port, no duplicates. Empty: requests get 503. */
  readonly addresses: readonly EndpointIr[];
  /** Of an ExternalName Service: the name that the proxy resolves, and keeps resolving. */
  readonly dns: DnsTargetIr | null;
}

export interface EndpointIr {
  /** An IPv4 or IPv6 address, without brackets. */
  readonly address: string;
  readonly port: number;
  /** Relative share of requests, 1 or more. */
  readonly weight: number;
  /** In another zone than the proxy: gets requests only when none of those without this mark is usable. */
  readonly isReserve?: true;
}

export interface DnsTargetIr {
  readonly hostname: string;
  readonly port: number;
}

export interface CertificateIr {
  readonly id: CertificateId;
  readonly secret: ObjectRef;
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. Printed as `[redacted]`. */
  readonly key: string;
  readonly keyType: "rsa" | "ec" | "other";
  /** DNS names of the leaf, lower case. */
  readonly names: readonly string[];
  /** ISO 8601. */
  readonly notAfter: string;
}

/** A copy that may be printed: private keys read `[redacted]`. */
export function redactIr(ir: RoutingIr): RoutingIr {
  return { ...ir, certificates: ir.certificates.map((each) => ({ ...each, key: "[redacted]" })) };
}
