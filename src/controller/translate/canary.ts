// Canary Ingresses make no routes: they join the routes with their host, path and path type as alternatives.
import { formatRef } from "../../ir/object-ref.ts";
import type { PathType } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import type { IngressBackend } from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { describeHost, type HostDraft, type RouteDraft } from "./host.ts";
import { implicitOrder, type HostUpstreams } from "./services.ts";

interface Claim {
  readonly host: string;
  /** Its place in the Ingress. */
  readonly order: number;
  readonly path: string;
  readonly pathType: PathType;
  readonly backend: IngressBackend;
  readonly field: string;
}

/** `canaries`: those that claim something of the host, oldest first, which is the order in which they are asked. */
export function mergeCanaries(
  context: TranslateContext,
  canaries: readonly IngressPlan[],
  host: HostDraft | null,
  { name, upstreams }: { readonly name: string; readonly upstreams: HostUpstreams },
): void {
  for (const canary of canaries) {
    for (const claim of claimsOf(canary)) {
      if (claim.host !== name) continue;
      const route = host?.find(claim.path, claim.pathType)?.route;
      const problem = join(canary, claim, route, upstreams);
      if (problem === null) continue;
      context.report("warning", canary.ref, claim.field, {
        reason: problem.reason,
        message: `${problem.message}; this part of the canary has no effect`,
      });
    }
  }
}

function claimsOf({ object }: IngressPlan): readonly Claim[] {
  const claims = object.rules
    .flatMap((rule) => rule.paths.map((path) => ({ ...path, host: rule.host })))
    .map((claim, order): Claim => ({ ...claim, order }));
  const backend = object.defaultBackend;
  if (backend === null) return claims;
  // The counterpart of a default backend is the default backend of others, not every hostless rule.
  const { field } = backend;
  return [...claims, { host: "", path: "/", pathType: "Prefix", backend, field, order: implicitOrder }];
}

/** Adds the alternative; or says why not. */
function join(
  canary: IngressPlan,
  claim: Claim,
  route: RouteDraft["route"] | undefined,
  upstreams: HostUpstreams,
): { readonly reason: string; readonly message: string } | null {
  const place = `${claim.pathType} path ${quote(claim.path)} of ${describeHost(claim.host)}`;
  if (route === undefined || route.ingress === null || route.backend.kind === "default") {
    return { reason: "CanaryWithoutPrimary", message: `no other Ingress sends ${place} to a Service` };
  }
  // Otherwise whoever may create Ingresses in some namespace could draw off the traffic of any other.
  if (route.ingress.namespace !== canary.ref.namespace) {
    const message = `${place} belongs to ${formatRef(route.ingress)}; a canary must be in the same namespace`;
    return { reason: "CanaryNamespace", message };
  }
  if (route.alternatives.some((each) => each.ingress === canary.ref)) {
    return { reason: "PathConflict", message: `the canary declares ${place} twice` };
  }
  const upstream = upstreams.use(canary, claim.backend, claim.order, "requests stay with the primary");
  if (upstream === route.backend.upstream) {
    const message = `${place} already goes to Service ${canary.ref.namespace}/${claim.backend.service}`;
    return { reason: "CanarySameService", message };
  }
  if (canary.keepsSessions) {
    upstreams.shareSessions({
      primary: route.backend.upstream,
      canary: upstream,
      plan: canary,
      order: claim.order,
    });
  }
  route.alternatives.push({ upstream, ingress: canary.ref, features: canary.features });
  return null;
}
