// What Fairway reads of Kubernetes objects, after parsing: plain readonly data in which every field has its final type.
// decode/ makes these, sources emit them, translate reads them. `field` says where an item stood in its object, because
// items that were left out would shift an index.
import type { ObjectRef } from "../ir/object-ref.ts";

export interface ObjectMeta {
  /** Empty for cluster-scoped kinds. */
  readonly namespace: string;
  readonly name: string;
  /** ISO 8601; empty when the object has none, as in most manifests. */
  readonly createdAt: string;
  readonly labels: ReadonlyMap<string, string>;
  readonly annotations: ReadonlyMap<string, string>;
}

export type KubeObject =
  | IngressObject
  | IngressClassObject
  | ServiceObject
  | EndpointSliceObject
  | EndpointsObject
  | SecretObject
  | ConfigMapObject
  | NamespaceObject;

export type KubeKind = KubeObject["kind"];

export interface IngressObject {
  readonly kind: "Ingress";
  readonly meta: ObjectMeta;
  /** Null: the field is absent. */
  readonly ingressClassName: string | null;
  readonly defaultBackend: IngressBackend | null;
  /** The field is there, whether or not it could be used. */
  readonly hasDefaultBackend: boolean;
  readonly rules: readonly IngressRule[];
  /** Rules are written, whether or not any could be used: the Ingress is not one of a default backend alone. */
  readonly hasRules: boolean;
  readonly tls: readonly IngressTls[];
}

export interface IngressRule {
  /** `spec.rules[0]`. */
  readonly field: string;
  /** Lower case and valid: a DNS name, `*.` and a DNS name, or empty for any host. */
  readonly host: string;
  readonly paths: readonly IngressPath[];
}

export interface IngressPath {
  readonly field: string;
  /** Begins with `/`. */
  readonly path: string;
  readonly pathType: "Exact" | "Prefix";
  readonly backend: IngressBackend;
}

export interface IngressBackend {
  readonly field: string;
  readonly service: string;
  /** Number or name, as text. */
  readonly port: string;
}

export interface IngressTls {
  readonly field: string;
  /** Lower case. */
  readonly hosts: readonly string[];
  /** Empty: none given, so the default certificate serves. */
  readonly secretName: string;
}

export interface IngressClassObject {
  readonly kind: "IngressClass";
  readonly meta: ObjectMeta;
  readonly controller: string;
}

export interface ServiceObject {
  readonly kind: "Service";
  readonly meta: ObjectMeta;
  readonly isExternalName: boolean;
  readonly externalName: string;
  readonly ports: readonly ServicePort[];
  /** `PreferSameZone`, `PreferClose` (the same by its older name), `PreferSameNode`; empty when absent. */
  readonly trafficDistribution: string;
  /** The annotation that came before it; empty when absent. */
  readonly topologyMode: string;
}

export interface ServicePort {
  /** Empty: the only port of its Service. */
  readonly name: string;
  readonly port: number;
  /** A number or a name of a container port; the number of the port when the manifest leaves it out. */
  readonly targetPort: number | string;
  readonly protocol: string;
}

export interface EndpointSliceObject {
  readonly kind: "EndpointSlice";
  readonly meta: ObjectMeta;
  /** `metadata.labels["kubernetes.io/service-name"]`; empty when absent. */
  readonly service: string;
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly EndpointPort[];
}

export interface SliceEndpoint {
  readonly field: string;
  /** Valid addresses of the slice's type; for FQDN names as written. */
  readonly addresses: readonly string[];
  /** An absent condition counts as ready. */
  readonly isReady: boolean;
  readonly isServing: boolean;
  readonly isTerminating: boolean;
  /** Names of `hints.forZones` and `hints.forNodes`: whose requests it is meant for. */
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

export interface EndpointPort {
  readonly name: string;
  /** Null: every port, so the Service's targetPort decides. */
  readonly port: number | null;
  readonly protocol: string;
}

/** The predecessor of EndpointSlice, still the shortest way to write endpoints by hand. */
export interface EndpointsObject {
  readonly kind: "Endpoints";
  readonly meta: ObjectMeta;
  readonly subsets: readonly EndpointsSubset[];
}

export interface EndpointsSubset {
  readonly field: string;
  readonly addresses: readonly { readonly field: string; readonly address: string }[];
  readonly ports: readonly EndpointPort[];
}

export interface SecretObject {
  readonly kind: "Secret";
  readonly meta: ObjectMeta;
  /** Decoded, read as UTF-8; `stringData` over `data`, as the API server merges them. */
  readonly data: ReadonlyMap<string, string>;
}

export interface ConfigMapObject {
  readonly kind: "ConfigMap";
  readonly meta: ObjectMeta;
  readonly data: ReadonlyMap<string, string>;
}

export interface NamespaceObject {
  readonly kind: "Namespace";
  readonly meta: ObjectMeta;
}

export function refOf(object: { readonly kind: string; readonly meta: ObjectMeta }): ObjectRef {
  return { kind: object.kind, namespace: object.meta.namespace, name: object.meta.name };
}

/** `namespace/name`. */
export type ObjectKey = string;

export function objectKey(namespace: string, name: string): ObjectKey {
  return `${namespace}/${name}`;
}
