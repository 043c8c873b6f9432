// How an endpoint is chosen for each request, where neither sessions nor hashing decide. Endpoints start slowly with it,
// and with sessions of the persistent mode.
import type { AnnotationReader } from "../../controller/annotations.ts";
import type { BalancingPolicy } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

export interface LoadBalanceConfig {
  readonly policy: BalancingPolicy;
  readonly slowStartMs: number;
}

const key = "load-balance";
const slowStart = "fairway.dev/slow-start";
const slowStartSecondsMax = 3_600;

const policies = ["round_robin", "ewma", "least_request"] as const;
/** Values of ingress-nginx that stand for what other annotations switch on. */
const implied: Readonly<Record<string, string>> = {
  chash: "upstream-hash-by",
  chashsubset: "upstream-hash-by-subset",
  sticky_balanced: "affinity",
  sticky_persistent: "affinity",
};

export const loadBalance = defineFeature<LoadBalanceConfig, BalancingPolicy>({
  name: "load-balance",
  scope: "upstream",
  onInvalid: "ignore",
  annotations: {
    [key]:
      "round_robin, ewma (the faster of two random endpoints) or least_request (the one of two with fewer active requests); where affinity or upstream-hash-by is set, that decides. Default: the ConfigMap's, round_robin.",
    [slowStart]:
      "Seconds in which the share of a new endpoint grows from a tenth to all of it, up to 3600. Without effect beside upstream-hash-by and affinity-mode balanced. Default: 0.",
  },
  settings: { [key]: "Default of the annotation. Default: round_robin." },
  parseSettings: (reader) => readPolicy(reader) ?? "round_robin",
  parse(reader, fallback) {
    const policy = readPolicy(reader) ?? fallback;
    const slowStartMs = 1000 * (reader.integer(slowStart, { min: 0, max: slowStartSecondsMax }) ?? 0);
    return policy === "round_robin" && slowStartMs === 0 ? undefined : { policy, slowStartMs };
  },
  runtime: { applyUpstream: (settings, config) => Object.assign(settings, config) },
});

function readPolicy(reader: AnnotationReader): BalancingPolicy | undefined {
  const companion = implied[reader.text(key) ?? ""];
  if (companion === undefined) return reader.oneOf(key, policies);
  if (!reader.has(companion)) {
    const message = `this policy is switched on by ${companion}, which is not set; the default applies`;
    reader.report("warning", key, "NoEffect", message);
  }
  return undefined;
}
