// TLS of virtual hosts: which certificates a host serves, by the rules of ingress-nginx and a little better.
import { compareText } from "../../ir/order.ts";
import { formatRef, type ObjectRef } from "../../ir/object-ref.ts";
import type { CertificateId, CertificateIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import { objectKey, refOf, type IngressTls, type ObjectKey } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import { certificateOf, coversHost } from "./certificate.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import type { HostDraft } from "./hosts.ts";
import { keyRef } from "./settings.ts";

export interface HostTls {
  readonly isTls: boolean;
  readonly certificates: readonly CertificateId[];
}

const plain: HostTls = { isTls: false, certificates: [] };

/** Decides for hosts, and collects the certificates in use. */
export class TlsTranslator {
  readonly #context: TranslateContext;
  readonly #inUse = new Map<ObjectKey, CertificateIr>();
  readonly #reported = new Set<ObjectKey>();
  /** Items whose certificate serves a host that none lists. */
  readonly #forUnlisted = new Set<IngressTls>();

  constructor(context: TranslateContext) {
    this.#context = context;
  }

  /** Every host's own TLS first, then wildcards for the exact hosts that have none of their own. */
  translate(
    hosts: ReadonlyMap<string, HostDraft>,
    plans: readonly IngressPlan[],
  ): ReadonlyMap<string, HostTls> {
    const own = new Map<string, HostTls>();
    for (const draft of hosts.values()) own.set(draft.host, this.#ownTls(draft));
    for (const plan of plans) this.#reportIdleItems(plan);
    const result = new Map(own);
    for (const [host, tls] of own) {
      const dot = host.indexOf(".");
      if (tls.isTls || dot < 0 || host.startsWith("*")) continue;
      const above = own.get(`*${host.slice(dot)}`);
      if (above?.isTls === true) result.set(host, above);
    }
    return result;
  }

  /** Items, or hosts of items, that do nothing for any host of their Ingress: a misspelt host most often. */
  #reportIdleItems({ object, ref }: IngressPlan): void {
    const ruled = new Set(object.rules.map((rule) => rule.host).filter((host) => host !== ""));
    const listed = new Set(object.tls.flatMap((item) => item.hosts));
    for (const item of object.tls) {
      const found = this.#idleness(item, ruled, listed);
      if (found !== null) {
        const field = item.hosts.length === 0 ? item.field : `${item.field}.hosts`;
        this.#context.report("warning", ref, field, {
          reason: "TlsWithoutEffect",
          message: `${found}; the certificate is not used${item.hosts.length === 0 ? "" : " for it"}`,
        });
        // Not looked for otherwise, and most often missing for the same reason.
        this.#secretOf(ref, item);
      } else if (item.secretName === "" && this.#context.options.defaultSslCertificate === "") {
        this.#context.report("warning", ref, item.field, {
          reason: "NoSecretName",
          message:
            "it names no Secret, and there is no --default-ssl-certificate; the self-signed certificate serves",
        });
      }
    }
  }

  /** Why an item does nothing, in words; null when it does something. */
  #idleness(item: IngressTls, ruled: ReadonlySet<string>, listed: ReadonlySet<string>): string | null {
    if (ruled.size === 0) {
      return "the Ingress has no rule with a host, and the catch-all always has the default certificate";
    }
    if (this.#forUnlisted.has(item)) return null;
    if (item.hosts.length === 0) {
      const isLeft = [...ruled].some((host) => !listed.has(host));
      return isLeft ? null : "every host of the Ingress stands in another item";
    }
    // A wildcard beside its host is how certificates for both are written.
    const idle = item.hosts.filter(
      (host) => !ruled.has(host) && ![...ruled].some((each) => isAbove(host, each)),
    );
    if (idle.length === 0) return null;
    return `no rule of the Ingress has host ${idle.map((host) => `${quote(host)}${suggestion(host, ruled)}`).join(", ")}`;
  }

  translateDefault(): CertificateId | null {
    const key = this.#context.options.defaultSslCertificate;
    if (key === "") return null;
    if (this.#context.index.secrets.has(key)) {
      const certificate = this.#load(key, "the self-signed certificate serves");
      if (certificate !== null) this.#use(certificate);
      return certificate?.id ?? null;
    }
    this.#context.report("error", keyRef("Secret", key), "", {
      reason: "SecretNotFound",
      message:
        "it is named by --default-ssl-certificate but does not exist; the self-signed certificate serves",
    });
    return null;
  }

  /** By their Secret. */
  get inUse(): ReadonlyMap<ObjectKey, CertificateIr> {
    return this.#inUse;
  }

  /** Sorted by id. Of two Secrets with the same content one is named. */
  certificates(): readonly CertificateIr[] {
    const byId = new Map<CertificateId, CertificateIr>();
    for (const certificate of this.#inUse.values()) {
      const known = byId.get(certificate.id);
      if (known === undefined || compareText(formatRef(certificate.secret), formatRef(known.secret)) < 0) {
        byId.set(certificate.id, certificate);
      }
    }
    return [...byId.values()].sort((a, b) => compareText(a.id, b.id));
  }

  /**
   * The first Ingress with a `tls` section decides. Ingresses of its own namespace may add certificates, so that RSA
   * and ECDSA can come from different items; those of others may not, since a certificate speaks for the whole host.
   */
  #ownTls(draft: HostDraft): HostTls {
    const withTls = draft.plans.filter((plan) => plan.object.tls.length > 0);
    const [first] = withTls;
    if (draft.host === "" || first === undefined) return plain;
    const certificates: CertificateIr[] = [];
    let isListed = false;
    for (const plan of withTls) {
      for (const item of plan.object.tls) {
        if (!item.hosts.includes(draft.host)) continue;
        if (plan.ref.namespace !== first.ref.namespace) {
          this.#context.report("warning", plan.ref, item.field, {
            reason: "TlsConflict",
            message: `${formatRef(first.ref)}, which comes first, decides on the TLS of host ${quote(draft.host)}, and only Ingresses of its namespace may add certificates; this one is not used`,
          });
          continue;
        }
        isListed = true;
        const certificate = this.#forListedHost(plan, item, draft.host);
        if (certificate !== null) certificates.push(certificate);
      }
    }
    if (!isListed) certificates.push(...this.#forUnlistedHost(first, draft.host));
    const ids = new Map<string, CertificateId>();
    for (const certificate of certificates) {
      if (ids.has(certificate.keyType)) continue;
      ids.set(certificate.keyType, certificate.id);
      this.#use(certificate);
    }
    return { isTls: true, certificates: [...ids.values()].sort(compareText) };
  }

  #forListedHost(plan: IngressPlan, item: IngressTls, host: string): CertificateIr | null {
    const certificate = this.#secretOf(plan.ref, item);
    if (certificate === null || coversHost(certificate, host)) return certificate;
    const names = certificate.names.length === 0 ? "no host" : certificate.names.map(quote).join(", ");
    this.#context.report("error", plan.ref, `${item.field}.secretName`, {
      reason: "CertificateHostMismatch",
      message: `the certificate of Secret ${plan.ref.namespace}/${item.secretName} is for ${names}, not for ${quote(host)}; the default certificate serves`,
    });
    return null;
  }

  /** The host stands in no item of the Ingress: the first certificate that covers it. */
  #forUnlistedHost(plan: IngressPlan, host: string): readonly CertificateIr[] {
    for (const item of plan.object.tls) {
      const certificate = this.#secretOf(plan.ref, item);
      if (certificate === null || !coversHost(certificate, host)) continue;
      this.#forUnlisted.add(item);
      return [certificate];
    }
    this.#context.report("warning", plan.ref, "spec.tls", {
      reason: "TlsHostNotListed",
      message: `no item lists host ${quote(host)}, and no certificate of the Ingress is for it; the default certificate serves`,
    });
    return [];
  }

  #use(certificate: CertificateIr): void {
    const { namespace, name } = certificate.secret;
    this.#inUse.set(objectKey(namespace, name), certificate);
  }

  #secretOf(ref: ObjectRef, item: IngressTls): CertificateIr | null {
    if (item.secretName === "") return null;
    const key = objectKey(ref.namespace, item.secretName);
    if (this.#context.index.secrets.has(key))
      return this.#load(key, "its hosts get the default certificate unless they have another");
    const occasion = `${ref.name} ${key}`;
    if (this.#reported.has(occasion)) return null;
    this.#reported.add(occasion);
    this.#context.report("error", ref, `${item.field}.secretName`, {
      reason: "SecretNotFound",
      message: `Secret ${key} does not exist; the default certificate serves`,
    });
    return null;
  }

  /** Of a Secret that is there. When its content is broken: the last good one. */
  #load(key: ObjectKey, otherwise: string): CertificateIr | null {
    const secret = this.#context.index.secrets.get(key);
    if (secret === undefined) return null;
    const { certificate, problem } = certificateOf(secret);
    const usable = certificate ?? this.#context.options.lastGoodCertificates.get(key) ?? null;
    if (problem === null || this.#reported.has(key)) return usable;
    this.#reported.add(key);
    const consequence = usable === null ? otherwise : "its last good certificate keeps serving";
    this.#context.report("error", refOf(secret), problem.field, {
      reason: problem.reason,
      message: `${problem.message}; ${consequence}`,
    });
    return usable;
  }
}

/** `*.a.example` is above `x.a.example`, and stands beside `a.example` in certificates for both. */
function isAbove(wildcard: string, host: string): boolean {
  return wildcard.startsWith("*.") && (host === wildcard.slice(2) || host.endsWith(wildcard.slice(1)));
}
