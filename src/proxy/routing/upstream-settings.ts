// Settings of one upstream, from the features that its Ingresses decided on.
import { createHash } from "node:crypto";
import type { FeatureIr, UpstreamIr } from "../../ir/routing.ts";
import { defaultOutliers, type FeatureRuntime, type UpstreamSettings } from "../filter.ts";
import type { CompiledUpstreamSettings } from "./snapshot.ts";

/** filter.ts says what each is. */
const defaults: Readonly<UpstreamSettings> = {
  policy: "round_robin",
  slowStartMs: 0,
  hash: null,
  affinity: null,
  healthCheck: null,
  outliers: defaultOutliers,
  ejectedPercentMax: 50,
  panicPercent: 20,
};

export const defaultUpstreamSettings: CompiledUpstreamSettings = {
  ...defaults,
  name: "",
  sessionId: "",
  check: "",
};

/** Throws when a feature does, or when its runtime is missing. */
export function compileUpstream(
  ir: UpstreamIr,
  runtimeOf: (feature: FeatureIr) => FeatureRuntime<unknown>,
): CompiledUpstreamSettings {
  // Thousands of upstreams say nothing of their own.
  if (ir.features === undefined || ir.features.length === 0) return defaultUpstreamSettings;
  const settings: UpstreamSettings = { ...defaults };
  for (const each of ir.features) {
    const runtime = runtimeOf(each);
    if (!("applyUpstream" in runtime)) throw new TypeError(`feature ${each.feature} is not one of upstreams`);
    runtime.applyUpstream(settings, each.config);
  }
  const check = settings.healthCheck === null ? "" : JSON.stringify(settings.healthCheck);
  if (settings.affinity === null) return { ...settings, name: "", sessionId: "", check };
  const name = `${ir.namespace}-${ir.service}-${ir.port}`;
  return { ...settings, name, sessionId: md5(md5(name) + name), check };
}

/** As in ingress-nginx, whose cookies clients may still have. Nothing of it is a secret. */
function md5(text: string): string {
  return createHash("md5").update(text).digest("hex");
}
