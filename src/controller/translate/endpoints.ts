// Endpoints of upstreams, one Service at a time: the part of a translation that changes far more often than the rest,
// so the rebuild loop also calls it alone.
import type { Diagnostic, Severity } from "../../ir/diagnostic.ts";
import type { ObjectRef } from "../../ir/object-ref.ts";
import { compareText } from "../../ir/order.ts";
import type { DnsTargetIr, EndpointIr, EndpointsIr, UpstreamIr } from "../../ir/routing.ts";
import { classifyAddress, formatAddress, parseAddress } from "../../util/addresses.ts";
import { quote } from "../annotations.ts";
import type { ObjectIndex } from "../object-index.ts";
import {
  refOf,
  type EndpointPort,
  type ObjectKey,
  type ServiceObject,
  type ServicePort,
} from "../objects.ts";
import type { TranslateOptions } from "./options.ts";
import { findPort, isFreePort } from "./services.ts";
import { nearness, prefersNear } from "./topology.ts";

export interface ServiceEndpoints {
  /** One for each of the upstreams, in their order. */
  readonly endpoints: readonly EndpointsIr[];
  readonly diagnostics: readonly Diagnostic[];
}

/** `upstreams`: those of the Service `key`; empty when no Ingress names it. */
export function translateEndpoints(
  key: ObjectKey,
  upstreams: readonly UpstreamIr[],
  index: ObjectIndex,
  options: Omit<TranslateOptions, "lastGoodCertificates">,
): ServiceEndpoints {
  const service = index.services.get(key);
  if (service === undefined) {
    return { endpoints: upstreams.map((each) => empty(each)), diagnostics: orphans(key, index) };
  }
  const resolver = new EndpointResolver(service, options);
  const candidates = service.isExternalName ? [] : gather(key, index, resolver);
  const endpoints = upstreams.map((upstream): EndpointsIr => {
    if (service.isExternalName) return resolver.external(upstream);
    const port = findPort(service, upstream.port);
    return port?.protocol === "TCP" ? resolver.select(upstream, port, candidates) : empty(upstream);
  });
  return { endpoints, diagnostics: resolver.diagnostics };
}

function empty(upstream: UpstreamIr): EndpointsIr {
  return { upstream: upstream.id, addresses: [], dns: null };
}

/** Endpoints that name a Service which does not exist: most often a typing mistake in the label. */
function orphans(key: ObjectKey, index: ObjectIndex): Diagnostic[] {
  const slices = index.slicesOf(key).map((slice): Diagnostic => {
    const field = "metadata.labels[kubernetes.io/service-name]";
    const found =
      slice.service === ""
        ? "the label is missing"
        : `Service ${slice.meta.namespace}/${slice.service} does not exist`;
    return orphan(refOf(slice), field, found);
  });
  const plain = index.endpoints.get(key);
  if (plain === undefined) return slices;
  return [...slices, orphan(refOf(plain), "metadata.name", `there is no Service of this name`)];
}

function orphan(object: ObjectRef, field: string, found: string): Diagnostic {
  const message = `${found}; nothing uses these endpoints`;
  return { severity: "warning", reason: "ServiceNotFound", message, object, field };
}

/** One address of a Service before its port is chosen. */
interface Candidate {
  readonly address: string;
  readonly isReady: boolean;
  readonly isDraining: boolean;
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
  readonly ports: readonly EndpointPort[];
}

/** The usable addresses of a Service; of plain Endpoints only when it has no slice. */
function gather(key: ObjectKey, index: ObjectIndex, resolver: EndpointResolver): readonly Candidate[] {
  const slices = index.slicesOf(key);
  if (slices.length > 0) {
    return slices.flatMap((slice) => {
      const object = refOf(slice);
      if (slice.addressType === "FQDN") {
        const message = "FQDN addresses are not supported, expected IPv4 or IPv6; the slice is left out";
        resolver.report("error", object, "addressType", { reason: "UnsupportedAddressType", message });
        return [];
      }
      return slice.endpoints.flatMap((endpoint) =>
        endpoint.addresses.flatMap((text): Candidate[] => {
          const address = resolver.admit(object, `${endpoint.field}.addresses`, text);
          if (address === null) return [];
          const isDraining = endpoint.isServing && endpoint.isTerminating;
          const { isReady, zones, nodes } = endpoint;
          return [{ address, isReady, isDraining, zones, nodes, ports: slice.ports }];
        }),
      );
    });
  }
  const plain = index.endpoints.get(key);
  if (plain === undefined) return [];
  return plain.subsets.flatMap((subset) =>
    subset.addresses.flatMap((item): Candidate[] => {
      const address = resolver.admit(refOf(plain), `${item.field}.ip`, item.address);
      if (address === null) return [];
      return [{ address, isReady: true, isDraining: false, zones: none, nodes: none, ports: subset.ports }];
    }),
  );
}

const none: readonly never[] = [];

class EndpointResolver {
  readonly diagnostics: Diagnostic[] = [];
  readonly #service: ServiceObject;
  readonly #options: Omit<TranslateOptions, "lastGoodCertificates">;

  constructor(service: ServiceObject, options: Omit<TranslateOptions, "lastGoodCertificates">) {
    this.#service = service;
    this.#options = options;
  }

  report(
    severity: Severity,
    object: ObjectRef,
    field: string,
    text: { reason: string; message: string },
  ): void {
    const isKnown = this.diagnostics.some(
      (each) => each.object.name === object.name && each.field === field && each.message === text.message,
    );
    if (!isKnown) this.diagnostics.push({ severity, object, field, ...text });
  }

  /** The address in its one spelling; null when no request may go there. */
  admit(object: ObjectRef, field: string, text: string): string | null {
    const bytes = parseAddress(text);
    if (bytes === null) return null;
    const kind = classifyAddress(bytes);
    if (kind === "ordinary" || (kind === "loopback" && this.#options.allowLoopbackUpstreams))
      return formatAddress(bytes);
    const hint = kind === "loopback" ? " (the flag --allow-loopback-upstreams allows it)" : "";
    this.report("error", object, field, {
      reason: "ForbiddenAddress",
      message: `${text} is ${article[kind]} ${kind} address, which is refused${hint}; it is left out`,
    });
    return null;
  }

  /** Ready endpoints; those that still serve while they terminate only when nothing else is left. */
  select(upstream: UpstreamIr, port: ServicePort, candidates: readonly Candidate[]): EndpointsIr {
    const ready = this.#selectReady(port, candidates);
    const chosen = ready.length > 0 ? ready : collect(candidates, port, (candidate) => candidate.isDraining);
    if (chosen.length === 0) {
      this.report("warning", refOf(this.#service), "", {
        reason: "NoEndpoints",
        message: `port ${quote(upstream.port)} has no ready endpoint; requests are answered with 503`,
      });
    }
    return { upstream: upstream.id, addresses: chosen, dns: null };
  }

  /** Those that are not near are there for the time when none that is can be used. */
  #selectReady(port: ServicePort, candidates: readonly Candidate[]): readonly EndpointIr[] {
    const all = collect(candidates, port, (candidate) => candidate.isReady);
    if (!prefersNear(this.#service, this.#options)) return all;
    const ready = candidates.filter((each) => each.isReady && matchPorts(each.ports, port).length > 0);
    const isNear = nearness(ready, this.#options);
    if (isNear === null) {
      this.#reportUnknownPlace(ready);
      return all;
    }
    const near = new Set(
      collect(candidates, port, (candidate) => candidate.isReady && isNear(candidate)).map(
        (each) => `${each.address} ${each.port}`,
      ),
    );
    return all.map((each) =>
      near.has(`${each.address} ${each.port}`) ? each : { ...each, isReserve: true },
    );
  }

  #reportUnknownPlace(ready: readonly Candidate[]): void {
    const { nodeName, zone } = this.#options;
    const isUnknown =
      (zone === "" && ready.some(({ zones }) => zones.length > 0)) ||
      (nodeName === "" && ready.some(({ nodes }) => nodes.length > 0));
    if (!isUnknown) return;
    const hasField = this.#service.trafficDistribution !== "";
    const field = hasField
      ? "spec.trafficDistribution"
      : "metadata.annotations[service.kubernetes.io/topology-mode]";
    this.report("info", refOf(this.#service), field, {
      reason: "LocationUnknown",
      message:
        "requests are to stay near, but where this proxy runs is not known (--zone, --node-name); they go to all endpoints alike",
    });
  }

  external(upstream: UpstreamIr): EndpointsIr {
    const service = this.#service;
    if (this.#options.disableSvcExternalName) {
      this.report("error", refOf(service), "spec.type", {
        reason: "ExternalNameDisabled",
        message:
          "ExternalName is switched off by --disable-svc-external-name; requests are answered with 503",
      });
      return empty(upstream);
    }
    const port = externalPort(service, upstream.port);
    const name = service.externalName;
    if (port === null || name === "") return empty(upstream);
    if (parseAddress(name) !== null) {
      const address = this.admit(refOf(service), "spec.externalName", name);
      return address === null
        ? empty(upstream)
        : { upstream: upstream.id, addresses: [{ address, port, weight: 1 }], dns: null };
    }
    const dns = this.#dnsTarget(name, port);
    return { upstream: upstream.id, addresses: [], dns };
  }

  #dnsTarget(hostname: string, port: number): DnsTargetIr | null {
    const isName = /^[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?(\.[a-z0-9_]([-a-z0-9_]*[a-z0-9_])?)*\.?$/i.test(
      hostname,
    );
    const isLocal = /^((.*\.)?localhost|localhost\.localdomain|ip6-(localhost|loopback))\.?$/i.test(hostname);
    // 127.1, 0x7f.1 and 2130706433 are spellings of addresses to some resolvers: a last label is never a number.
    const isNumber = /(^|\.)(\d+|0x[0-9a-f]*)\.?$/i.test(hostname);
    if (isName && hostname.length <= 254 && !isNumber && (!isLocal || this.#options.allowLoopbackUpstreams)) {
      return { hostname, port };
    }
    const message = isLocal
      ? `${quote(hostname)} is this machine, which is refused (the flag --allow-loopback-upstreams allows it)`
      : `${quote(hostname)} is not a DNS name`;
    const reason = isLocal ? "ForbiddenAddress" : "InvalidExternalName";
    const text = { reason, message: `${message}; requests are answered with 503` };
    this.report("error", refOf(this.#service), "spec.externalName", text);
    return null;
  }
}

const article = { unspecified: "an", loopback: "a", "link-local": "a", multicast: "a" } as const;

function externalPort(service: ServiceObject, written: string): number | null {
  const port = findPort(service, written);
  if (port !== null) return typeof port.targetPort === "number" ? port.targetPort : port.port;
  return isFreePort(service, written) ? Number(written) : null;
}

/** Sorted, without duplicates. */
function collect(
  candidates: readonly Candidate[],
  port: ServicePort,
  isWanted: (candidate: Candidate) => boolean,
): readonly EndpointIr[] {
  const found = new Map<string, EndpointIr>();
  for (const candidate of candidates) {
    if (!isWanted(candidate)) continue;
    for (const number of matchPorts(candidate.ports, port)) {
      const { address } = candidate;
      found.set(`${address} ${number}`, { address, port: number, weight: 1 });
    }
  }
  return [...found.values()].sort((a, b) => compareText(a.address, b.address) || a.port - b.port);
}

/**
 * The port numbers by the Service port's name; a nameless Service port takes every port. Where no name fits, or no port
 * is listed, a numeric target port stands for itself.
 */
function matchPorts(ports: readonly EndpointPort[], wanted: ServicePort): readonly number[] {
  const numeric = typeof wanted.targetPort === "number" ? [wanted.targetPort] : [];
  const matching = ports.filter(
    (port) => port.protocol === "TCP" && (wanted.name === "" || port.name === wanted.name),
  );
  if (matching.length === 0) return numeric;
  return matching.flatMap((port) => (port.port === null ? numeric : [port.port]));
}
