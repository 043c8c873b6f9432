// The objects as they are to be served, and who refers to whom. An update that the API server would have refused does
// not replace a good version: the store is what stands between a broken edit and the routes that work. Unless it changes
// annotations, which may protect: then it is taken as far as it is valid.
import type { Diagnostic } from "../ir/diagnostic.ts";
import { refKey, type ObjectRef } from "../ir/object-ref.ts";
import { equalJson } from "../util/equal-json.ts";
import { findingDiagnostic, type Finding } from "./finding.ts";
import { ObjectIndex, serviceOf } from "./object-index.ts";
import { objectKey, refOf, type IngressObject, type KubeObject, type ObjectKey } from "./objects.ts";

/** What an event means for the translation. */
export interface Change {
  /** What it has to look at again. */
  readonly touched: readonly Touched[];
  /** The store's own diagnostics have changed. */
  readonly diagnostics: boolean;
}

export type Touched =
  | { readonly kind: "everything" }
  | { readonly kind: "IngressClass"; readonly name: string }
  /** A Secret or a Service that an Ingress or a flag names; of `Endpoints` the key is that of their Service. */
  | { readonly kind: "Ingress" | "Secret" | "Service" | "Endpoints"; readonly key: ObjectKey };

const everything: readonly Touched[] = [{ kind: "everything" }];

/** Objects that matter although no Ingress names them; each `namespace/name` or empty. */
export interface StoreOptions {
  readonly configMap: string;
  readonly tcpServicesConfigMap: string;
  readonly udpServicesConfigMap: string;
  readonly defaultBackendService: string;
  readonly defaultSslCertificate: string;
}

interface Entry {
  readonly object: KubeObject;
  /** About `object`, or about the refused update. */
  readonly findings: readonly Finding[];
  /** `findings` are about an update that was refused, so that `object` is older than it. */
  readonly isKept: boolean;
}

const keptConsequence = "the object's last good version keeps serving";

export class ObjectStore {
  readonly index = new ObjectIndex();
  readonly #options: StoreOptions;
  readonly #entries = new Map<string, Entry>();
  /** Ingresses by the Services and Secrets they name: `Service/namespace/name`. */
  readonly #referrers = new Map<string, Set<ObjectKey>>();

  constructor(options: StoreOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Keys of the Ingresses that name a Service or a Secret. */
  referrersOf(kind: "Service" | "Secret", key: ObjectKey): ReadonlySet<ObjectKey> {
    return this.#referrers.get(`${kind}/${key}`) ?? new Set();
  }

  upsert(object: KubeObject, findings: readonly Finding[]): Change {
    const key = refKey(refOf(object));
    const old = this.#entries.get(key);
    const isRefused = findings.some((finding) => finding.isRefusal);
    const oldIsGood = old !== undefined && (old.isKept || !old.findings.some((finding) => finding.isRefusal));
    // Annotations carry what protects: a version without them must not outlive the one that has them.
    const isKept = isRefused && oldIsGood && equalJson(old.object.meta.annotations, object.meta.annotations);
    const next: Entry = { object: isKept ? old.object : object, findings, isKept };
    const diagnostics = (old?.isKept ?? false) !== isKept || !equalJson(old?.findings ?? [], findings);
    if (old !== undefined && equalJson(old.object, next.object)) {
      // The old object stays, since what was parsed of it is remembered by its identity.
      this.#entries.set(key, { ...next, object: old.object });
      return { touched: [], diagnostics };
    }
    const before = old === undefined ? [] : this.#remove(old.object);
    this.#entries.set(key, next);
    this.#add(next.object);
    return this.#changeOf(next.object, before, diagnostics);
  }

  delete(ref: ObjectRef): Change {
    const key = refKey(ref);
    const old = this.#entries.get(key);
    if (old === undefined) return { touched: [], diagnostics: false };
    this.#entries.delete(key);
    return this.#changeOf(old.object, this.#remove(old.object), old.findings.length > 0);
  }

  /** Without the right to read IngressClasses there are none, and that must not be taken for their absence. */
  setClassesReadable(areReadable: boolean): Change {
    const isChange = this.index.areClassesReadable !== areReadable;
    this.index.areClassesReadable = areReadable;
    return { touched: isChange ? everything : [], diagnostics: false };
  }

  diagnostics(): readonly Diagnostic[] {
    return [...this.#entries.values()].flatMap((entry) =>
      entry.findings.map((finding) =>
        entry.isKept && finding.isRefusal
          ? findingDiagnostic(finding, keptConsequence)
          : findingDiagnostic(finding),
      ),
    );
  }

  #add(object: KubeObject): void {
    this.index.add(object);
    if (object.kind !== "Ingress") return;
    const ingress = objectKey(object.meta.namespace, object.meta.name);
    for (const named of namedBy(object)) {
      const referrers = this.#referrers.get(named);
      if (referrers === undefined) this.#referrers.set(named, new Set([ingress]));
      else referrers.add(ingress);
    }
  }

  /** The Services whose endpoints the object was part of. */
  #remove(object: KubeObject): readonly ObjectKey[] {
    this.index.remove(object);
    if (object.kind === "EndpointSlice") return [serviceOf(object)];
    if (object.kind !== "Ingress") return [];
    const ingress = objectKey(object.meta.namespace, object.meta.name);
    for (const named of namedBy(object)) {
      const referrers = this.#referrers.get(named);
      referrers?.delete(ingress);
      if (referrers?.size === 0) this.#referrers.delete(named);
    }
    return [];
  }

  /** `before`: the Services that the object's former version belonged to. */
  #changeOf(object: KubeObject, before: readonly ObjectKey[], diagnostics: boolean): Change {
    return { touched: this.#touchedBy(object, before), diagnostics };
  }

  #touchedBy(object: KubeObject, before: readonly ObjectKey[]): readonly Touched[] {
    const key = objectKey(object.meta.namespace, object.meta.name);
    switch (object.kind) {
      case "Ingress":
        return [{ kind: "Ingress", key }];
      case "IngressClass":
        return [{ kind: "IngressClass", name: object.meta.name }];
      case "Service":
        return [
          {
            kind: this.#isNamed("Service", key, this.#options.defaultBackendService)
              ? "Service"
              : "Endpoints",
            key,
          },
        ];
      case "EndpointSlice":
        return [...new Set([...before, serviceOf(object)])].map((service) => ({
          kind: "Endpoints",
          key: service,
        }));
      case "Endpoints":
        return [{ kind: "Endpoints", key }];
      case "Secret": {
        const isNamed = this.#isNamed("Secret", key, this.#options.defaultSslCertificate);
        return isNamed ? [{ kind: "Secret", key }] : [];
      }
      case "ConfigMap":
        return this.#isConfigMapNamed(key) ? everything : [];
      case "Namespace":
        return [];
    }
  }

  #isConfigMapNamed(key: ObjectKey): boolean {
    const { configMap, tcpServicesConfigMap, udpServicesConfigMap } = this.#options;
    return [configMap, tcpServicesConfigMap, udpServicesConfigMap].includes(key);
  }

  #isNamed(kind: "Service" | "Secret", key: ObjectKey, byOption: string): boolean {
    return key === byOption || this.#referrers.has(`${kind}/${key}`);
  }
}

/** Keys of `#referrers`. */
function namedBy(ingress: IngressObject): readonly string[] {
  const { namespace } = ingress.meta;
  return [
    ...servicesOf(ingress).map((service) => `Service/${service}`),
    ...ingress.tls.map((item) => `Secret/${objectKey(namespace, item.secretName)}`),
  ];
}

/** Those that its backends name. */
export function servicesOf({ meta, rules, defaultBackend }: IngressObject): readonly ObjectKey[] {
  const backends = rules.flatMap((rule) => rule.paths.map((path) => path.backend));
  if (defaultBackend !== null) backends.push(defaultBackend);
  return backends.map((backend) => objectKey(meta.namespace, backend.service));
}
