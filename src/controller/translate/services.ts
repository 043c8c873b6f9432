// Backends of Ingresses to upstreams: which Service, which port, and words when either is not there.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { compareText } from "../../ir/order.ts";
import type { BackendIr, FeatureIr, UpstreamId, UpstreamIr } from "../../ir/routing.ts";
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
import { chooseFeatures, type UpstreamDraft } from "./upstream-features.ts";

/** Collects the upstreams that something names. */
export class UpstreamSet {
  readonly #context: TranslateContext;
  readonly #upstreams = new Map<UpstreamId, UpstreamDraft>();
  readonly #reported = new Set<string>();

  constructor(context: TranslateContext) {
    this.#context = context;
  }

  /** The upstream is there even when its Service is not: its requests are answered with 503, not with 404. */
  use(plan: IngressPlan, backend: IngressBackend, otherwise = "requests are answered with 503"): UpstreamId {
    const { namespace } = plan.ref;
    const draft = this.#add(namespace, backend.service, backend.port);
    draft.users.add(plan);
    const upstream = draft.id;
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

  /** The controller's default backend: the first TCP port of its Service. */
  useDefault(): UpstreamId | null {
    const key = this.#context.options.defaultBackendService;
    if (key === "") return null;
    const ref = keyRef("Service", key);
    const service = this.#context.index.services.get(key);
    const port = service?.ports.find((each) => each.protocol === "TCP")?.port;
    if (port !== undefined) return this.#add(ref.namespace, ref.name, String(port)).id;
    this.#context.report("error", ref, "", {
      reason: service === undefined ? "ServiceNotFound" : "ServicePortNotFound",
      message: `it is named by --default-backend-service but ${service === undefined ? "does not exist" : "has no port for TCP"}; the built-in 404 answers`,
    });
    return null;
  }

  /** Clients of the upstream `from` may be sent to `to` instead, and their sessions are to last there too. */
  shareSessions(from: UpstreamId, to: UpstreamId): void {
    const [primary, canary] = [this.#upstreams.get(from), this.#upstreams.get(to)];
    if (primary !== undefined && canary !== undefined) canary.primary ??= primary;
  }

  /** Sorted by id. `defaults`: features of an upstream that no Ingress names. */
  all(defaults: readonly FeatureIr[]): readonly UpstreamIr[] {
    const drafts = [...this.#upstreams.values()].sort((a, b) => compareText(a.id, b.id));
    return drafts.map((draft): UpstreamIr => {
      const { id, namespace, service, port } = draft;
      const features = chooseFeatures(this.#context, draft, defaults);
      return { id, namespace, service, port, ...(features.length === 0 ? {} : { features }) };
    });
  }

  #add(namespace: string, service: string, port: string): UpstreamDraft {
    const id = `${namespace}/${service}/${port}`;
    let draft = this.#upstreams.get(id);
    if (draft === undefined) {
      draft = { id, namespace, service, port, users: new Set(), primary: null };
      this.#upstreams.set(id, draft);
    }
    return draft;
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
    const port = findPort(service, backend.port);
    if (port !== null && port.protocol !== "TCP" && !service.isExternalName) {
      this.#context.report("error", ingress, `${backend.field}.service.port`, {
        reason: "ServicePortNotTcp",
        message: `port ${quote(backend.port)} of Service ${name} is for ${port.protocol}, and requests are sent over TCP; ${otherwise}`,
      });
      return;
    }
    if (port !== null || isFreePort(service, backend.port)) return;
    const ports = service.ports.map(describePort).join(", ");
    this.#context.report("error", ingress, `${backend.field}.service.port`, {
      reason: "ServicePortNotFound",
      message: `Service ${name} has no port ${quote(backend.port)}, it has ${ports || "none"}; ${otherwise}`,
    });
  }
}

/** The first port whose number, target port or name is what the Ingress wrote; one for TCP before all others. */
export function findPort(service: ServiceObject, written: string): ServicePort | null {
  const found = service.ports.filter(
    (port) => String(port.port) === written || String(port.targetPort) === written || port.name === written,
  );
  return found.find((port) => port.protocol === "TCP") ?? found[0] ?? null;
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
