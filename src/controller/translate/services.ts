// Backends of Ingresses to upstreams: which Service, which port, and words when either is not there.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { compareText } from "../../ir/order.ts";
import type { BackendIr, UpstreamId, UpstreamIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import {
  objectKey,
  type IngressBackend,
  type ObjectKey,
  type ServiceObject,
  type ServicePort,
} from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { keyRef } from "./settings.ts";

/** Collects the upstreams that something names. */
export class UpstreamSet {
  readonly #context: TranslateContext;
  readonly #upstreams = new Map<UpstreamId, UpstreamIr>();
  readonly #reported = new Set<string>();

  constructor(context: TranslateContext) {
    this.#context = context;
  }

  /** The upstream is there even when its Service is not: its requests are answered with 503, not with 404. */
  use(plan: IngressPlan, backend: IngressBackend, otherwise = "requests are answered with 503"): UpstreamId {
    const { namespace } = plan.ref;
    const upstream = this.#add(namespace, backend.service, backend.port);
    // Once for each Ingress; a chart of a hundred paths to one missing Service is one mistake.
    const occasion = `${namespace}/${plan.ref.name} ${upstream}`;
    if (!this.#reported.has(occasion)) {
      this.#reported.add(occasion);
      this.#check(plan.ref, backend, otherwise);
    }
    return upstream;
  }

  backend(plan: IngressPlan, backend: IngressBackend | null): BackendIr {
    return backend === null ? { kind: "default" } : { kind: "upstream", upstream: this.use(plan, backend) };
  }

  /** The controller's default backend: the first port of its Service. */
  useDefault(): UpstreamId | null {
    const key = this.#context.options.defaultBackendService;
    if (key === "") return null;
    const ref = keyRef("Service", key);
    const service = this.#context.index.services.get(key);
    const port = service?.ports[0]?.port;
    if (port !== undefined) return this.#add(ref.namespace, ref.name, String(port));
    this.#context.report("error", ref, "", {
      reason: service === undefined ? "ServiceNotFound" : "ServicePortNotFound",
      message: `it is named by --default-backend-service but ${service === undefined ? "does not exist" : "has no port"}; the built-in 404 answers`,
    });
    return null;
  }

  /** Sorted by id. */
  all(): readonly UpstreamIr[] {
    return [...this.#upstreams.values()].sort((a, b) => compareText(a.id, b.id));
  }

  #add(namespace: string, service: string, port: string): UpstreamId {
    const id = `${namespace}/${service}/${port}`;
    if (!this.#upstreams.has(id)) this.#upstreams.set(id, { id, namespace, service, port });
    return id;
  }

  #check(ingress: ObjectRef, backend: IngressBackend, otherwise: string): void {
    const service = this.#context.index.services.get(objectKey(ingress.namespace, backend.service));
    const name = `${ingress.namespace}/${backend.service}`;
    if (service === undefined) {
      this.#context.report("error", ingress, `${backend.field}.service.name`, {
        reason: "ServiceNotFound",
        message: `Service ${name} does not exist; ${otherwise}`,
      });
      return;
    }
    if (findPort(service, backend.port) !== null || isFreePort(service, backend.port)) return;
    const ports = service.ports.map(describePort).join(", ");
    this.#context.report("error", ingress, `${backend.field}.service.port`, {
      reason: "ServicePortNotFound",
      message: `Service ${name} has no port ${quote(backend.port)}, it has ${ports || "none"}; ${otherwise}`,
    });
  }
}

/** The first port whose number, target port or name is what the Ingress wrote. */
export function findPort(service: ServiceObject, written: string): ServicePort | null {
  const found = service.ports.find(
    (port) => String(port.port) === written || String(port.targetPort) === written || port.name === written,
  );
  return found ?? null;
}

/** An ExternalName Service need not list ports; then a number in the Ingress stands for itself. */
export function isFreePort(service: ServiceObject, written: string): boolean {
  return service.isExternalName && service.ports.length === 0 && /^\d+$/.test(written);
}

function describePort(port: ServicePort): string {
  return port.name === "" ? String(port.port) : `${port.port} (${port.name})`;
}

/** The upstreams of each Service. */
export function groupByService(
  upstreams: readonly UpstreamIr[],
): ReadonlyMap<ObjectKey, readonly UpstreamIr[]> {
  return Map.groupBy(upstreams, (upstream) => objectKey(upstream.namespace, upstream.service));
}
