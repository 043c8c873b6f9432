// How an upstream chooses among its endpoints, and which are in rotation, as the admin port shows it.
import type { RotationView } from "../admin/table-view.ts";
import type { CompiledUpstreamSettings } from "../proxy/routing/snapshot.ts";
import type { HealthReport } from "../proxy/upstream/health.ts";
import { judge } from "../proxy/upstream/rotation.ts";

export function policyName({ affinity, hash, policy }: CompiledUpstreamSettings): string {
  if (affinity !== null) return `affinity ${affinity.mode}`;
  if (hash !== null) return hash.subsetSize > 0 ? `hash to subsets of ${hash.subsetSize}` : "hash";
  return policy;
}

/** The rules of the workers, on what they report. `reports` of all endpoints; undefined: not used yet. */
export function viewRotation(
  reports: readonly (HealthReport | undefined)[],
  settings: CompiledUpstreamSettings,
): RotationView {
  const endpoints = reports.map((report, index) => ({
    key: report?.key ?? String(index),
    failedCheck: report?.failedCheck ?? false,
    isEjected: report !== undefined && report.state !== "healthy",
    ejectedAtMs: -(report?.forMs ?? 0),
  }));
  const { total, failedCheck, ejected, spared, isPanicking } = judge(endpoints, settings);
  return { usable: total - failedCheck - ejected, ejected, spared: spared.length, failedCheck, isPanicking };
}
