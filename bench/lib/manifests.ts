// The Kubernetes objects that the benchmarks put in front of Fairway, as plain data and as YAML text.
import { stringify } from "yaml";

export type Manifest = Readonly<Record<string, unknown>>;

const CREATED = "2026-01-01T00:00:00Z";
const NAMESPACE = "bench";
const SLICE_ADDRESSES = 100;
const INGRESS_CLASS = "bench";

function metadata(name: string, extra: Record<string, unknown> = {}): Record<string, unknown> {
  return { name, namespace: NAMESPACE, creationTimestamp: CREATED, ...extra };
}

/** The class with the controller value that Fairway answers to by default. */
export function ingressClass(): Manifest {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "IngressClass",
    metadata: { name: INGRESS_CLASS, creationTimestamp: CREATED },
    spec: { controller: "k8s.io/ingress-nginx" },
  };
}

export function service(name: string): Manifest {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: metadata(name),
    spec: { ports: [{ name: "http", port: 80, targetPort: "http" }] },
  };
}

export function endpointSlice(serviceName: string, port: number, number = 1): Manifest {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: metadata(`${serviceName}-${number}`, { labels: { "kubernetes.io/service-name": serviceName } }),
    addressType: "IPv4",
    ports: [{ name: "http", port, protocol: "TCP" }],
    endpoints: [{ addresses: ["127.0.0.1"], conditions: { ready: true, serving: true, terminating: false } }],
  };
}

/** Many addresses, in slices as small as Kubernetes makes them. */
export function endpointSlicesOf(
  serviceName: string,
  port: number,
  addresses: readonly string[],
): Manifest[] {
  const slices: Manifest[] = [];
  for (let from = 0; from < addresses.length; from += SLICE_ADDRESSES) {
    const endpoints = addresses
      .slice(from, from + SLICE_ADDRESSES)
      .map((address) => ({ addresses: [address], conditions: { ready: true } }));
    slices.push({ ...endpointSlice(serviceName, port, slices.length + 1), endpoints });
  }
  return slices;
}

/** One for each port: a port is the slice's, the same for all its addresses. */
export function endpointSlices(serviceName: string, ports: readonly number[]): Manifest[] {
  return ports.map((port, i) => endpointSlice(serviceName, port, i + 1));
}

export interface IngressOptions {
  readonly name: string;
  readonly host: string;
  /** One, or several. */
  readonly path: string | readonly string[];
  readonly service: string;
  readonly annotations?: Readonly<Record<string, string>>;
  /** Name of a Secret with a certificate for `host`. */
  readonly tlsSecret?: string;
}

export function ingress(options: IngressOptions): Manifest {
  const { name, host, annotations, tlsSecret } = options;
  const paths = typeof options.path === "string" ? [options.path] : options.path;
  const backend = { service: { name: options.service, port: { name: "http" } } };
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: metadata(name, annotations === undefined ? {} : { annotations }),
    spec: {
      ingressClassName: INGRESS_CLASS,
      ...(tlsSecret === undefined ? {} : { tls: [{ hosts: [host], secretName: tlsSecret }] }),
      rules: [{ host, http: { paths: paths.map((path) => ({ path, pathType: "Prefix", backend })) } }],
    },
  };
}

export function tlsSecret(name: string, pem: { readonly chain: string; readonly key: string }): Manifest {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  return {
    apiVersion: "v1",
    kind: "Secret",
    type: "kubernetes.io/tls",
    metadata: metadata(name),
    data: { "tls.crt": base64(pem.chain), "tls.key": base64(pem.key) },
  };
}

export function toYaml(...manifests: readonly Manifest[]): string {
  return manifests.map((manifest) => stringify(manifest)).join("---\n");
}
