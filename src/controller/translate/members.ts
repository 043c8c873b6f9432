// Our Ingresses and the hosts they have a say in. Which Ingresses those are is decided here, one at a time.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { compareSeniority } from "../../ir/order.ts";
import { objectKey, refOf, type IngressObject, type ObjectKey } from "../objects.ts";
import { TranslateContext, type IngressPlan } from "./context.ts";
import type { FeatureTranslator } from "./features.ts";
import { foreignBecause } from "./ingress-class.ts";

export interface Member {
  /** Null: it is not ours, and only diagnostics are left of it. */
  readonly plan: IngressPlan | null;
  /** Those that its own annotations, class and flags lead to. */
  readonly diagnostics: readonly Diagnostic[];
  /** Whose routes it takes part in: of its rules, and the catch-all for a default backend. */
  readonly hosts: ReadonlySet<string>;
}

export class Members {
  readonly #byIngress = new Map<ObjectKey, Member>();
  readonly #byHost = new Map<string, Set<IngressPlan>>();

  /** Looks at an Ingress again, whether it is new, has changed or is gone. Returns the hosts that are concerned. */
  update(context: TranslateContext, key: ObjectKey, features: FeatureTranslator): ReadonlySet<string> {
    const old = this.#byIngress.get(key);
    const ingress = context.index.ingresses.get(key);
    const next = ingress === undefined ? null : memberOf(context, ingress, features);
    if (old !== undefined) this.#leave(key, old);
    if (next !== null) this.#join(key, next);
    return new Set([...(old?.hosts ?? []), ...(next?.hosts ?? [])]);
  }

  has(key: ObjectKey): boolean {
    return this.#byIngress.has(key);
  }

  get(key: ObjectKey): Member | undefined {
    return this.#byIngress.get(key);
  }

  all(): Iterable<Member> {
    return this.#byIngress.values();
  }

  keys(): Iterable<ObjectKey> {
    return this.#byIngress.keys();
  }

  /** Without those of which only diagnostics are left. */
  *ours(): Iterable<ObjectKey> {
    for (const [key, { plan }] of this.#byIngress) if (plan !== null) yield key;
  }

  hosts(): Iterable<string> {
    return this.#byHost.keys();
  }

  /** Oldest first. */
  ofHost(host: string): readonly IngressPlan[] {
    return [...(this.#byHost.get(host) ?? [])].sort((a, b) => compareSeniority(a.object.meta, b.object.meta));
  }

  #join(key: ObjectKey, member: Member): void {
    this.#byIngress.set(key, member);
    if (member.plan === null) return;
    for (const host of member.hosts) {
      const plans = this.#byHost.get(host);
      if (plans === undefined) this.#byHost.set(host, new Set([member.plan]));
      else plans.add(member.plan);
    }
  }

  #leave(key: ObjectKey, { plan, hosts }: Member): void {
    this.#byIngress.delete(key);
    if (plan === null) return;
    for (const host of hosts) {
      const plans = this.#byHost.get(host);
      plans?.delete(plan);
      if (plans?.size === 0) this.#byHost.delete(host);
    }
  }
}

/** Null: another controller's, of which nothing is to be said. */
function memberOf(
  context: TranslateContext,
  ingress: IngressObject,
  features: FeatureTranslator,
): Member | null {
  const own = new TranslateContext(context.index, context.options);
  if (!isSelected(ingress, own)) {
    const { diagnostics } = own;
    return diagnostics.length === 0 ? null : { plan: null, diagnostics, hosts: new Set() };
  }
  const { plan, diagnostics } = features.plan(ingress);
  return { plan, diagnostics, hosts: hostsOf(ingress) };
}

/** Whose routes an Ingress takes part in. */
export function hostsOf({ rules, defaultBackend }: IngressObject): ReadonlySet<string> {
  const hosts = new Set(rules.map((rule) => rule.host));
  if (defaultBackend !== null) hosts.add("");
  return hosts;
}

function isSelected(ingress: IngressObject, context: TranslateContext): boolean {
  const { options } = context;
  if (!isOurs(ingress, context)) {
    if (isOfWatchedNamespace(ingress, context) && options.offline) {
      context.report("info", refOf(ingress), "spec.ingressClassName", {
        reason: "ForeignIngress",
        message: `${foreignBecause(ingress, context.index, options) ?? ""}; the Ingress is left to other controllers`,
      });
    }
    return false;
  }
  if (!options.disableCatchAll || !ingress.hasDefaultBackend) return true;
  context.report("warning", refOf(ingress), "spec.defaultBackend", {
    reason: "CatchAllDisabled",
    message: "default backends are switched off by --disable-catch-all; the whole Ingress is ignored",
  });
  return false;
}

/** By namespace and class. */
export function isOurs(ingress: IngressObject, context: TranslateContext): boolean {
  return (
    isOfWatchedNamespace(ingress, context) && foreignBecause(ingress, context.index, context.options) === null
  );
}

function isOfWatchedNamespace({ meta }: IngressObject, { options }: TranslateContext): boolean {
  return options.watchNamespace === "" || meta.namespace === options.watchNamespace;
}

export function keyOf({ object }: IngressPlan): ObjectKey {
  return objectKey(object.meta.namespace, object.meta.name);
}
