// What writing to the cluster has to know of objects and routing has not: their uid, the present status of Ingresses,
// and the addresses of the Service in front of us. The source tells it of every object that it reads; it is apart from
// the store so that a change of status is no change of routing.
import { refKey, type ObjectRef } from "../../ir/object-ref.ts";
import { isOlderVersion } from "../sources/kubernetes/page.ts";
import { objectKey, type KubeKind, type ObjectKey } from "../objects.ts";
import {
  addressesText,
  fieldsOf,
  loadBalancerAddresses,
  serviceAddresses,
  textOf,
  type Addresses,
} from "./addresses.ts";

export interface ObservedIngress {
  readonly uid: string;
  readonly version: string;
  /** Its addresses, as text to compare. */
  readonly status: string;
}

/** Those that diagnostics are about. */
const kindsWithEvents: ReadonlySet<string> = new Set(["Ingress", "Service", "Secret", "ConfigMap"]);

export class ObservedObjects {
  readonly #publishService: ObjectKey;
  readonly #ingresses = new Map<ObjectKey, ObservedIngress>();
  readonly #uids = new Map<string, string>();
  #serviceAddresses: Addresses | null = null;
  /** An Ingress is new, or its status has changed. */
  onIngress: () => void = () => {};
  /** The addresses of the Service in front of us have changed. */
  onService: () => void = () => {};

  /** `publishService`: `namespace/name` of the Service in front of us, or empty. */
  constructor(publishService: ObjectKey) {
    this.#publishService = publishService;
  }

  /** Null: it does not exist, as far as we know. */
  get serviceAddresses(): Addresses | null {
    return this.#serviceAddresses;
  }

  ingress(key: ObjectKey): ObservedIngress | null {
    return this.#ingresses.get(key) ?? null;
  }

  /** Empty: not known. */
  uidOf(ref: ObjectRef): string {
    return ref.kind === "Ingress"
      ? (this.#ingresses.get(objectKey(ref.namespace, ref.name))?.uid ?? "")
      : (this.#uids.get(refKey(ref)) ?? "");
  }

  /** `value`: as the API server gave it; null: gone. */
  observe(kind: KubeKind, key: ObjectKey, value: unknown): void {
    if (!kindsWithEvents.has(kind)) return;
    if (kind === "Service" && key === this.#publishService) {
      this.#setService(value === null ? null : serviceAddresses(value));
    }
    const metadata = fieldsOf(fieldsOf(value)["metadata"]);
    if (kind === "Ingress") this.#setIngress(key, value, metadata);
    else if (value === null) this.#uids.delete(`${kind}/${key}`);
    else this.#uids.set(`${kind}/${key}`, textOf(metadata["uid"]));
  }

  #setService(addresses: Addresses | null): void {
    const text = (of: Addresses | null): string | null => (of === null ? null : addressesText(of));
    const isChange = text(this.#serviceAddresses) !== text(addresses);
    this.#serviceAddresses = addresses;
    if (isChange) this.onService();
  }

  #setIngress(key: ObjectKey, value: unknown, { uid, resourceVersion }: ReturnType<typeof fieldsOf>): void {
    if (value === null) {
      this.#ingresses.delete(key);
      return;
    }
    const next: ObservedIngress = {
      uid: textOf(uid),
      version: textOf(resourceVersion),
      status: addressesText(loadBalancerAddresses(value)),
    };
    const known = this.#ingresses.get(key);
    // The answer to a write of ours comes before the watch tells of it, and of what was before it.
    if (known?.uid === next.uid && isOlderVersion(next.version, known.version)) return;
    this.#ingresses.set(key, next);
    if (known?.uid !== next.uid || known.status !== next.status) this.onIngress();
  }
}
