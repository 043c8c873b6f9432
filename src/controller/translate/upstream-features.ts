// Which Ingress decides on the settings of an upstream that several of them share.
import { formatRef } from "../../ir/object-ref.ts";
import { compareSeniority } from "../../ir/order.ts";
import type { FeatureIr, UpstreamIr } from "../../ir/routing.ts";
import { fieldOf, type AnyFeatureParser } from "../annotations.ts";
import { equalJson } from "../../util/equal-json.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";

/** An upstream while it is found out who uses it. */
export interface UpstreamDraft extends Omit<UpstreamIr, "features"> {
  /** The Ingresses with a route or a canary to it. */
  readonly users: Set<IngressPlan>;
  /** The upstream whose clients it shares as a canary, and whose sessions it keeps. */
  primary: UpstreamDraft | null;
}

/** In registry order. `defaults`: the features of an upstream that no Ingress names. */
export function chooseFeatures(
  context: TranslateContext,
  upstream: UpstreamDraft,
  defaults: readonly FeatureIr[],
): readonly FeatureIr[] {
  if (upstream.users.size === 0) return defaults;
  const users = sortedUsers(upstream);
  const primaryUsers = upstream.primary === null ? [] : sortedUsers(upstream.primary);
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

function sortedUsers({ users }: UpstreamDraft): readonly IngressPlan[] {
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
  { namespace, service, port }: UpstreamDraft,
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
