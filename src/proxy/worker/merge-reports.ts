// The health of endpoints as several workers report it. The state is shared; the words for it are each worker's own, and
// only the one that resolved a name may know an endpoint.
import { reportKey, type HealthReport } from "../upstream/health.ts";

/** Sorted by key and check. */
export function mergeReports(workers: readonly (readonly HealthReport[])[]): readonly HealthReport[] {
  const merged = new Map<string, HealthReport>();
  for (const report of workers.flat()) {
    const key = reportKey(report);
    const known = merged.get(key);
    if (known === undefined || (known.reason === "" && report.reason !== "")) merged.set(key, report);
  }
  return [...merged.keys()].sort().flatMap((key) => merged.get(key) ?? []);
}
