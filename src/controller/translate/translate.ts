// Kubernetes objects to routing IR: the ordered list of steps.
import { compareDiagnostics, formatDiagnostic, type Diagnostic } from "../../ir/diagnostic.ts";
import { compareSeniority, compareText } from "../../ir/order.ts";
import type { CertificateIr, RoutingIr, VirtualHostIr } from "../../ir/routing.ts";
import { ObjectIndex } from "../object-index.ts";
import { refOf, type IngressObject, type KubeObject, type ObjectKey } from "../objects.ts";
import { mergeCanaries } from "./canary.ts";
import { TranslateContext } from "./context.ts";
import { translateEndpoints, type ServiceEndpoints } from "./endpoints.ts";
import { FeatureTranslator } from "./features.ts";
import { buildHosts, type HostDraft } from "./hosts.ts";
import { foreignBecause } from "./ingress-class.ts";
import type { TranslateOptions } from "./options.ts";
import { groupByService, UpstreamSet } from "./services.ts";
import { translateSettings } from "./settings.ts";
import { TlsTranslator, type HostTls } from "./tls.ts";

export interface Translation {
  readonly ir: RoutingIr;
  /** Sorted; no duplicates. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Total and pure: no I/O, clock, randomness or throw; the order of `objects` does not change the result. No two of
 * them have the same kind, namespace and name.
 */
export function translate(objects: readonly KubeObject[], options: TranslateOptions): Translation {
  const index = new ObjectIndex();
  for (const object of objects) index.add(object);
  return assemble(translateParts(index, options));
}

/** A translation taken apart, so that the endpoints of one Service can be replaced in it. */
export interface TranslationParts {
  readonly routing: Omit<RoutingIr, "endpoints">;
  /** Of every Service that an upstream or an endpoint object names. */
  readonly services: ReadonlyMap<ObjectKey, ServiceEndpoints>;
  /** Of everything but endpoints. */
  readonly diagnostics: readonly Diagnostic[];
  /** Certificates in use, by their Secret. */
  readonly certificates: ReadonlyMap<ObjectKey, CertificateIr>;
}

export function translateParts(index: ObjectIndex, options: TranslateOptions): TranslationParts {
  const context = new TranslateContext(index, options);
  const features = new FeatureTranslator(context, translateSettings(context));
  const all = selectIngresses(context).map((ingress) => features.plan(ingress));
  const plans = all.filter((plan) => !plan.isCanary);
  const canaries = all.filter((plan) => plan.isCanary);

  const upstreams = new UpstreamSet(context);
  const defaults = features.defaults();
  const hosts = buildHosts(context, plans, upstreams, defaults.features);
  mergeCanaries(context, canaries, hosts, upstreams);
  const tls = new TlsTranslator(context);
  const hostTls = tls.translate(hosts, plans);
  const defaultBackend = upstreams.useDefault();
  const defaultCertificate = tls.translateDefault();

  const allUpstreams = upstreams.all(defaults.upstreamFeatures);
  const byService = groupByService(allUpstreams);
  const services = new Map<ObjectKey, ServiceEndpoints>();
  for (const key of new Set([...byService.keys(), ...index.servicesWithEndpoints()])) {
    services.set(key, translateEndpoints(key, byService.get(key) ?? [], index, options));
  }
  return {
    routing: {
      virtualHosts: [...hosts.values()].map((host) => virtualHost(host, hostTls)).sort(byHost),
      upstreams: allUpstreams,
      certificates: tls.certificates(),
      defaultCertificate,
      defaultBackend,
    },
    services,
    diagnostics: context.diagnostics,
    certificates: tls.inUse,
  };
}

export function assemble(parts: TranslationParts): Translation {
  const endpoints = [...parts.services.values()]
    .flatMap((service) => service.endpoints)
    .sort((a, b) => compareText(a.upstream, b.upstream));
  const diagnostics = [...parts.services.values()].flatMap((service) => service.diagnostics);
  return {
    ir: { ...parts.routing, endpoints },
    diagnostics: sortDiagnostics([...parts.diagnostics, ...diagnostics]),
  };
}

/** Sorted, without duplicates. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const unique = new Map(diagnostics.map((each) => [`${each.severity} ${formatDiagnostic(each)}`, each]));
  return [...unique.values()].sort(compareDiagnostics);
}

/** Our Ingresses, oldest first. */
function selectIngresses(context: TranslateContext): readonly IngressObject[] {
  const { index, options } = context;
  return [...index.ingresses.values()]
    .filter((ingress) => isSelected(ingress, context))
    .sort((a, b) => compareSeniority(a.meta, b.meta))
    .filter((ingress) => {
      if (!options.disableCatchAll || !ingress.hasDefaultBackend) return true;
      context.report("warning", refOf(ingress), "spec.defaultBackend", {
        reason: "CatchAllDisabled",
        message: "default backends are switched off by --disable-catch-all; the whole Ingress is ignored",
      });
      return false;
    });
}

function isSelected(ingress: IngressObject, context: TranslateContext): boolean {
  const { index, options } = context;
  if (options.watchNamespace !== "" && ingress.meta.namespace !== options.watchNamespace) return false;
  const foreign = foreignBecause(ingress, index, options);
  if (foreign !== null && options.offline) {
    context.report("info", refOf(ingress), "spec.ingressClassName", {
      reason: "ForeignIngress",
      message: `${foreign}; the Ingress is left to other controllers`,
    });
  }
  return foreign === null;
}

function virtualHost(draft: HostDraft, tls: ReadonlyMap<string, HostTls>): VirtualHostIr {
  const own = tls.get(draft.host);
  return {
    host: draft.host,
    isTls: own?.isTls ?? false,
    certificates: own?.certificates ?? [],
    routes: draft.sortedRoutes(),
  };
}

function byHost(a: VirtualHostIr, b: VirtualHostIr): number {
  return compareText(a.host, b.host);
}
