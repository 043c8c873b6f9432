// The text form of the routing table: for `curl` and a terminal.
import type {
  AlternativeView,
  CertificateView,
  CheckView,
  HostView,
  RotationView,
  RouteView,
  TableView,
  UpstreamView,
} from "./table-view.ts";

export function formatTable(view: TableView): string {
  const routes = view.hosts.reduce((sum, host) => sum + host.routes.length, 0);
  const sections = [
    `table ${view.generation}: ${count(view.hosts.length, "host")}, ${count(routes, "route")}, ${count(
      view.upstreams.length,
      "upstream",
    )}, ${count(view.certificates.length, "certificate")}\ndefault backend: ${view.defaultBackend ?? "built-in 404"}`,
    ...(view.problems.length === 0
      ? []
      : [["problems", ...view.problems.map((each) => `  ${each}`)].join("\n")]),
    ...view.hosts.map(formatHost),
    ["upstreams", ...view.upstreams.flatMap(formatUpstream)].join("\n"),
    ["certificates", ...columns(view.certificates.map(certificateCells))].join("\n"),
  ];
  return `${sections.join("\n\n")}\n`;
}

/** Rows as indented lines, every column as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[], indent = "  "): string[] {
  const widths: number[] = [];
  for (const row of rows) {
    for (const [index, cell] of row.entries()) widths[index] = Math.max(widths[index] ?? 0, cell.length);
  }
  return rows.map((row) => {
    const cells = row.map((cell, index) => cell.padEnd(widths[index] ?? 0));
    return `${indent}${cells.join("  ")}`.trimEnd();
  });
}

function formatHost({ host, isTls, certificates, routes }: HostView): string {
  const name = host === "" ? "(every other host)" : host;
  const secrets = certificates.length === 0 ? "default certificate" : `Secret ${certificates.join(", ")}`;
  const title = isTls ? `${name}  TLS: ${secrets}` : name;
  return [title, ...columns(routes.map(routeCells))].join("\n");
}

function routeCells(route: RouteView): string[] {
  const target = route.denied === null ? (route.upstream ?? "default backend") : `503: ${route.denied}`;
  const notes = [
    ...route.alternatives.map(formatAlternative),
    ...(route.filters.length === 0 ? [] : [`filters: ${route.filters.join(", ")}`]),
  ];
  const owner = route.ingress === null ? "" : `Ingress ${route.ingress}`;
  return [route.pathType, route.path, `-> ${target}`, owner, notes.join("; ")];
}

function formatAlternative({ upstream, ingress, rules, share }: AlternativeView): string {
  const conditions = [...rules, `${Number((share * 100).toFixed(4))} % of the rest`];
  return `canary ${upstream} (Ingress ${ingress}): ${conditions.join(", ")}`;
}

function formatUpstream({ id, dns, check, policy, rotation, endpoints }: UpstreamView): string[] {
  const checked = check === null ? "" : `  check: ${check}`;
  const name = dns === null ? "" : `  by DNS: ${dns}`;
  const source = name + checked + formatRotation(policy, rotation);
  if (endpoints.length === 0 && dns === null) return [`  ${id}${source}  no endpoints: answers 503`];
  const rows = endpoints.map(({ address, weight, state, reason, check }) => [
    address,
    state,
    weight === 1 ? "" : `weight ${weight}`,
    check === null ? "" : formatCheck(check),
    reason,
  ]);
  // A column that no endpoint has anything in would be a gap.
  const used = rows[0]?.map((_, index) => rows.some((row) => row[index] !== "")) ?? [];
  const shown = rows.map((row) => row.filter((_, index) => used[index]));
  return [`  ${id}${source}`, ...columns(shown, "    ")];
}

function formatCheck({ state, forSeconds, lastProbeSecondsAgo }: CheckView): string {
  const probe = lastProbeSecondsAgo === null ? "not probed yet" : `probed ${lastProbeSecondsAgo} s ago`;
  return state === "unknown" ? `no verdict, ${probe}` : `${state} for ${forSeconds} s, ${probe}`;
}

/** What is as usual is not said. */
function formatRotation(policy: string, rotation: RotationView | null): string {
  const name = policy === "round_robin" ? "" : `  policy: ${policy}`;
  if (rotation === null) return name;
  const { usable, ejected, spared, failedCheck, isPanicking } = rotation;
  if (ejected + spared + failedCheck === 0) return name;
  const counts = [
    `usable: ${usable}`,
    ...(ejected === 0 ? [] : [`ejected: ${ejected}`]),
    ...(spared === 0 ? [] : [`ejected but used: ${spared}`]),
    ...(failedCheck === 0 ? [] : [`failed check: ${failedCheck}`]),
    ...(isPanicking ? ["PANIC: all are tried"] : []),
  ];
  return `${name}  ${counts.join(", ")}`;
}

function certificateCells({ secret, names, keyType, notAfter, isDefault }: CertificateView): string[] {
  const name = secret === null ? "self-signed" : `Secret ${secret}`;
  return [name, keyType, `until ${notAfter}`, `${names.join(", ")}${isDefault ? " (default)" : ""}`];
}

function count(number: number, noun: string): string {
  return `${number} ${noun}${number === 1 ? "" : "s"}`;
}
