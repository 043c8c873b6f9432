// Which Ingress decides on the settings of an upstream that several of them share.
import { formatRef } from "../../ir/object-ref.ts";
import { compareSeniority } from "../../ir/order.ts";
import type { FeatureIr } from "../../ir/routing.ts";
import { fieldOf, type AnyFeatureParser } from "../annotations.ts";
import { equalJson } from "../../util/equal-json.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import type { UpstreamName } from "./services.ts";

/** An upstream with those who use it. */
export interface UpstreamDraft {
  readonly name: UpstreamName;
  /** The Ingresses with a route or a canary to it. */
  readonly users: ReadonlySet<IngressPlan>;
  /** The users of the upstream whose clients it shares as a canary, and whose sessions it keeps; empty: there is none. */
  readonly primaryUsers: ReadonlySet<IngressPlan>;
}

/** In registry order. `defaults`: the features of an upstream that no Ingress names. */
export function chooseFeatures(
  context: TranslateContext,
  upstream: UpstreamDraft,
  defaults: readonly FeatureIr[],
): readonly FeatureIr[] {
  if (upstream.users.size === 0) return defaults;
  const users = oldestFirst(upstream.users);
  const primaryUsers = oldestFirst(upstream.primaryUsers);
  return context.options.parsers.flatMap((parser) => {
    if ((parser.scope ?? "route") === "route") return [];
    const decider =
      parser.scope === "upstream" ? users[0] : [...users, ...primaryUsers].find((plan) => has(plan, parser));
    if (decider === undefined) return [];
    const chosen = featureOf(decider, parser);
    for (const plan of users) {
      const own = featureOf(plan, parser);
      const isSilent = own === undefined && parser.scope === "session";
      if (plan === decider || isSilent || equalJson(own, chosen)) continue;
      reportOverruled(context, upstream, { parser, plan, decider });
    }
    return chosen === undefined ? [] : [chosen];
  });
}

function oldestFirst(users: ReadonlySet<IngressPlan>): readonly IngressPlan[] {
  return [...users].sort((a, b) => compareSeniority(a.object.meta, b.object.meta));
}

function featureOf(plan: IngressPlan, { name }: AnyFeatureParser): FeatureIr | undefined {
  return plan.upstreamFeatures.find(({ feature }) => feature === name);
}

function has(plan: IngressPlan, parser: AnyFeatureParser): boolean {
  return featureOf(plan, parser) !== undefined;
}

/** Silent when the Ingress has none of the annotations: it asked for nothing. */
function reportOverruled(
  context: TranslateContext,
  { name: { namespace, service, port } }: UpstreamDraft,
  { parser, plan, decider }: Record<"plan" | "decider", IngressPlan> & { readonly parser: AnyFeatureParser },
): void {
  const fieldPrefix = `${context.options.annotationsPrefix}/`;
  for (const key of Object.keys(parser.annotations)) {
    const field = fieldOf({ fieldPrefix }, key);
    if (!plan.object.meta.annotations.has(field)) continue;
    context.report("info", plan.ref, field, {
      reason: "DecidedElsewhere",
      message: `${formatRef(decider.ref)} came first to Service ${namespace}/${service} port ${port}, and its settings decide how an endpoint is chosen; this one has no effect there`,
    });
  }
}
