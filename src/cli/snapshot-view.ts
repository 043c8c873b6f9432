// The proxy's compiled table as the admin port and `fairway translate` show it.
import { X509Certificate } from "node:crypto";
import type {
  AlternativeView,
  CertificateView,
  CheckView,
  EndpointView,
  HostView,
  RouteView,
  TableView,
  UpstreamView,
} from "../admin/table-view.ts";
import type { ObjectRef } from "../ir/object-ref.ts";
import type { CheckReport } from "../proxy/health-check/checked-endpoint.ts";
import { describeProbe } from "../proxy/health-check/probe.ts";
import type { CompiledAlternative, CompiledRoute, Snapshot, VirtualHost } from "../proxy/routing/snapshot.ts";
import { defaultUpstreamSettings } from "../proxy/routing/upstream-settings.ts";
import {
  endpointKey,
  outliersName,
  reportKey,
  verdictKey,
  type HealthReport,
} from "../proxy/upstream/health.ts";
import type { KeyPair } from "./default-certificate.ts";
import { policyName, viewRotation } from "./rotation-view.ts";

export interface ViewContext {
  /** Of endpoints in use. Null: nothing runs, and no health is shown. */
  readonly health: readonly HealthReport[] | null;
  /** Of endpoints that are probed. */
  readonly checks: readonly CheckReport[];
  /** Beside those of the table. */
  readonly problems: readonly string[];
  /** Null: not made. */
  readonly selfSigned: KeyPair | null;
}

export function viewSnapshot(snapshot: Snapshot, context: ViewContext): TableView {
  const { table } = snapshot;
  const { exactHosts, wildcardHosts, catchAll } = table;
  const reports: Reports = {
    health: context.health && new Map(context.health.map((report) => [reportKey(report), report])),
    checks: new Map(context.checks.map((report) => [report.key, report])),
  };
  return {
    generation: snapshot.generation,
    hosts: [...exactHosts.values(), ...wildcardHosts.values(), catchAll].map((host) =>
      viewHost(host, snapshot),
    ),
    upstreams: table.upstreams.flatMap((upstream, index) =>
      upstream === null ? [] : [viewUpstream(upstream.id, index, { snapshot, reports })],
    ),
    certificates: viewCertificates(snapshot, context.selfSigned),
    defaultBackend: upstreamId(snapshot, table.defaultBackend),
    problems: [...table.problems, ...context.problems],
  };
}

function viewHost({ host, isTls, certificates, routes }: VirtualHost, snapshot: Snapshot): HostView {
  return {
    host,
    isTls,
    certificates: certificates.map(({ secret }) => shortRef(secret)),
    routes: routes.map((route) => viewRoute(route, snapshot)),
  };
}

function viewRoute(route: CompiledRoute, snapshot: Snapshot): RouteView {
  return {
    pathType: route.pathType,
    path: route.path,
    ingress: route.ingress === null ? null : shortRef(route.ingress),
    upstream: upstreamId(snapshot, route.upstream),
    alternatives: route.alternatives.map((alternative) => viewAlternative(alternative, snapshot)),
    filters: route.filters.map(({ feature }) => feature),
    denied: route.denied,
  };
}

function viewAlternative(
  { upstream, ingress, selector }: CompiledAlternative,
  snapshot: Snapshot,
): AlternativeView {
  return {
    upstream: upstreamId(snapshot, upstream) ?? "",
    ingress: shortRef(ingress),
    rules: selector.rules.flatMap((rule) => (rule === null ? [] : [rule.description])),
    share: selector.share,
  };
}

interface Reports {
  readonly health: ReadonlyMap<string, HealthReport> | null;
  readonly checks: ReadonlyMap<string, CheckReport>;
}

function viewUpstream(
  id: string,
  index: number,
  { snapshot, reports }: { readonly snapshot: Snapshot; readonly reports: Reports },
): UpstreamView {
  const { dns = null, addresses = [] } = snapshot.endpoints[index] ?? {};
  const settings = snapshot.table.upstreamSettings[index] ?? defaultUpstreamSettings;
  const { healthCheck, check } = settings;
  const judgement = { check, outliers: outliersName(settings.outliers) };
  const health = reports.health;
  const used = addresses.map(({ address, port }) =>
    health?.get(reportKey({ key: endpointKey(address, port), ...judgement })),
  );
  return {
    id,
    dns: dns === null ? null : `${dns.hostname}:${dns.port}`,
    policy: policyName(settings),
    rotation: health === null ? null : viewRotation(used, settings),
    check:
      healthCheck === null ? null : `${describeProbe(healthCheck)} every ${healthCheck.intervalMs / 1000} s`,
    endpoints: addresses.map(({ address, port, weight }) =>
      viewEndpoint({ address: endpointKey(address, port), weight }, judgement, reports),
    ),
  };
}

function viewEndpoint(
  { address, weight }: Pick<EndpointView, "address" | "weight">,
  judgement: Pick<HealthReport, "check" | "outliers">,
  { health, checks }: Reports,
): EndpointView {
  const report = health?.get(reportKey({ key: address, ...judgement }));
  const probed = checks.get(verdictKey(address, judgement.check));
  const reasons = [probed?.reason ? `check: ${probed.reason}` : "", report?.reason ?? ""];
  const passive = report?.state ?? (health === null ? "" : "unused");
  return {
    address,
    weight,
    state: probed?.state === "failing" ? "failed check" : passive,
    reason: reasons.filter((each) => each !== "").join("; "),
    check: probed === undefined ? null : viewCheck(probed),
  };
}

function viewCheck({ state, forMs, lastProbeAgoMs }: CheckReport): CheckView {
  return {
    state,
    forSeconds: Math.round(forMs / 1000),
    lastProbeSecondsAgo: lastProbeAgoMs === null ? null : Math.round(lastProbeAgoMs / 1000),
  };
}

function viewCertificates({ table }: Snapshot, selfSigned: KeyPair | null): CertificateView[] {
  const { certificates, defaultCertificate } = table;
  const views = [...certificates.values()].map(
    ({ id, secret, names, keyType, notAfter }): CertificateView => ({
      secret: shortRef(secret),
      names,
      keyType,
      notAfter,
      isDefault: id === defaultCertificate?.id,
    }),
  );
  if (defaultCertificate !== null || selfSigned === null) return views;
  const { subjectAltName = "", validToDate } = new X509Certificate(selfSigned.chain);
  const names = subjectAltName.split(", ").map((name) => name.replace(/^DNS:/, ""));
  return [
    ...views,
    { secret: null, names, keyType: "rsa", notAfter: validToDate.toISOString(), isDefault: true },
  ];
}

function upstreamId({ table }: Snapshot, index: number): string | null {
  return table.upstreams[index]?.id ?? null;
}

function shortRef({ namespace, name }: ObjectRef): string {
  return `${namespace}/${name}`;
}
