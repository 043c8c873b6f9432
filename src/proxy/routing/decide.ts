// What happens to a request: the one function that the data path and every tool that explains it call. Pure: the same
// snapshot and request give the same decision, and a trace only listens.
import type { EndpointsIr } from "../../ir/routing.ts";
import { hasSessionOf } from "../upstream/session.ts";
import { Verdict, type Answer, type RequestView } from "../filter.ts";
import { step, traceHost, tracePath } from "./explain.ts";
import { findVirtualHost } from "./host.ts";
import { findRoute } from "./path.ts";
import type { CompiledAlternative, CompiledRoute, Decision, Snapshot, TraceStep } from "./snapshot.ts";

/**
 * In order: host, path, denied routes, filters, backend. With `trace` it also records what was weighed and why it won or
 * lost. `request.host` and `request.path` are made by `parseAuthority` and `normalizePath`.
 */
export function decide(snapshot: Snapshot, request: RequestView, trace?: TraceStep[]): Decision {
  const host = findVirtualHost(snapshot.table, request.host);
  const route = findRoute(host, request.path);
  if (trace !== undefined) {
    traceHost(snapshot.table, request.host, host, trace);
    tracePath(host, request.path, route, trace);
  }
  if (route.slashRedirect !== null && route.slashRedirect.from === request.path) {
    return { kind: "answer", route, answer: redirectToSlash(request, route) };
  }
  if (route.denied !== null) {
    trace?.push(step("filter", "denied", "won", route.denied));
    return { kind: "refuse", route, code: "routeDenied", upstream: -1 };
  }
  const answer = askFilters(route, request, trace);
  if (answer !== null) return { kind: "answer", route, answer };
  return chooseBackend(snapshot, route, request, trace);
}

/**
 * The path is the route's, so no spelling of the target (`//evil.example/..`) can make it lead elsewhere. A configured
 * host makes it absolute, with the client's port (unlike nginx: behind another port the redirect would miss); the
 * catch-all answers for any Host that a client makes up, so there the Location is a path.
 */
function redirectToSlash(request: RequestView, route: CompiledRoute): Answer {
  const query = request.target.indexOf("?");
  const suffix = query < 0 ? "" : request.target.slice(query);
  const origin = route.host === "" ? "" : `${request.isTls ? "https" : "http"}://${request.authority}`;
  return {
    status: 301,
    fields: [{ name: "location", value: `${origin}${route.slashRedirect?.to ?? route.path}${suffix}` }],
    reason: "trailing slash",
  };
}

function askFilters(
  route: CompiledRoute,
  request: RequestView,
  trace: TraceStep[] | undefined,
): Answer | null {
  const { filters } = route;
  for (let i = 0; i < filters.length; i++) {
    const each = filters[i];
    const answer = each?.filter.answer?.(request) ?? null;
    if (answer !== null) {
      trace?.push(step("filter", each?.feature ?? "", "won", `answers ${answer.status}: ${answer.reason}`));
      return answer;
    }
    trace?.push(step("filter", each?.feature ?? "", "lost", "has no answer to this request"));
  }
  return null;
}

function chooseBackend(
  snapshot: Snapshot,
  route: CompiledRoute,
  request: RequestView,
  trace: TraceStep[] | undefined,
): Decision {
  const isDefault = route.upstream < 0;
  const primary = isDefault ? snapshot.table.defaultBackend : route.upstream;
  if (!hasEndpoints(snapshot.endpoints[primary])) {
    trace?.push(step("backend", upstreamName(snapshot, primary), "lost", "has no endpoints"));
    return isDefault
      ? { kind: "refuse", route, code: "notFound", upstream: -1 }
      : { kind: "refuse", route, code: "noEndpoints", upstream: primary };
  }
  const isSticky = route.alternatives.length > 0 && hasSession(snapshot, primary, request);
  const alternative =
    isSticky || route.alternatives.length === 0
      ? null
      : (stickyAlternative(snapshot, route.alternatives, request, trace) ??
        chooseAlternative(snapshot, route.alternatives, request, trace));
  if (trace !== undefined) {
    const [outcome, reason] =
      alternative === null
        ? ([
            "won",
            isSticky ? `${sessionCookie(snapshot, primary)} keeps it` : "the primary backend",
          ] as const)
        : (["lost", "an alternative takes the request"] as const);
    trace.push(step("backend", upstreamName(snapshot, primary), outcome, reason));
  }
  return { kind: "forward", route, upstream: alternative?.upstream ?? primary, alternative };
}

/** The alternative that the client's session cookie keeps it on; it comes before every rule. Null: there is none. */
function stickyAlternative(
  snapshot: Snapshot,
  alternatives: readonly CompiledAlternative[],
  request: RequestView,
  trace: TraceStep[] | undefined,
): CompiledAlternative | null {
  for (let i = 0; i < alternatives.length; i++) {
    const each = alternatives[i];
    if (each === undefined || !hasSession(snapshot, each.upstream, request)) continue;
    const name = upstreamName(snapshot, each.upstream);
    const cookie = sessionCookie(snapshot, each.upstream);
    if (hasEndpoints(snapshot.endpoints[each.upstream])) {
      trace?.push(step("backend", name, "won", `${cookie} keeps it`));
      return each;
    }
    trace?.push(step("backend", name, "lost", `${cookie} would keep it, but it has no endpoints`));
  }
  return null;
}

function hasSession({ table }: Snapshot, upstream: number, request: RequestView): boolean {
  const settings = table.upstreamSettings[upstream];
  if (settings === undefined || settings.affinity === null) return false;
  return hasSessionOf(request, settings.affinity.cookieName, settings.sessionId);
}

function sessionCookie({ table }: Snapshot, upstream: number): string {
  return `session cookie ${table.upstreamSettings[upstream]?.affinity?.cookieName ?? ""}`;
}

/** Rules first, rule `i` of every alternative before rule `i + 1` of any; then shares. Null: the primary backend. */
function chooseAlternative(
  snapshot: Snapshot,
  alternatives: readonly CompiledAlternative[],
  request: RequestView,
  trace: TraceStep[] | undefined,
): CompiledAlternative | null {
  // Made only when a rule refuses, which few requests meet.
  let refused = null as Set<CompiledAlternative> | null;
  let hasMore = true;
  for (let rule = 0; hasMore; rule++) {
    hasMore = false;
    for (let i = 0; i < alternatives.length; i++) {
      const each = alternatives[i];
      if (each === undefined || rule >= each.selector.rules.length) continue;
      hasMore = true;
      if (refused?.has(each) === true || !hasEndpoints(snapshot.endpoints[each.upstream])) continue;
      const verdict = each.selector.rules[rule]?.judge(request) ?? Verdict.Next;
      if (verdict === Verdict.Next) continue;
      const description = each.selector.rules[rule]?.description ?? "";
      if (verdict === Verdict.Take) {
        trace?.push(step("backend", upstreamName(snapshot, each.upstream), "won", `${description} takes it`));
        return each;
      }
      refused ??= new Set();
      refused.add(each);
      trace?.push(
        step("backend", upstreamName(snapshot, each.upstream), "lost", `${description} refuses it`),
      );
    }
  }
  return drawAlternative(snapshot, alternatives, request.draw, refused, trace);
}

/**
 * Shares lie side by side in [0, 1), oldest first; what they leave is the primary's. The share of an alternative that is
 * out of the question goes to the primary, so that nobody else's changes.
 */
function drawAlternative(
  snapshot: Snapshot,
  alternatives: readonly CompiledAlternative[],
  draw: number,
  refused: ReadonlySet<CompiledAlternative> | null,
  trace: TraceStep[] | undefined,
): CompiledAlternative | null {
  let end = 0;
  let winner: CompiledAlternative | null = null;
  for (let i = 0; i < alternatives.length; i++) {
    const each = alternatives[i];
    if (each === undefined) continue;
    const start = end;
    end = Math.min(1, start + each.selector.share);
    const isDrawn = draw >= start && draw < end;
    const isEmpty = !hasEndpoints(snapshot.endpoints[each.upstream]);
    const isRefused = refused?.has(each) === true;
    if (isDrawn && !isEmpty && !isRefused) winner = each;
    if (trace === undefined) {
      if (isDrawn) break;
    } else if (!isRefused) {
      const reason = isEmpty ? "has no endpoints" : `weight: drew ${draw.toFixed(6)} of [${start}, ${end})`;
      trace?.push(
        step("backend", upstreamName(snapshot, each.upstream), winner === each ? "won" : "lost", reason),
      );
    }
  }
  return winner;
}

function hasEndpoints(endpoints: EndpointsIr | undefined): boolean {
  return endpoints !== undefined && (endpoints.addresses.length > 0 || endpoints.dns !== null);
}

function upstreamName(snapshot: Snapshot, index: number): string {
  return snapshot.table.upstreams[index]?.id ?? "built-in 404";
}
