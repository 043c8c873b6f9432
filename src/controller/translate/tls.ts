// TLS of virtual hosts: which certificates a host serves, by the rules of ingress-nginx and a little better.
import { compareText } from "../../ir/order.ts";
import { formatRef, type ObjectRef } from "../../ir/object-ref.ts";
import type { CertificateId, CertificateIr } from "../../ir/routing.ts";
import { quote } from "../annotations.ts";
import { objectKey, refOf, type IngressTls, type ObjectKey } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import { certificateOf, coversHost } from "./certificate.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import type { HostDraft } from "./host.ts";
import { keyRef } from "./settings.ts";

export interface HostTls {
  readonly isTls: boolean;
  readonly certificates: readonly CertificateId[];
}

/** What one host has of its own, before a wildcard lends it anything. */
export interface OwnTls extends HostTls {
  readonly inUse: readonly CertificateIr[];
  /** Items whose Secret was looked for. */
  readonly looked: ReadonlySet<IngressTls>;
  /** Items whose certificate serves the host although none lists it. */
  readonly forUnlisted: ReadonlySet<IngressTls>;
}

export const noTls: OwnTls = {
  isTls: false,
  certificates: [],
  inUse: [],
  looked: new Set(),
  forUnlisted: new Set(),
};

/**
 * The first Ingress with a `tls` section decides. Ingresses of its own namespace may add certificates, so that RSA
 * and ECDSA can come from different items; those of others may not, since a certificate speaks for the whole host.
 */
export function ownTls(context: TranslateContext, draft: HostDraft): OwnTls {
  const withTls = draft.plans.filter((plan) => plan.object.tls.length > 0);
  const [first] = withTls;
  if (draft.host === "" || first === undefined) return noTls;
  const items = new TlsItems(context);
  const found: CertificateIr[] = [];
  let isListed = false;
  for (const plan of withTls) {
    for (const item of plan.object.tls) {
      if (!item.hosts.includes(draft.host)) continue;
      if (plan.ref.namespace !== first.ref.namespace) {
        context.report("warning", plan.ref, item.field, {
          reason: "TlsConflict",
          message: `${formatRef(first.ref)}, which comes first, decides on the TLS of host ${quote(draft.host)}, and only Ingresses of its namespace may add certificates; this one is not used`,
        });
        continue;
      }
      isListed = true;
      const certificate = items.forListedHost(plan, item, draft.host);
      if (certificate !== null) found.push(certificate);
    }
  }
  if (!isListed) found.push(...items.forUnlistedHost(first, draft.host));
  const byType = new Map<string, CertificateIr>();
  for (const certificate of found) {
    if (!byType.has(certificate.keyType)) byType.set(certificate.keyType, certificate);
  }
  const inUse = [...byType.values()];
  const certificates = inUse.map(({ id }) => id).sort(compareText);
  return { isTls: true, certificates, inUse, looked: items.looked, forUnlisted: items.forUnlisted };
}

/** The wildcard host that lends its TLS to `host` when that has none of its own; null: none can. */
export function lenderOf(host: string): string | null {
  const dot = host.indexOf(".");
  return dot < 0 || host.startsWith("*") ? null : `*${host.slice(dot)}`;
}

/** From `--default-ssl-certificate`; null: the self-signed one. */
export function defaultCertificate(context: TranslateContext): CertificateIr | null {
  const key = context.options.defaultSslCertificate;
  if (key === "") return null;
  if (context.index.secrets.has(key)) return loadSecret(context, key, "the self-signed certificate serves");
  context.report("error", keyRef("Secret", key), "", {
    reason: "SecretNotFound",
    message:
      "it is named by --default-ssl-certificate but does not exist; the self-signed certificate serves",
  });
  return null;
}

/**
 * What one Ingress has to hear of its items. `hosts`: the TLS of the hosts of its rules. Some items, or hosts of items, do
 * nothing for any of them: a misspelt host most often.
 */
export function checkItems(
  context: TranslateContext,
  { object, ref }: IngressPlan,
  hosts: readonly OwnTls[],
): void {
  const ruled = new Set(object.rules.map((rule) => rule.host).filter((host) => host !== ""));
  const listed = new Set(object.tls.flatMap((item) => item.hosts));
  const reported = new Set<string>();
  for (const item of object.tls) {
    const serves = hosts.some(({ forUnlisted }) => forUnlisted.has(item));
    const idle = idleness(item, { ruled, listed, serves });
    if (idle !== null) {
      const field = item.hosts.length === 0 ? item.field : `${item.field}.hosts`;
      context.report("warning", ref, field, {
        reason: "TlsWithoutEffect",
        message: `${idle}; the certificate is not used${item.hosts.length === 0 ? "" : " for it"}`,
      });
    } else if (item.secretName === "" && context.options.defaultSslCertificate === "") {
      context.report("warning", ref, item.field, {
        reason: "NoSecretName",
        message:
          "it names no Secret, and there is no --default-ssl-certificate; the self-signed certificate serves",
      });
    }
    // The Secret of an idle item is not looked for otherwise, and most often missing for the same reason.
    const isLooked = idle !== null || hosts.some(({ looked }) => looked.has(item));
    if (!isLooked || item.secretName === "" || reported.has(item.secretName)) continue;
    reported.add(item.secretName);
    checkSecret(context, ref, item);
  }
}

/** Why an item does nothing, in words; null when it does something. */
function idleness(
  item: IngressTls,
  {
    ruled,
    listed,
    serves,
  }: { readonly ruled: ReadonlySet<string>; readonly listed: ReadonlySet<string>; readonly serves: boolean },
): string | null {
  if (ruled.size === 0) {
    return "the Ingress has no rule with a host, and the catch-all always has the default certificate";
  }
  if (serves) return null;
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

function checkSecret(context: TranslateContext, ref: ObjectRef, item: IngressTls): void {
  const key = objectKey(ref.namespace, item.secretName);
  if (context.index.secrets.has(key)) {
    loadSecret(context, key, "its hosts get the default certificate unless they have another");
    return;
  }
  context.report("error", ref, `${item.field}.secretName`, {
    reason: "SecretNotFound",
    message: `Secret ${key} does not exist; the default certificate serves`,
  });
}

/** Of a Secret that is there. When its content is broken: the last good one, and words. */
function loadSecret(context: TranslateContext, key: ObjectKey, otherwise: string): CertificateIr | null {
  const secret = context.index.secrets.get(key);
  if (secret === undefined) return null;
  const { problem } = certificateOf(secret);
  const usable = usableCertificate(context, key);
  if (problem === null) return usable;
  const consequence = usable === null ? otherwise : "its last good certificate keeps serving";
  context.report("error", refOf(secret), problem.field, {
    reason: problem.reason,
    message: `${problem.message}; ${consequence}`,
  });
  return usable;
}

function usableCertificate(context: TranslateContext, key: ObjectKey): CertificateIr | null {
  const secret = context.index.secrets.get(key);
  if (secret === undefined) return null;
  return certificateOf(secret).certificate ?? context.options.lastGoodCertificates.get(key) ?? null;
}

/** The certificates of items for one host. */
class TlsItems {
  readonly looked = new Set<IngressTls>();
  readonly forUnlisted = new Set<IngressTls>();
  readonly #context: TranslateContext;

  constructor(context: TranslateContext) {
    this.#context = context;
  }

  forListedHost(plan: IngressPlan, item: IngressTls, host: string): CertificateIr | null {
    const certificate = this.#certificateOf(plan.ref, item);
    if (certificate === null || coversHost(certificate, host)) return certificate;
    const names = certificate.names.length === 0 ? "no host" : certificate.names.map(quote).join(", ");
    this.#context.report("error", plan.ref, `${item.field}.secretName`, {
      reason: "CertificateHostMismatch",
      message: `the certificate of Secret ${plan.ref.namespace}/${item.secretName} is for ${names}, not for ${quote(host)}; the default certificate serves`,
    });
    return null;
  }

  /** The host stands in no item of the Ingress: the first certificate that covers it. */
  forUnlistedHost(plan: IngressPlan, host: string): readonly CertificateIr[] {
    for (const item of plan.object.tls) {
      const certificate = this.#certificateOf(plan.ref, item);
      if (certificate === null || !coversHost(certificate, host)) continue;
      this.forUnlisted.add(item);
      return [certificate];
    }
    this.#context.report("warning", plan.ref, "spec.tls", {
      reason: "TlsHostNotListed",
      message: `no item lists host ${quote(host)}, and no certificate of the Ingress is for it; the default certificate serves`,
    });
    return [];
  }

  #certificateOf({ namespace }: ObjectRef, item: IngressTls): CertificateIr | null {
    this.looked.add(item);
    if (item.secretName === "") return null;
    return usableCertificate(this.#context, objectKey(namespace, item.secretName));
  }
}

/** `*.a.example` is above `x.a.example`, and stands beside `a.example` in certificates for both. */
function isAbove(wildcard: string, host: string): boolean {
  return wildcard.startsWith("*.") && (host === wildcard.slice(2) || host.endsWith(wildcard.slice(1)));
}
