// A translation that is kept up to date: told which objects were touched, it makes anew what depends on them, and nothing
// else. Everything is made by the same steps at the start. What depends on what:
//   an Ingress        -> its plan -> the hosts it names -> their routes, their TLS and the upstreams they use
//   a Secret          -> the hosts of the Ingresses that name it
//   a wildcard host   -> the TLS of the hosts below that have none of their own
//   users of upstream -> its settings
//   a Service, slices -> the endpoints of its upstreams, and words on Ingresses that name it
//   our classes, ConfigMap -> everything
// A throw is a bug and leaves it in pieces: a new one must be made.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import type { CertificateIr, ConnectionsIr, EndpointsIr, VirtualHostIr } from "../../ir/routing.ts";
import type { TableDelta } from "../../ir/table-parts.ts";
import type { ObjectIndex } from "../object-index.ts";
import { objectKey, type IngressObject, type ObjectKey } from "../objects.ts";
import { servicesOf, type Touched } from "../store.ts";
import { mergeCanaries } from "./canary.ts";
import { certificateOf } from "./certificate.ts";
import { Certificates } from "./certificates.ts";
import { TranslateContext, type IngressPlan } from "./context.ts";
import { Due } from "./due.ts";
import { translateEndpoints, type ServiceEndpoints } from "./endpoints.ts";
import { FeatureTranslator, type ParsedFeatures } from "./features.ts";
import { buildHost, type HostDraft } from "./host.ts";
import { isOurClass } from "./ingress-class.ts";
import { hostsOf, isOurs, keyOf, Members, type Member } from "./members.ts";
import type { TranslateOptions } from "./options.ts";
import { checkBackends, defaultUpstream, HostUpstreams, type UpstreamName } from "./services.ts";
import { translateSettings } from "./settings.ts";
import { checkStreamServices } from "./stream-services.ts";
import { checkItems, defaultCertificate, lenderOf, noTls, ownTls, type OwnTls } from "./tls.ts";
import { Upstreams } from "./upstreams.ts";

/** Which Ingresses name an object; the store knows. */
export type ReferrersOf = (kind: "Service" | "Secret", key: ObjectKey) => ReadonlySet<ObjectKey>;

/** What one host came to. */
interface HostResult {
  readonly members: readonly IngressPlan[];
  /** Null: only canaries name it, and there is no such host. */
  readonly draft: HostDraft | null;
  readonly tls: OwnTls;
  readonly upstreams: HostUpstreams;
  readonly diagnostics: readonly Diagnostic[];
}

/** What the ConfigMap came to. */
interface Base {
  readonly features: FeatureTranslator;
  readonly defaults: ParsedFeatures;
  readonly connections: ConnectionsIr | undefined;
  readonly diagnostics: readonly Diagnostic[];
}

/** What the flags name. */
interface ControllerDefaults {
  readonly upstream: UpstreamName | null;
  readonly certificate: CertificateIr | null;
  readonly diagnostics: readonly Diagnostic[];
}

const noDefaults: ControllerDefaults = { upstream: null, certificate: null, diagnostics: [] };

export class Translator {
  readonly #context: TranslateContext;
  readonly #referrersOf: ReferrersOf;
  readonly #due = new Due();
  #base: Base | null = null;
  #controller = noDefaults;
  /** Names of the IngressClasses that are ours. */
  readonly #classes = new Set<string>();
  readonly #members = new Members();
  readonly #upstreams = new Upstreams();
  readonly #certificates: Certificates;
  readonly #hosts = new Map<string, HostResult>();
  /** The hosts that may borrow the TLS of a wildcard, by its name. */
  readonly #borrowers = new Map<string, Set<string>>();
  readonly #services = new Map<ObjectKey, ServiceEndpoints>();
  readonly #checks = new Map<ObjectKey, readonly Diagnostic[]>();

  constructor(index: ObjectIndex, options: TranslateOptions, referrersOf: ReferrersOf) {
    this.#certificates = new Certificates(options.lastGoodCertificates);
    // Certificates are asked by this object while a translation runs, and changed when it is complete.
    const lastGoodCertificates = { get: (key: ObjectKey) => this.#certificates.get(key) };
    this.#context = new TranslateContext(index, { ...options, lastGoodCertificates });
    this.#referrersOf = referrersOf;
    for (const [name, found] of index.ingressClasses) if (isOurClass(found, options)) this.#classes.add(name);
  }

  /** By their Secret: for the translator that takes this one's place. */
  get certificatesInUse(): ReadonlyMap<ObjectKey, CertificateIr> {
    return this.#certificates.inUse();
  }

  /** Keys of the Ingresses that are ours, as of the last build. */
  ownIngresses(): Iterable<ObjectKey> {
    return this.#members.ours();
  }

  /** An object is new, has changed or is gone. False: nothing depends on it. */
  touch(touched: Touched): boolean {
    const due = this.#due;
    switch (touched.kind) {
      case "everything":
        due.everything = true;
        return true;
      case "IngressClass":
        return this.#touchClass(touched.name);
      case "Ingress": {
        if (!this.#concernsUs(touched.key)) return false;
        due.ingresses.add(touched.key);
        return true;
      }
      case "Secret":
        if (!this.#isNamed("Secret", touched.key)) return false;
        due.secrets.add(touched.key);
        return true;
      case "Service":
        if (this.#isNamed("Service", touched.key)) {
          due.services.add(touched.key);
          due.endpoints.add(touched.key);
          return true;
        }
        return this.touch({ kind: "Endpoints", key: touched.key });
      case "Endpoints":
        if (!this.#hasEndpoints(touched.key)) return false;
        due.endpoints.add(touched.key);
        return true;
    }
  }

  /** Classes of other controllers come and go without a word. */
  #touchClass(name: string): boolean {
    const { index, options } = this.#context;
    const found = index.ingressClasses.get(name);
    const isOurs = found !== undefined && isOurClass(found, options);
    const wasOurs = this.#classes.has(name);
    if (isOurs) this.#classes.add(name);
    else this.#classes.delete(name);
    // In files any class may be the default, or the first.
    if (isOurs === wasOurs && !options.offline) return false;
    this.#due.everything = true;
    return true;
  }

  /** Makes anew what is due. Some parts of the result may have come out as they were. */
  build(): TableDelta {
    const due = this.#due;
    const isWhole = due.everything;
    if (isWhole) this.#reset();
    const base = (this.#base ??= this.#makeBase());
    for (const key of due.ingresses) this.#planIngress(key, base);
    this.#spread();
    const replaced = this.#makeHosts(base);
    const virtualHosts = this.#virtualHosts(replaced.keys());
    for (const key of due.checks) this.#check(key);
    const before = this.#controller;
    const controller = (this.#controller = this.#makeController());
    if (isWhole || before.upstream?.id !== controller.upstream?.id) {
      this.#upstreams.setDefault(before.upstream, controller.upstream);
    }
    const upstreams = this.#upstreams.make(this.#context, base.defaults.upstreamFeatures);
    for (const { namespace, service } of [...upstreams.changed, ...upstreams.removed]) {
      due.endpoints.add(objectKey(namespace, service));
    }
    const endpoints = this.#makeEndpoints();
    // Last: until here lookups found the certificates that were good before.
    this.#useCertificates(replaced, before);
    const removed = upstreams.removed.map(({ id }) => id);
    due.clear();
    this.#afterwards();
    return {
      virtualHosts,
      upstreams: { changed: upstreams.changed, removed },
      endpoints: { changed: endpoints, removed },
      certificates: this.#certificates.takeChanges(),
      defaultCertificate: controller.certificate?.id ?? null,
      defaultBackend: controller.upstream?.id ?? null,
      ...(base.connections === undefined ? {} : { connections: base.connections }),
    };
  }

  /**
   * Another build is needed, because the last one relied on what it has ended: that of a broken Secret the last good
   * certificate is in use.
   */
  get isDue(): boolean {
    return !this.#due.isNothing;
  }

  /** Of the last build; in no order, and some may be there twice. */
  diagnostics(): readonly Diagnostic[] {
    const parts: (readonly Diagnostic[])[] = [this.#base?.diagnostics ?? []];
    for (const { diagnostics } of this.#members.all()) parts.push(diagnostics);
    for (const { diagnostics } of this.#hosts.values()) parts.push(diagnostics);
    parts.push(...this.#checks.values(), this.#upstreams.diagnostics());
    for (const { diagnostics } of this.#services.values()) parts.push(diagnostics);
    const all = parts.flat();
    // An Ingress with the same Secret has more to say about it.
    const about = (each: Diagnostic): string =>
      `${each.object.kind} ${each.object.namespace}/${each.object.name} ${each.field}`;
    const known = new Set(this.#controller.diagnostics.length === 0 ? [] : all.map(about));
    return [...all, ...this.#controller.diagnostics.filter((each) => !known.has(about(each)))];
  }

  /** What an Ingress came to by itself. */
  memberOf(key: ObjectKey): Member | undefined {
    return this.#members.get(key);
  }

  /**
   * Our Ingresses that have a say in what becomes of the given ones: those of their hosts and of their Services, and all
   * that have a say in the hosts of these.
   */
  neighboursOf(ingresses: readonly IngressObject[]): ReadonlySet<IngressPlan> {
    const hosts = new Set<string>(ingresses.flatMap((ingress) => [...hostsOf(ingress)]));
    for (const service of new Set(ingresses.flatMap(servicesOf))) {
      for (const key of this.#referrersOf("Service", service)) {
        for (const host of this.#members.get(key)?.hosts ?? []) hosts.add(host);
      }
    }
    const first = [...hosts].flatMap((host) => this.#members.ofHost(host));
    const all = new Set(first.flatMap(({ object }) => [...hostsOf(object)]));
    return new Set([...all].flatMap((host) => this.#members.ofHost(host)));
  }

  /** By a flag, or an Ingress that is ours or about to be looked at. */
  #isNamed(kind: "Service" | "Secret", key: ObjectKey): boolean {
    const { defaultBackendService, defaultSslCertificate } = this.#context.options;
    if (this.#due.everything || key === defaultBackendService || key === defaultSslCertificate) return true;
    for (const ingress of this.#referrersOf(kind, key)) {
      if (this.#members.has(ingress) || this.#due.ingresses.has(ingress)) return true;
    }
    return false;
  }

  #concernsUs(key: ObjectKey): boolean {
    if (this.#members.has(key)) return true;
    const ingress = this.#context.index.ingresses.get(key);
    if (ingress === undefined) return false;
    return this.#context.options.offline || isOurs(ingress, this.#context);
  }

  /** A cluster is full of Services that no Ingress names; in files, endpoints without their Service are a mistake. */
  #hasEndpoints(service: ObjectKey): boolean {
    return (
      this.#upstreams.hasService(service) ||
      this.#services.has(service) ||
      (this.#context.options.offline && this.#context.index.hasEndpoints(service))
    );
  }

  #reset(): void {
    const { index, options } = this.#context;
    const due = this.#due;
    this.#base = null;
    for (const key of [...this.#members.keys(), ...index.ingresses.keys()]) due.ingresses.add(key);
    for (const key of [
      ...this.#services.keys(),
      ...(options.offline ? index.servicesWithEndpoints() : []),
      ...this.#upstreams.services(),
    ]) {
      due.endpoints.add(key);
    }
    for (const host of this.#hosts.keys()) due.hosts.add(host);
    due.hosts.add("");
  }

  #makeBase(): Base {
    const { index, options } = this.#context;
    const own = new TranslateContext(index, options);
    const settings = translateSettings(own);
    const features = new FeatureTranslator(own, settings);
    checkStreamServices(own);
    const { connections } = settings;
    return { features, defaults: features.defaults(), connections, diagnostics: own.diagnostics };
  }

  #planIngress(key: ObjectKey, { features }: Base): void {
    this.#due.checks.add(key);
    for (const host of this.#members.update(this.#context, key, features)) this.#due.hosts.add(host);
  }

  /** From objects to what depends on them. */
  #spread(): void {
    const due = this.#due;
    for (const secret of due.secrets) {
      for (const key of this.#referrersOf("Secret", secret)) {
        due.checks.add(key);
        for (const host of this.#members.get(key)?.hosts ?? []) due.hosts.add(host);
      }
    }
    for (const service of due.services)
      for (const key of this.#referrersOf("Service", service)) due.checks.add(key);
  }

  /** The hosts that are due, each with what it was before. */
  #makeHosts(base: Base): ReadonlyMap<string, HostResult | null> {
    const replaced = new Map<string, HostResult | null>();
    for (const name of this.#due.hosts) {
      const before = this.#hosts.get(name) ?? null;
      const members = this.#members.ofHost(name);
      const isThere = members.length > 0 || name === "";
      const after = isThere ? translateHost(this.#context, name, members, base) : null;
      if (after === null) this.#hosts.delete(name);
      else this.#hosts.set(name, after);
      replaced.set(name, before);
      this.#upstreams.setHost(name, before?.upstreams ?? null, after?.upstreams ?? null);
      for (const plan of [...(before?.members ?? []), ...members]) this.#due.checks.add(keyOf(plan));
    }
    return replaced;
  }

  /** Those of `names`, and those that borrow their TLS. */
  #virtualHosts(names: Iterable<string>): TableDelta["virtualHosts"] {
    const changed = new Map<string, VirtualHostIr>();
    const removed: string[] = [];
    for (const name of names) {
      const result = this.#hosts.get(name);
      const draft = result?.draft ?? null;
      if (result === undefined || draft === null) removed.push(name);
      else changed.set(name, this.#virtualHost(draft, result.tls));
      this.#noteBorrower(name, draft !== null);
      for (const borrower of this.#borrowers.get(name) ?? []) {
        const own = this.#hosts.get(borrower);
        if (own?.draft) changed.set(borrower, this.#virtualHost(own.draft, own.tls));
      }
    }
    return { changed: [...changed.values()], removed };
  }

  #virtualHost(draft: HostDraft, tls: OwnTls): VirtualHostIr {
    const { host } = draft;
    const lender = tls.isTls ? null : lenderOf(host);
    const lent = lender === null ? undefined : this.#hosts.get(lender)?.tls;
    const { isTls, certificates } = lent?.isTls === true ? lent : tls;
    return { host, isTls, certificates, routes: draft.sortedRoutes() };
  }

  #noteBorrower(host: string, isThere: boolean): void {
    const lender = lenderOf(host);
    if (lender === null) return;
    const borrowers = this.#borrowers.get(lender) ?? new Set();
    if (isThere) borrowers.add(host);
    else borrowers.delete(host);
    if (borrowers.size > 0) this.#borrowers.set(lender, borrowers);
    else this.#borrowers.delete(lender);
  }

  /** What an Ingress has to hear that does not concern one host alone. */
  #check(key: ObjectKey): void {
    const member = this.#members.get(key);
    const plan = member?.plan ?? null;
    if (member === undefined || plan === null) {
      this.#checks.delete(key);
      return;
    }
    const own = new TranslateContext(this.#context.index, this.#context.options);
    const hosts = [...member.hosts].flatMap((host) => this.#hosts.get(host) ?? []);
    checkBackends(
      own,
      hosts.flatMap(({ upstreams }) => upstreams.usesOf(plan)),
    );
    if (!plan.isCanary) {
      checkItems(
        own,
        plan,
        hosts.map(({ tls }) => tls),
      );
    }
    if (own.diagnostics.length === 0) this.#checks.delete(key);
    else this.#checks.set(key, own.diagnostics);
  }

  #makeController(): ControllerDefaults {
    const { index, options } = this.#context;
    const own = new TranslateContext(index, options);
    const upstream = defaultUpstream(own);
    const certificate = defaultCertificate(own);
    return { upstream, certificate, diagnostics: own.diagnostics };
  }

  #useCertificates(replaced: ReadonlyMap<string, HostResult | null>, before: ControllerDefaults): void {
    const after = [...replaced.keys()].flatMap((host) => this.#hosts.get(host)?.tls.inUse ?? []);
    this.#certificates.add(after);
    if (this.#controller.certificate !== null) this.#certificates.add([this.#controller.certificate]);
    for (const result of replaced.values()) this.#certificates.remove(result?.tls.inUse ?? []);
    if (before.certificate !== null) this.#certificates.remove([before.certificate]);
  }

  #afterwards(): void {
    const { index } = this.#context;
    for (const key of this.#certificates.endTranslation()) {
      const secret = index.secrets.get(key);
      if (secret !== undefined && certificateOf(secret).certificate === null) this.#due.secrets.add(key);
    }
  }

  #makeEndpoints(): readonly EndpointsIr[] {
    const { index, options } = this.#context;
    const changed: EndpointsIr[] = [];
    for (const key of this.#due.endpoints) {
      const upstreams = this.#upstreams.ofService(key);
      if (upstreams.length === 0 && !(options.offline && index.hasEndpoints(key))) {
        this.#services.delete(key);
        continue;
      }
      const made = translateEndpoints(key, upstreams, index, options);
      this.#services.set(key, made);
      changed.push(...made.endpoints);
    }
    return changed;
  }
}

function translateHost(
  context: TranslateContext,
  name: string,
  members: readonly IngressPlan[],
  { defaults }: Base,
): HostResult {
  const own = new TranslateContext(context.index, context.options);
  const upstreams = new HostUpstreams();
  const plans = members.filter((plan) => !plan.isCanary);
  // A host that only canaries name has nothing that they could join.
  const isThere = plans.length > 0 || name === "";
  const draft = isThere ? buildHost(own, name, { plans, upstreams, defaults: defaults.features }) : null;
  const canaries = members.filter((plan) => plan.isCanary);
  mergeCanaries(own, canaries, draft, { name, upstreams });
  const tls = draft === null ? noTls : ownTls(own, draft);
  return { members, draft, tls, upstreams, diagnostics: own.diagnostics };
}
