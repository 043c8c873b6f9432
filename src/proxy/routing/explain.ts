// Words for the choice of host and route: which candidates were there, and why they lost. Called by decide.ts only when
// somebody asked; the choice itself is made elsewhere.
import { isLabel } from "./host.ts";
import { pathBytes, prefixKey } from "./path.ts";
import type { CompiledRoute, RoutingTable, TraceStep, VirtualHost } from "./snapshot.ts";

/** Routes that a trace names besides the winner: those that matched first, then the nearest misses. */
const lostRoutesMax = 20;

export function step(
  stage: TraceStep["stage"],
  candidate: string,
  outcome: TraceStep["outcome"],
  reason: string,
): TraceStep {
  return { stage, candidate, outcome, reason };
}

/** The three places a host is looked for, in order. */
export function traceHost(
  table: RoutingTable,
  requested: string,
  winner: VirtualHost,
  trace: TraceStep[],
): void {
  if (requested !== "") {
    const isExact = table.exactHosts.get(requested) === winner;
    trace.push(
      isExact
        ? step("host", requested, "won", "the exact host comes first")
        : step("host", requested, "lost", "no such host"),
    );
  }
  const dot = requested.indexOf(".");
  if (dot > 0) {
    const suffix = requested.slice(dot);
    const wildcard = table.wildcardHosts.get(suffix);
    if (wildcard === undefined) trace.push(step("host", `*${suffix}`, "lost", "no such host"));
    else if (wildcard === winner) {
      trace.push(step("host", wildcard.host, "won", "the wildcard for one label"));
    } else {
      const reason = isLabel(requested, dot)
        ? "an exact host comes before a wildcard"
        : `"${requested.slice(0, dot)}" is not a label that a wildcard stands for`;
      trace.push(step("host", wildcard.host, "lost", reason));
    }
  }
  const isCatchAll = winner === table.catchAll;
  trace.push(
    step(
      "host",
      "(any host)",
      isCatchAll ? "won" : "lost",
      isCatchAll ? "no other host takes it" : "a named host comes first",
    ),
  );
}

/** The winner, the other routes that matched, and those that share most of their beginning with the path. */
export function tracePath(host: VirtualHost, path: string, winner: CompiledRoute, trace: TraceStep[]): void {
  const why = winner.pathType === "Exact" ? "the exact path comes first" : "the longest prefix that matches";
  trace.push(step("path", nameOf(winner), "won", winner.isImplicit ? "no other route takes it" : why));
  const lost = host.routes.filter((route) => route !== winner).map((route) => weigh(route, path));
  lost.sort((a, b) => Number(b.matches) - Number(a.matches) || b.common - a.common);
  for (const { route, matches } of lost.slice(0, lostRoutesMax)) {
    trace.push(
      step("path", nameOf(route), "lost", matches ? whyNotFirst(route, winner) : whyNot(route, path)),
    );
  }
}

interface Weighed {
  readonly route: CompiledRoute;
  readonly matches: boolean;
  /** Characters at the beginning that the route and the path share. */
  readonly common: number;
}

function weigh(route: CompiledRoute, path: string): Weighed {
  const wanted = pathBytes(route.path);
  const key = prefixKey(wanted);
  const matches = route.pathType === "Exact" ? path === wanted : path === key || path.startsWith(`${key}/`);
  let common = 0;
  while (common < wanted.length && wanted[common] === path[common]) common++;
  return { route, matches, common };
}

function whyNotFirst(route: CompiledRoute, winner: CompiledRoute): string {
  if (winner.pathType !== route.pathType) return `${nameOf(winner)} is exact`;
  if (route.path === winner.path) return "declared twice; the first one serves";
  if (prefixKey(route.path) !== prefixKey(winner.path)) return `${nameOf(winner)} is longer`;
  return `${nameOf(winner)} fits the trailing slash`;
}

function whyNot(route: CompiledRoute, path: string): string {
  const wanted = pathBytes(route.path);
  if (route.pathType === "Exact") return "the path is another one";
  return path.startsWith(prefixKey(wanted))
    ? "the prefix ends within an element of the path"
    : "the path does not begin with it";
}

function nameOf(route: CompiledRoute): string {
  return `${route.pathType} ${route.path}`;
}
