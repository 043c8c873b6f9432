// Which Secrets Ingresses name: only those are kept, whatever else the API server tells of.
import { objectKey, type IngressObject, type ObjectKey } from "../../objects.ts";

/** `auth-secret`, `auth-tls-secret`, `proxy-ssl-secret` and whatever else is named like them. */
const secretAnnotation = /\/[a-z0-9-]*secret$/;

export function secretsNamedBy(ingress: IngressObject): ReadonlySet<ObjectKey> {
  const { namespace, annotations } = ingress.meta;
  const keys = new Set<ObjectKey>();
  for (const { secretName } of ingress.tls) if (secretName !== "") keys.add(objectKey(namespace, secretName));
  for (const [name, value] of annotations) {
    if (!secretAnnotation.test(name) || value === "") continue;
    keys.add(value.includes("/") ? value : objectKey(namespace, value));
  }
  return keys;
}

/** The Secrets that some Ingress names, counted. */
export class SecretReferences {
  readonly #byIngress = new Map<ObjectKey, ReadonlySet<ObjectKey>>();
  readonly #counts = new Map<ObjectKey, number>();

  has(secret: ObjectKey): boolean {
    return this.#counts.has(secret);
  }

  keys(): Iterable<ObjectKey> {
    return this.#counts.keys();
  }

  /** Null: the Ingress is gone. Returns what is named now and was not before, and the reverse. */
  update(
    ingress: ObjectKey,
    object: IngressObject | null,
  ): { readonly added: readonly ObjectKey[]; readonly removed: readonly ObjectKey[] } {
    const before = this.#byIngress.get(ingress) ?? new Set();
    const after = object === null ? new Set<ObjectKey>() : secretsNamedBy(object);
    if (after.size === 0) this.#byIngress.delete(ingress);
    else this.#byIngress.set(ingress, after);
    const added = [...after].filter((key) => !before.has(key) && this.#count(key, 1) === 1);
    const removed = [...before].filter((key) => !after.has(key) && this.#count(key, -1) === 0);
    return { added, removed };
  }

  #count(key: ObjectKey, by: 1 | -1): number {
    const count = (this.#counts.get(key) ?? 0) + by;
    if (count === 0) this.#counts.delete(key);
    else this.#counts.set(key, count);
    return count;
  }
}
