// The Kubernetes API as a source of objects: one reflector (kubernetes/reflector.ts) for each kind, decoded and passed
// on. Of what the API server tells, only this is kept and emitted: objects of the namespaces that are watched, and of
// Secrets those that an Ingress or a flag names; of everything else just name and version. When an object comes to
// matter, it is asked for again.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { refKey, type ObjectRef } from "../../ir/object-ref.ts";
import type { Clock } from "../../util/clock.ts";
import { decodeObject } from "../decode/decode.ts";
import { findingDiagnostic } from "../finding.ts";
import type { IngressObject, KubeKind, ObjectKey } from "../objects.ts";
import type { Failure, FailureReason } from "./kubernetes/failure.ts";
import type { RawObject } from "./kubernetes/page.ts";
import { Reflector, type ApiReader } from "./kubernetes/reflector.ts";
import { namedResource, resource, type Resource } from "./kubernetes/resource.ts";
import { SecretReferences } from "./kubernetes/secret-references.ts";
import type { ObjectListener, Source } from "./source.ts";

export interface KubernetesSourceOptions {
  readonly client: ApiReader;
  readonly clock: Clock;
  /** 0 to 1; for back-off and the length of watches. */
  readonly random: () => number;
  /** Empty: all. */
  readonly watchNamespace: string;
  /** Label selector of the namespaces whose objects count; empty: all. */
  readonly watchNamespaceSelector: string;
  /** These matter wherever they are; each `namespace/name` or empty. */
  readonly configMap: string;
  readonly defaultBackendService: string;
  readonly defaultSslCertificate: string;
  readonly publishService: string;
  readonly tcpServicesConfigMap: string;
  readonly udpServicesConfigMap: string;
  readonly counters: SourceCounters;
  /** Told of every object as the API server gave it, and of its end by null, before anything is made of it. */
  readonly observe: (kind: KubeKind, key: ObjectKey, value: unknown) => void;
}

/** What happens between us and the API server, by kind. */
export interface SourceCounters {
  contact(kind: KubeKind): void;
  watchRestarted(kind: KubeKind): void;
  failed(kind: KubeKind, reason: FailureReason): void;
}

const tlsType = "kubernetes.io/tls";
/** Types of Secrets that no Ingress can use, and of which there are many. */
const useless = [
  "helm.sh/release.v1",
  "kubernetes.io/service-account-token",
  "kubernetes.io/dockercfg",
  "kubernetes.io/dockerconfigjson",
  "bootstrap.kubernetes.io/token",
];
const otherTypes = [tlsType, ...useless].map((type) => `type!=${type}`).join(",");

/** Kinds that a selector of namespaces is about. */
const selectedKinds: ReadonlySet<KubeKind> = new Set(["Ingress", "Service", "EndpointSlice", "Secret"]);

export class KubernetesSource implements Source {
  readonly #options: KubernetesSourceOptions;
  readonly #reflectors: Reflector[] = [];
  readonly #secrets = new SecretReferences();
  /** Names of the namespaces that the selector selects; null: there is no selector. */
  readonly #namespaces: Set<string> | null;
  /** Who emitted an object: a Secret that is made anew with another type comes from another reflector. */
  readonly #emitted = new Map<string, Reflector>();
  readonly #problems = new Set<string>();
  #otherSecrets: Reflector | null = null;
  #listener: ObjectListener = () => {};
  #isSynced = false;
  #areClassesRefused = false;
  #isClosed = false;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
    this.#namespaces = options.watchNamespaceSelector === "" ? null : new Set();
  }

  /** Resolves when everything has been read once, however long the API server is away. */
  async start(listener: ObjectListener): Promise<void> {
    this.#listener = listener;
    const { watchNamespaceSelector: labelSelector } = this.#options;
    // Each step needs to know what the one before found: namespaces, then who refers to which Secrets.
    if (labelSelector !== "") await this.#startAll([resource("Namespace", { labelSelector })]);
    await this.#startAll(this.#mainResources());
    await this.#startAll(this.#secretResources());
    this.#isSynced = true;
    await this.#watchOtherSecrets();
    if (!this.#isClosed) listener({ kind: "synced" });
  }

  /** As far as namespaces decide, its objects count. */
  isWatched(namespace: string): boolean {
    const { watchNamespace } = this.#options;
    return (
      (watchNamespace === "" || namespace === watchNamespace) && (this.#namespaces?.has(namespace) ?? true)
    );
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#listener = () => {};
    await Promise.all(this.#reflectors.map((each) => each.close()));
  }

  #mainResources(): readonly Resource[] {
    const { watchNamespace: namespace, defaultBackendService: backend, publishService } = this.#options;
    return [
      resource("Ingress", { namespace }),
      resource("IngressClass"),
      resource("Service", { namespace }),
      resource("EndpointSlice", { namespace }),
      ...this.#configMaps().map((key) => namedResource("ConfigMap", key)),
      ...(this.#isElsewhere(publishService) && publishService !== backend
        ? [{ ...namedResource("Service", publishService), isEssential: false }]
        : []),
      ...(this.#isElsewhere(backend)
        ? [
            namedResource("Service", backend),
            resource("EndpointSlice", {
              namespace: namespaceOf(backend),
              labelSelector: `kubernetes.io/service-name=${backend.slice(backend.indexOf("/") + 1)}`,
              note: backend,
            }),
          ]
        : []),
    ];
  }

  /** Those that flags name. */
  #configMaps(): readonly ObjectKey[] {
    const { configMap, tcpServicesConfigMap: tcp, udpServicesConfigMap: udp } = this.#options;
    return [...new Set([configMap, tcp, udp])].filter((key) => key !== "");
  }

  #secretResources(): readonly Resource[] {
    const { watchNamespace: namespace, defaultSslCertificate: certificate } = this.#options;
    return [
      resource("Secret", { namespace, fieldSelector: `type=${tlsType}`, note: `type ${tlsType}` }),
      ...(this.#isElsewhere(certificate) ? [namedResource("Secret", certificate)] : []),
    ];
  }

  /** Named by a flag, and outside the one namespace that is watched. */
  #isElsewhere(key: ObjectKey): boolean {
    const { watchNamespace } = this.#options;
    return key !== "" && watchNamespace !== "" && namespaceOf(key) !== watchNamespace;
  }

  async #startAll(resources: readonly Resource[]): Promise<void> {
    await Promise.all(resources.map((each) => this.#startOne(each)));
  }

  /** Resolves when it has settled. */
  #startOne(of: Resource): Promise<void> {
    if (this.#isClosed) return Promise.resolve();
    const { client, clock, random, counters } = this.#options;
    return new Promise((resolve) => {
      const reflector: Reflector = new Reflector({
        resource: of,
        client,
        clock,
        random,
        listener: {
          upsert: (object) => this.#upsert(object, reflector),
          remove: (key) => this.#remove(key, reflector),
          settled: resolve,
          problem: (failure) => {
            this.#report(of, failure, reflector);
            if (of.kind === "IngressClass") this.#reportClasses(failure, reflector);
          },
          recovered: () => this.#reflectors.forEach((each) => each !== reflector && each.wake()),
          contact: () => counters.contact(of.kind),
          watchRestarted: () => counters.watchRestarted(of.kind),
          failed: (reason) => counters.failed(of.kind, reason),
        },
      });
      this.#reflectors.push(reflector);
      reflector.start();
    });
  }

  // Objects

  #upsert(raw: RawObject, from: Reflector): void {
    if (this.#isClosed) return;
    const { kind } = from.resource;
    this.#options.observe(kind, raw.key, raw.value);
    if (!this.#isWanted(kind, raw.key)) {
      this.#drop(kind, raw.key, from, "");
      return;
    }
    const { object, findings } = decodeObject(raw.value);
    const ref = refOfKey(kind, raw.key);
    if (object === null) {
      // Nothing that an API server of this version would have stored; an older good version serves on.
      this.#reportObject(
        ref,
        findings.map((finding) => findingDiagnostic(finding)),
      );
      return;
    }
    this.#reportObject(ref, []);
    this.#emitted.set(refKey(ref), from);
    this.#listener({ kind: "upsert", object, findings });
    if (object.kind === "Ingress") this.#noteSecrets(raw.key, object);
    if (object.kind === "Namespace") this.#selectNamespace(object.meta.name);
  }

  #remove(key: ObjectKey, from: Reflector): void {
    const { kind } = from.resource;
    if (!this.#isClosed) this.#options.observe(kind, key, null);
    this.#drop(kind, key, from, "");
    if (kind === "Namespace") this.#deselectNamespace(key.slice(key.indexOf("/") + 1));
  }

  #drop(kind: KubeKind, key: ObjectKey, from: Reflector, origin: string): void {
    const ref = refOfKey(kind, key);
    this.#reportObject(ref, []);
    if (this.#isClosed || this.#emitted.get(refKey(ref)) !== from) return;
    this.#emitted.delete(refKey(ref));
    this.#listener({ kind: "delete", ref, origin });
    if (kind === "Ingress") this.#noteSecrets(key, null);
  }

  // What is wanted

  #isWanted(kind: KubeKind, key: ObjectKey): boolean {
    const { defaultSslCertificate, defaultBackendService } = this.#options;
    if (kind === "Secret" && key === defaultSslCertificate) return true;
    if (kind === "Secret" && !this.#secrets.has(key)) return false;
    if (this.#namespaces === null || !selectedKinds.has(kind)) return true;
    if (kind === "Service" && key === defaultBackendService) return true;
    // Slices do not tell their Service before they are decoded; the few of that namespace do no harm.
    if (kind === "EndpointSlice" && namespaceOf(key) === namespaceOf(defaultBackendService)) return true;
    return this.#namespaces.has(namespaceOf(key));
  }

  #noteSecrets(ingress: ObjectKey, object: IngressObject | null): void {
    const { added, removed } = this.#secrets.update(ingress, object);
    for (const key of removed) {
      if (this.#isWanted("Secret", key)) continue;
      const from = this.#emitted.get(refKey(refOfKey("Secret", key)));
      if (from !== undefined) this.#drop("Secret", key, from, "nothing refers to it any more");
    }
    for (const key of added) {
      for (const reflector of this.#reflectors) {
        if (reflector.resource.kind === "Secret") reflector.reread(key);
      }
    }
    if (added.length > 0 && this.#isSynced) void this.#watchOtherSecrets();
  }

  /** Secrets of other types are asked for from the first time that an Ingress names one that is none of `tlsType`. */
  async #watchOtherSecrets(): Promise<void> {
    if (this.#otherSecrets !== null || this.#isClosed) return;
    const known = this.#reflectors.filter(({ resource: { kind } }) => kind === "Secret");
    const { watchNamespace: namespace, defaultSslCertificate } = this.#options;
    const isMissing = (key: ObjectKey): boolean =>
      this.#isInScope(key) && !known.some((reflector) => reflector.has(key));
    if (![...this.#secrets.keys(), defaultSslCertificate].some(isMissing)) return;
    const settled = this.#startOne(
      resource("Secret", { namespace, fieldSelector: otherTypes, note: "other types" }),
    );
    this.#otherSecrets = this.#reflectors.at(-1) ?? null;
    await settled;
  }

  #isInScope(key: ObjectKey): boolean {
    const { watchNamespace } = this.#options;
    return key !== "" && (watchNamespace === "" || namespaceOf(key) === watchNamespace);
  }

  #selectNamespace(name: string): void {
    if (this.#namespaces === null || this.#namespaces.has(name)) return;
    this.#namespaces.add(name);
    for (const reflector of this.#reflectors) {
      if (!selectedKinds.has(reflector.resource.kind)) continue;
      reflector.relist((key) => namespaceOf(key) === name);
    }
  }

  #deselectNamespace(name: string): void {
    if (this.#namespaces?.delete(name) !== true) return;
    for (const [emitted, from] of this.#emitted) {
      const { kind } = from.resource;
      const key = emitted.slice(kind.length + 1);
      if (namespaceOf(key) !== name || this.#isWanted(kind, key)) continue;
      this.#drop(kind, key, from, "its namespace is not watched any more");
    }
  }

  // Diagnostics

  #report({ kind, title, isEssential }: Resource, failure: Failure | null, from: Reflector): void {
    if (this.#isClosed) return;
    const origin = `Kubernetes API: ${title}`;
    if (failure === null) {
      this.#problems.delete(origin);
      this.#listener({ kind: "report", origin, diagnostics: [] });
      return;
    }
    this.#problems.add(origin);
    const consequence = from.isSettled
      ? "what was read last keeps serving"
      : isEssential
        ? "nothing is served before it can be read"
        : "the rest is served without it";
    const isError = failure.reason === "Forbidden" || failure.reason === "Unauthorized";
    const diagnostic: Diagnostic = {
      severity: isError ? "error" : "warning",
      reason: failure.reason,
      message: `${failure.message}; ${consequence}`,
      object: { kind, namespace: "", name: title === kind ? "(all)" : title.slice(kind.length + 1) },
      field: "",
    };
    this.#listener({ kind: "report", origin, diagnostics: [diagnostic] });
  }

  /** Those that were read once count on, whatever becomes of the right to read them. */
  #reportClasses(failure: Failure | null, from: Reflector): void {
    if (this.#isClosed) return;
    if (failure === null && this.#areClassesRefused) {
      this.#areClassesRefused = false;
      this.#listener({ kind: "classes", areReadable: true });
    } else if (failure?.reason === "Forbidden" && !from.isSettled) {
      this.#areClassesRefused = true;
      this.#listener({ kind: "classes", areReadable: false });
    }
  }

  #reportObject(ref: ObjectRef, diagnostics: readonly Diagnostic[]): void {
    const origin = `Kubernetes API: ${refKey(ref)}`;
    if (diagnostics.length === 0 && !this.#problems.delete(origin)) return;
    if (diagnostics.length > 0) this.#problems.add(origin);
    this.#listener({ kind: "report", origin, diagnostics });
  }
}

function namespaceOf(key: ObjectKey): string {
  return key.slice(0, Math.max(0, key.indexOf("/")));
}

function refOfKey(kind: KubeKind, key: ObjectKey): { kind: KubeKind; namespace: string; name: string } {
  return { kind, namespace: namespaceOf(key), name: key.slice(key.indexOf("/") + 1) };
}
