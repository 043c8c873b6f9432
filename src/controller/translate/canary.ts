// Canary Ingresses make no routes: they join the routes with their host, path and path type as alternatives.
import { formatRef } from "../../ir/object-ref.ts";
import type { PathType } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import type { IngressBackend } from "../objects.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { describeHost, type HostDraft, type RouteDraft } from "./hosts.ts";
import type { UpstreamSet } from "./services.ts";

interface Claim {
  readonly host: string;
  readonly path: string;
  readonly pathType: PathType;
  readonly backend: IngressBackend;
  readonly field: string;
}

/** `canaries`: oldest first, which is the order in which they are asked. */
export function mergeCanaries(
  context: TranslateContext,
  canaries: readonly IngressPlan[],
  hosts: ReadonlyMap<string, HostDraft>,
  upstreams: UpstreamSet,
): void {
  for (const canary of canaries) {
    for (const claim of claimsOf(canary)) {
      const route = hosts.get(claim.host)?.find(claim.path, claim.pathType)?.route;
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
  const claims = object.rules.flatMap((rule) =>
    rule.paths.map((path): Claim => ({ ...path, host: rule.host })),
  );
  const backend = object.defaultBackend;
  if (backend === null) return claims;
  // The counterpart of a default backend is the default backend of others, not every hostless rule.
  return [...claims, { host: "", path: "/", pathType: "Prefix", backend, field: backend.field }];
}

/** Adds the alternative; or says why not. */
function join(
  canary: IngressPlan,
  claim: Claim,
  route: RouteDraft["route"] | undefined,
  upstreams: UpstreamSet,
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
  const upstream = upstreams.use(canary, claim.backend, "requests stay with the primary");
  if (upstream === route.backend.upstream) {
    const message = `${place} already goes to Service ${canary.ref.namespace}/${claim.backend.service}`;
    return { reason: "CanarySameService", message };
  }
  if (canary.keepsSessions) upstreams.shareSessions(route.backend.upstream, upstream);
  route.alternatives.push({ upstream, ingress: canary.ref, features: canary.features });
  return null;
}
