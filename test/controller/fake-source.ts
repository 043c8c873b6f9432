// A source that a test feeds.
import { decodeObject } from "../../src/controller/decode/decode.ts";
import type { Diagnostic } from "../../src/ir/diagnostic.ts";
import type { ObjectListener, Source } from "../../src/controller/sources/source.ts";
import type { ObjectRef } from "../../src/ir/object-ref.ts";

export class FakeSource implements Source {
  #listener: ObjectListener = () => {};
  isClosed = false;

  start(listener: ObjectListener): Promise<void> {
    this.#listener = listener;
    return Promise.resolve();
  }

  close(): Promise<void> {
    this.isClosed = true;
    return Promise.resolve();
  }

  /** As a manifest or the API would give it. */
  upsert(value: unknown): void {
    const { object, findings } = decodeObject(value);
    if (object === null) throw new Error("the test's object does not decode");
    this.#listener({ kind: "upsert", object, findings });
  }

  delete(ref: ObjectRef, origin = ""): void {
    this.#listener({ kind: "delete", ref, origin });
  }

  report(origin: string, diagnostics: readonly Diagnostic[]): void {
    this.#listener({ kind: "report", origin, diagnostics });
  }

  classes(areReadable: boolean): void {
    this.#listener({ kind: "classes", areReadable });
  }

  synced(): void {
    this.#listener({ kind: "synced" });
  }
}

type Values = Record<string, unknown>;

export function ingress(name: string, spec: Values, annotations: Values = {}): Values {
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name, annotations },
    spec: { ingressClassName: "nginx", ...spec },
  };
}

/** A rule with Prefix paths: `{ "/": ["web", 80] }`. */
export function rule(host: string, paths: Record<string, readonly [string, number | string]>): Values {
  return {
    host,
    http: {
      paths: Object.entries(paths).map(([path, [service, port]]) => ({
        path,
        pathType: "Prefix",
        backend: {
          service: { name: service, port: typeof port === "number" ? { number: port } : { name: port } },
        },
      })),
    },
  };
}

export function service(name: string, ports: readonly Values[] = [{ port: 80, targetPort: 8080 }]): Values {
  return { apiVersion: "v1", kind: "Service", metadata: { name }, spec: { ports } };
}

export function slice(name: string, of: string, addresses: readonly string[]): Values {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, labels: { "kubernetes.io/service-name": of } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ port: 8080 }],
  };
}

export function ref(kind: string, name: string): ObjectRef {
  return { kind, namespace: kind === "IngressClass" ? "" : "default", name };
}
