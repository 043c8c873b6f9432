// The one order of precedence: of routes inside a host, and of objects that claim the same thing.
import type { RouteIr } from "./routing.ts";

/** Exact before Prefix; then the longer path; then the text, so that the order is total. */
export function compareRoutes(
  a: Pick<RouteIr, "path" | "pathType">,
  b: Pick<RouteIr, "path" | "pathType">,
): number {
  if (a.pathType !== b.pathType) return a.pathType === "Exact" ? -1 : 1;
  return b.path.length - a.path.length || compareText(a.path, b.path);
}

/** What precedence between objects is judged by. `createdAt` is ISO 8601, or empty when the object has none. */
export interface Seniority {
  readonly createdAt: string;
  readonly namespace: string;
  readonly name: string;
}

/**
 * Older objects first; an object without a creation time counts as younger than all that have one.
 * At equal times the larger `namespace/name` comes first, as in ingress-nginx: charts often create several
 * objects within one second, and their users rely on who wins.
 */
export function compareSeniority(a: Seniority, b: Seniority): number {
  if (a.createdAt !== b.createdAt) {
    if (a.createdAt === "") return 1;
    if (b.createdAt === "") return -1;
    const difference = Date.parse(a.createdAt) - Date.parse(b.createdAt);
    if (difference !== 0 && !Number.isNaN(difference)) return difference;
  }
  return compareText(`${b.namespace}/${b.name}`, `${a.namespace}/${a.name}`);
}

/** By UTF-16 code units, independent of any locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
