// The health of endpoints as several workers report it. The state is shared; the words for it are each worker's own, and
// only the one that resolved a name may know an endpoint.
import type { HealthReport } from "../upstream/health.ts";

/** Sorted by key. */
export function mergeReports(workers: readonly (readonly HealthReport[])[]): readonly HealthReport[] {
  const merged = new Map<string, HealthReport>();
  for (const report of workers.flat()) {
    const known = merged.get(report.key);
    if (known === undefined || (known.reason === "" && report.reason !== "")) merged.set(report.key, report);
  }
  return [...merged.keys()].sort().flatMap((key) => merged.get(key) ?? []);
}
