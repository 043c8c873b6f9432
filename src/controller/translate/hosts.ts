// Rules of Ingresses to virtual hosts: several Ingresses share a host, the oldest wins what two of them claim.
import { formatRef, refKey } from "../../ir/object-ref.ts";
import { compareRoutes } from "../../ir/order.ts";
import type { AlternativeIr, FeatureIr, RouteIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import type { IngressPath } from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import type { UpstreamSet } from "./services.ts";

export interface RouteDraft {
  readonly route: RouteIr & { readonly alternatives: AlternativeIr[] };
  /** Where its Ingress declares it; empty for implicit ones. */
  readonly field: string;
}

export class HostDraft {
  readonly host: string;
  /** Whose rules the host has, oldest first. */
  readonly plans: IngressPlan[] = [];
  readonly #exact = new Map<string, RouteDraft>();
  readonly #prefix = new Map<string, RouteDraft>();

  constructor(host: string) {
    this.host = host;
  }

  find(path: string, pathType: RouteIr["pathType"]): RouteDraft | undefined {
    return this.#of(pathType).get(path);
  }

  add(draft: RouteDraft): void {
    this.#of(draft.route.pathType).set(draft.route.path, draft);
  }

  sortedRoutes(): readonly RouteIr[] {
    return [...this.#exact.values(), ...this.#prefix.values()]
      .map((draft) => draft.route)
      .sort(compareRoutes);
  }

  #of(pathType: RouteIr["pathType"]): Map<string, RouteDraft> {
    return pathType === "Exact" ? this.#exact : this.#prefix;
  }
}

/** `plans`: the Ingresses that make routes, oldest first. `defaults`: features of a route without Ingress. */
export function buildHosts(
  context: TranslateContext,
  plans: readonly IngressPlan[],
  upstreams: UpstreamSet,
  defaults: readonly FeatureIr[],
): ReadonlyMap<string, HostDraft> {
  const hosts = new Map<string, HostDraft>([["", new HostDraft("")]]);
  for (const plan of plans) {
    for (const rule of plan.object.rules) {
      const host = hosts.get(rule.host) ?? new HostDraft(rule.host);
      hosts.set(rule.host, host);
      if (!host.plans.includes(plan)) host.plans.push(plan);
      for (const path of rule.paths) addPath(context, host, plan, path, upstreams);
    }
  }
  for (const host of hosts.values()) {
    if (host.find("/", "Prefix") !== undefined) continue;
    if (host.host === "") host.add(catchAll(plans, upstreams, defaults));
    else addImplicit(host, upstreams);
  }
  return hosts;
}

function addPath(
  context: TranslateContext,
  host: HostDraft,
  plan: IngressPlan,
  path: IngressPath,
  upstreams: UpstreamSet,
): void {
  const winner = host.find(path.path, path.pathType);
  if (winner === undefined) {
    const target = {
      path: path.path,
      pathType: path.pathType,
      backend: upstreams.backend(plan, path.backend),
    };
    host.add({ route: routeOf(plan, target), field: path.field });
    return;
  }
  const claim = `${path.pathType} path ${quote(path.path)} of ${describeHost(host.host)}`;
  const { ingress } = winner.route;
  const isOwn = ingress === null || refKey(ingress) === refKey(plan.ref);
  const by = isOwn ? winner.field : `${formatRef(ingress)}, which comes first`;
  context.report("warning", plan.ref, path.field, {
    reason: "PathConflict",
    message: `${claim} is already declared by ${by}; this one is left out`,
  });
}

function routeOf(
  plan: IngressPlan,
  target: Pick<RouteIr, "path" | "pathType" | "backend">,
  isImplicit = false,
): RouteDraft["route"] {
  const { path, pathType, backend } = target;
  const { ref: ingress, features, denied } = plan;
  return { path, pathType, ingress, isImplicit, backend, alternatives: [], features, denied };
}

/** Unmatched paths of a named host belong to its first Ingress: its annotations protect them too. */
function addImplicit(host: HostDraft, upstreams: UpstreamSet): void {
  const [owner] = host.plans;
  if (owner === undefined) return;
  const backend = upstreams.backend(owner, owner.object.defaultBackend);
  host.add({ route: routeOf(owner, { path: "/", pathType: "Prefix", backend }, true), field: "" });
}

/**
 * The `/` of the catch-all: the default backend of the first Ingress that has one and no rules, else of the first that
 * has one beside rules without host, else the controller's.
 */
function catchAll(
  plans: readonly IngressPlan[],
  upstreams: UpstreamSet,
  defaults: readonly FeatureIr[],
): RouteDraft {
  const withBackend = plans.filter((plan) => plan.object.defaultBackend !== null);
  const owner =
    withBackend.find((plan) => plan.object.rules.length === 0) ??
    withBackend.find((plan) => plan.object.rules.some((rule) => rule.host === ""));
  if (owner !== undefined) {
    const { defaultBackend } = owner.object;
    const backend = upstreams.backend(owner, defaultBackend);
    const route = routeOf(owner, { path: "/", pathType: "Prefix", backend });
    return { route, field: defaultBackend?.field ?? "" };
  }
  const route: RouteDraft["route"] = {
    path: "/",
    pathType: "Prefix",
    ingress: null,
    isImplicit: true,
    backend: { kind: "default" },
    alternatives: [],
    features: defaults,
    denied: null,
  };
  return { route, field: "" };
}

export function describeHost(host: string): string {
  return host === "" ? "the catch-all" : `host ${quote(host)}`;
}
