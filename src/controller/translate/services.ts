// Backends of Ingresses to upstreams: which Service, which port, and words when either is not there.
import type { BackendIr, UpstreamId, UpstreamIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import { objectKey, type IngressBackend, type ServiceObject, type ServicePort } from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { keyRef } from "./settings.ts";

/** The place of backends that no path names: after all that do. */
export const implicitOrder = Number.MAX_SAFE_INTEGER;

export type UpstreamName = Pick<UpstreamIr, "id" | "namespace" | "service" | "port">;

/** That one Ingress sends something of one host to an upstream. */
export interface UpstreamUse {
  readonly upstream: UpstreamName;
  readonly plan: IngressPlan;
  /** The place in the Ingress. Mistakes are told of the first one only: a hundred paths to one Service are one mistake. */
  readonly order: number;
  readonly backend: IngressBackend;
  /** What happens when the Service is not there. */
  readonly otherwise: string;
}

/** Clients of `primary` may be sent to `canary` instead, and their sessions are to last there too. */
export interface SessionSharing {
  readonly primary: UpstreamId;
  readonly canary: UpstreamId;
  readonly plan: IngressPlan;
  readonly order: number;
}

export function upstreamName(namespace: string, service: string, port: string): UpstreamName {
  return { id: `${namespace}/${service}/${port}`, namespace, service, port };
}

/** Collects the upstreams that the routes of one host name. */
export class HostUpstreams {
  readonly sharings: SessionSharing[] = [];
  /** By Ingress and upstream. */
  readonly #uses = new Map<string, UpstreamUse>();
  /** Null: to be made. */
  #byPlan: ReadonlyMap<IngressPlan, readonly UpstreamUse[]> | null = null;

  get uses(): readonly UpstreamUse[] {
    return [...this.#uses.values()];
  }

  usesOf(plan: IngressPlan): readonly UpstreamUse[] {
    // Hundreds of Ingresses may share a host, and each is asked for.
    this.#byPlan ??= Map.groupBy(this.#uses.values(), (use) => use.plan);
    return this.#byPlan.get(plan) ?? [];
  }

  /** The upstream is there even when its Service is not: its requests are answered with 503, not with 404. */
  use(
    plan: IngressPlan,
    backend: IngressBackend,
    order: number,
    otherwise = "requests are answered with 503",
  ): UpstreamId {
    const { namespace, name } = plan.ref;
    const upstream = upstreamName(namespace, backend.service, backend.port);
    const key = `${name} ${upstream.id}`;
    const known = this.#uses.get(key);
    if (known === undefined || order < known.order) {
      this.#uses.set(key, { upstream, plan, order, backend, otherwise });
      this.#byPlan = null;
    }
    return upstream.id;
  }

  backend(plan: IngressPlan, backend: IngressBackend | null, order: number): BackendIr {
    if (backend === null) return { kind: "default" };
    return { kind: "upstream", upstream: this.use(plan, backend, order) };
  }

  shareSessions(sharing: SessionSharing): void {
    this.sharings.push(sharing);
  }
}

/** The controller's default backend: the first TCP port of its Service. */
export function defaultUpstream(context: TranslateContext): UpstreamName | null {
  const key = context.options.defaultBackendService;
  if (key === "") return null;
  const ref = keyRef("Service", key);
  const service = context.index.services.get(key);
  const port = service?.ports.find((each) => each.protocol === "TCP")?.port;
  if (port !== undefined) return upstreamName(ref.namespace, ref.name, String(port));
  context.report("error", ref, "", {
    reason: service === undefined ? "ServiceNotFound" : "ServicePortNotFound",
    message: `it is named by --default-backend-service but ${service === undefined ? "does not exist" : "has no port for TCP"}; the built-in 404 answers`,
  });
  return null;
}

/** Words when the Service or the port of a backend is not there. `uses`: those of one Ingress, of all its hosts. */
export function checkBackends(context: TranslateContext, uses: readonly UpstreamUse[]): void {
  const first = new Map<UpstreamId, UpstreamUse>();
  for (const use of uses) {
    const known = first.get(use.upstream.id);
    if (known === undefined || use.order < known.order) first.set(use.upstream.id, use);
  }
  for (const use of first.values()) checkBackend(context, use);
}

function checkBackend(context: TranslateContext, { plan, backend, otherwise }: UpstreamUse): void {
  const ingress = plan.ref;
  const service = context.index.services.get(objectKey(ingress.namespace, backend.service));
  const name = `${ingress.namespace}/${backend.service}`;
  if (service === undefined) {
    context.report("error", ingress, `${backend.field}.service.name`, {
      reason: "ServiceNotFound",
      message: `Service ${name} does not exist; ${otherwise}`,
    });
    return;
  }
  const port = findPort(service, backend.port);
  if (port !== null && port.protocol !== "TCP" && !service.isExternalName) {
    context.report("error", ingress, `${backend.field}.service.port`, {
      reason: "ServicePortNotTcp",
      message: `port ${quote(backend.port)} of Service ${name} is for ${port.protocol}, and requests are sent over TCP; ${otherwise}`,
    });
    return;
  }
  if (port !== null || isFreePort(service, backend.port)) return;
  const ports = service.ports.map(describePort).join(", ");
  context.report("error", ingress, `${backend.field}.service.port`, {
    reason: "ServicePortNotFound",
    message: `Service ${name} has no port ${quote(backend.port)}, it has ${ports || "none"}; ${otherwise}`,
  });
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
