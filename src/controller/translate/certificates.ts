// Which certificates hosts use, by the Secret they are from.
import { formatRef } from "../../ir/object-ref.ts";
import { compareText } from "../../ir/order.ts";
import type { CertificateId, CertificateIr } from "../../ir/routing.ts";
import { objectKey, type ObjectKey } from "../objects.ts";

interface Entry {
  certificate: CertificateIr;
  users: number;
}

export class Certificates {
  readonly #bySecret = new Map<ObjectKey, Entry>();
  /** Of two Secrets with the same content one is named. */
  readonly #secretsById = new Map<CertificateId, Set<ObjectKey>>();
  readonly #due = new Set<CertificateId>();
  /** Of a former translation, until the first one here is complete. */
  #earlier: ReadonlyMap<ObjectKey, CertificateIr>;
  /** Secrets that served something until now. */
  readonly #released = new Set<ObjectKey>();

  constructor(earlier: ReadonlyMap<ObjectKey, CertificateIr>) {
    this.#earlier = earlier;
  }

  add(certificates: readonly CertificateIr[]): void {
    for (const certificate of certificates) {
      const key = keyOf(certificate);
      const entry = this.#bySecret.get(key);
      if (entry === undefined) {
        this.#bySecret.set(key, { certificate, users: 1 });
        this.#name(certificate.id, key);
        continue;
      }
      entry.users += 1;
      if (entry.certificate.id === certificate.id) continue;
      this.#unname(entry.certificate.id, key);
      entry.certificate = certificate;
      this.#name(certificate.id, key);
    }
  }

  remove(certificates: readonly CertificateIr[]): void {
    for (const certificate of certificates) {
      const key = keyOf(certificate);
      const entry = this.#bySecret.get(key);
      if (entry === undefined) continue;
      entry.users -= 1;
      if (entry.users > 0) continue;
      this.#bySecret.delete(key);
      this.#released.add(key);
      this.#unname(entry.certificate.id, key);
    }
  }

  /** A translation is complete. Returns the Secrets whose last good certificate was there for it, and is not for the next. */
  endTranslation(): readonly ObjectKey[] {
    const released = [...this.#released, ...this.#earlier.keys()].filter((key) => !this.#bySecret.has(key));
    this.#released.clear();
    this.#earlier = new Map();
    return released;
  }

  /** What became of those that were added or removed since the last call. */
  takeChanges(): { readonly changed: readonly CertificateIr[]; readonly removed: readonly CertificateId[] } {
    const changed: CertificateIr[] = [];
    const removed: CertificateId[] = [];
    for (const id of this.#due) {
      const certificate = this.#named(id);
      if (certificate === null) removed.push(id);
      else changed.push(certificate);
    }
    this.#due.clear();
    return { changed, removed };
  }

  /** What the Secret served last. */
  get(secret: ObjectKey): CertificateIr | undefined {
    return this.#bySecret.get(secret)?.certificate ?? this.#earlier.get(secret);
  }

  /** By Secret: a copy. */
  inUse(): ReadonlyMap<ObjectKey, CertificateIr> {
    return new Map([...this.#bySecret].map(([key, { certificate }]) => [key, certificate]));
  }

  #named(id: CertificateId): CertificateIr | null {
    const all = [...(this.#secretsById.get(id) ?? [])].flatMap(
      (key) => this.#bySecret.get(key)?.certificate ?? [],
    );
    all.sort((a, b) => compareText(formatRef(a.secret), formatRef(b.secret)));
    return all[0] ?? null;
  }

  #name(id: CertificateId, key: ObjectKey): void {
    this.#due.add(id);
    const keys = this.#secretsById.get(id);
    if (keys === undefined) this.#secretsById.set(id, new Set([key]));
    else keys.add(key);
  }

  #unname(id: CertificateId, key: ObjectKey): void {
    this.#due.add(id);
    const keys = this.#secretsById.get(id);
    keys?.delete(key);
    if (keys?.size === 0) this.#secretsById.delete(id);
  }
}

function keyOf({ secret }: CertificateIr): ObjectKey {
  return objectKey(secret.namespace, secret.name);
}
