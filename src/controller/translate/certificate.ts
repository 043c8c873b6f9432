// One Secret to one certificate: parsed and checked against its key. Key material never leaves in a message.
import { createHash, createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";
import type { CertificateIr } from "../../ir/routing.ts";
import { hostProblem } from "../names.ts";
import { refOf, type SecretObject } from "../objects.ts";

export interface CertificateProblem {
  readonly reason: string;
  /** What was found and what was expected. */
  readonly message: string;
  /** In the Secret. */
  readonly field: string;
}

export type ParsedCertificate =
  | { readonly certificate: CertificateIr; readonly problem: null }
  | { readonly certificate: null; readonly problem: CertificateProblem };

/** Parsing costs far more than the rest of a translation, and a Secret object never changes: one parse for each. */
const parsed = new WeakMap<SecretObject, ParsedCertificate>();

export function certificateOf(secret: SecretObject): ParsedCertificate {
  const known = parsed.get(secret);
  if (known !== undefined) return known;
  const result = parse(secret);
  parsed.set(secret, result);
  return result;
}

function parse(secret: SecretObject): ParsedCertificate {
  const chainText = secret.data.get("tls.crt") ?? "";
  const keyText = secret.data.get("tls.key") ?? "";
  if (chainText.trim() === "")
    return broken("MissingCertificate", "data[tls.crt]", "found nothing, expected a certificate in PEM");
  if (keyText.trim() === "")
    return broken("MissingKey", "data[tls.key]", "found nothing, expected a private key in PEM");
  const chain = readChain(chainText);
  if (chain === null) {
    return broken(
      "InvalidCertificate",
      "data[tls.crt]",
      "it does not parse, expected certificates in PEM, the host's first",
    );
  }
  const key = readKey(keyText);
  if (key === null) {
    return broken(
      "InvalidKey",
      "data[tls.key]",
      "it does not parse, expected an unencrypted private key in PEM",
    );
  }
  const [leaf] = chain;
  if (!leaf.checkPrivateKey(key)) {
    const other = chain.findIndex((each) => each.checkPrivateKey(key));
    const hint =
      other > 0 ? ` (it belongs to certificate ${other + 1} of the chain; the host's must come first)` : "";
    return broken("KeyMismatch", "data[tls.key]", `the key does not belong to the certificate${hint}`);
  }
  const weakness = keyWeakness(key);
  if (weakness !== null) return broken("WeakKey", "data[tls.key]", weakness);
  return { certificate: toIr(secret, chain, key), problem: null };
}

function broken(reason: string, field: string, message: string): ParsedCertificate {
  return { certificate: null, problem: { reason, message, field } };
}

/** Null unless every PEM block is a certificate and there is one. */
function readChain(text: string): readonly [X509Certificate, ...X509Certificate[]] | null {
  const blocks = text.match(/-----BEGIN [A-Z0-9 ]+-----[\s\S]*?-----END [A-Z0-9 ]+-----/g) ?? [];
  try {
    const [leaf, ...rest] = blocks.map((block) => new X509Certificate(block));
    return leaf === undefined ? null : [leaf, ...rest];
  } catch {
    // OpenSSL's own words would not help the owner of a Secret.
    return null;
  }
}

function readKey(text: string): KeyObject | null {
  try {
    return createPrivateKey(text);
  } catch {
    // Nothing of the cause is passed on: it may quote key material.
    return null;
  }
}

/** Keys that OpenSSL's default security level refuses at the first handshake, or that no client supports. */
function keyWeakness(key: KeyObject): string | null {
  const details = key.asymmetricKeyDetails;
  switch (key.asymmetricKeyType) {
    case "rsa":
    case "rsa-pss": {
      const bits = details?.modulusLength ?? 0;
      return bits < 2048 ? `the RSA key has ${bits} bits, expected 2048 or more` : null;
    }
    case "ec": {
      const curve = details?.namedCurve ?? "an unknown curve";
      const isUsual = ["prime256v1", "secp384r1", "secp521r1"].includes(curve);
      return isUsual ? null : `the key is on ${curve}, expected P-256, P-384 or P-521`;
    }
    case "ed25519":
    case "ed448":
      return null;
    default:
      return `the key is of type ${String(key.asymmetricKeyType)}, expected RSA or ECDSA`;
  }
}

function toIr(
  secret: SecretObject,
  certificates: readonly X509Certificate[],
  privateKey: KeyObject,
): CertificateIr {
  const chain = certificates.map((each) => each.toString()).join("");
  const key = privateKey.export({ type: "pkcs8", format: "pem" });
  const type = privateKey.asymmetricKeyType;
  const leaf = certificates[0];
  return {
    id: createHash("sha256").update(chain).update("\n").update(key).digest("hex"),
    secret: refOf(secret),
    chain,
    key,
    keyType: type === "rsa" ? "rsa" : type === "ec" ? "ec" : "other",
    names: leaf === undefined ? [] : namesOf(leaf),
    notAfter: leaf === undefined ? "" : leaf.validToDate.toISOString(),
  };
}

/** DNS names of the subjectAltName; of the common name only when there is none, as ingress-nginx does. */
function namesOf(leaf: X509Certificate): readonly string[] {
  // A name with a comma or the like stands in quotes; taken as a whole it is no host name and falls out.
  const entries = (leaf.subjectAltName ?? "").matchAll(/(?:^|, )([A-Za-z ]+):("(?:[^"\\]|\\.)*"|[^,]*)/g);
  const names = [...entries].filter((entry) => entry[1] === "DNS").map((entry) => entry[2] ?? "");
  const commonName = /^CN=(.*)$/m.exec(leaf.subject)?.[1];
  const all = names.length === 0 && commonName !== undefined ? [commonName] : names;
  return [...new Set(all.map((name) => name.toLowerCase()))]
    .filter((name) => hostProblem(name) === null)
    .sort();
}

/** A wildcard stands for exactly one label (RFC 6125, 6.4.3). */
export function coversHost(certificate: CertificateIr, host: string): boolean {
  if (certificate.names.includes(host)) return true;
  const dot = host.indexOf(".");
  return dot > 0 && !host.startsWith("*") && certificate.names.includes(`*${host.slice(dot)}`);
}
