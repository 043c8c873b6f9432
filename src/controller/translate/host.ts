// The rules of one host to its routes: several Ingresses share a host, the oldest wins what two of them claim.
import { formatRef, refKey } from "../../ir/object-ref.ts";
import { compareRoutes } from "../../ir/order.ts";
import type { AlternativeIr, FeatureIr, RouteIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import type { IngressPath } from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { implicitOrder, type HostUpstreams } from "./services.ts";

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

export interface HostSources {
  /** Ingresses that make routes and name the host, or, of the catch-all, have a default backend; oldest first. */
  readonly plans: readonly IngressPlan[];
  readonly upstreams: HostUpstreams;
  /** Features of a route without Ingress. */
  readonly defaults: readonly FeatureIr[];
}

export function buildHost(context: TranslateContext, name: string, sources: HostSources): HostDraft {
  const { plans, upstreams } = sources;
  const host = new HostDraft(name);
  for (const plan of plans) addRules(context, host, plan, upstreams);
  const declared = host.find("/", "Prefix");
  if (name === "") {
    addHealthCheck(host, context.options.healthCheckPath);
    addCatchAll(context, host, declared, sources);
  } else if (declared === undefined) addImplicit(host, upstreams);
  return host;
}

function addRules(
  context: TranslateContext,
  host: HostDraft,
  plan: IngressPlan,
  upstreams: HostUpstreams,
): void {
  let order = 0;
  for (const rule of plan.object.rules) {
    if (rule.host === host.host) {
      // Ingresses come one after the other: thousands may share a host.
      if (host.plans.at(-1) !== plan) host.plans.push(plan);
      for (const [index, path] of rule.paths.entries()) {
        addPath(context, host, plan, { path, order: order + index, upstreams });
      }
    }
    order += rule.paths.length;
  }
}

function addPath(
  context: TranslateContext,
  host: HostDraft,
  plan: IngressPlan,
  { path, order, upstreams }: { path: IngressPath; order: number; upstreams: HostUpstreams },
): void {
  const winner = host.find(path.path, path.pathType);
  if (winner === undefined) {
    const target = {
      path: path.path,
      pathType: path.pathType,
      backend: upstreams.backend(plan, path.backend, order),
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
function addImplicit(host: HostDraft, upstreams: HostUpstreams): void {
  const [owner] = host.plans;
  if (owner === undefined) return;
  const backend = upstreams.backend(owner, owner.object.defaultBackend, implicitOrder);
  host.add({ route: routeOf(owner, { path: "/", pathType: "Prefix", backend }, true), field: "" });
}

/** As ingress-nginx reserves it, unless a rule without host declares the path. */
function addHealthCheck(host: HostDraft, path: string): void {
  if (path === "" || host.find(path, "Exact") !== undefined || host.find(path, "Prefix") !== undefined)
    return;
  host.add({
    route: {
      path,
      pathType: "Exact",
      ingress: null,
      isImplicit: true,
      backend: { kind: "default" },
      alternatives: [],
      features: [{ feature: "health-check", config: {} }],
      denied: null,
    },
    field: "",
  });
}

/**
 * The `/` of the catch-all: a rule without host that declares it, else the default backend of the first Ingress that has
 * one and no rules, else of the first that has one beside rules without host, else the controller's.
 */
function addCatchAll(
  context: TranslateContext,
  host: HostDraft,
  declared: RouteDraft | undefined,
  { plans, upstreams, defaults }: HostSources,
): void {
  const withBackend = plans.filter(({ object }) => object.defaultBackend !== null);
  const alone = withBackend.filter(({ object }) => !object.hasRules);
  const beside = withBackend.filter(({ object }) => object.rules.some((rule) => rule.host === ""));
  const owner = declared === undefined ? (alone[0] ?? beside[0]) : undefined;
  const winner = declared?.route.ingress ?? owner?.ref;
  for (const loser of new Set([...alone, ...beside])) {
    if (winner === undefined || winner === null || refKey(winner) === refKey(loser.ref)) continue;
    context.report("warning", loser.ref, "spec.defaultBackend", {
      reason: "DefaultBackendConflict",
      message: `"/" of the catch-all goes to ${
        owner === undefined
          ? `the rule of ${formatRef(winner)} that declares it`
          : `the default backend of ${formatRef(winner)}, which comes first`
      }; this default backend has no effect there`,
    });
  }
  if (declared === undefined) host.add(catchAll(owner, upstreams, defaults));
}

function catchAll(
  owner: IngressPlan | undefined,
  upstreams: HostUpstreams,
  defaults: readonly FeatureIr[],
): RouteDraft {
  if (owner !== undefined) {
    const { defaultBackend } = owner.object;
    const backend = upstreams.backend(owner, defaultBackend, implicitOrder);
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
