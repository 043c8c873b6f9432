// Certificates for tests and for the demo: an authority, and certificates that it or nobody signs.
import type { KeyObject } from "node:crypto";
import { generateKey, keyPem, writeCertificate, type KeyType } from "../src/cli/certificate-writer.ts";

export interface CertificateAuthority {
  /** PEM: what clients trust. */
  readonly certificate: string;
  readonly commonName: string;
  readonly privateKey: KeyObject;
}

export interface CertificatePair {
  /** PEM, leaf first. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
}

const dayMs = 86_400_000;

export async function makeCertificateAuthority(
  options: { readonly commonName?: string; readonly validDays?: number; readonly keyType?: KeyType } = {},
): Promise<CertificateAuthority> {
  const { commonName = "Fairway test authority", validDays = 3650, keyType = "ec" } = options;
  const privateKey = await generateKey(keyType);
  const certificate = writeCertificate({
    subject: { commonName },
    names: [],
    privateKey,
    isAuthority: true,
    ...validity(validDays),
  });
  return { certificate, commonName, privateKey };
}

/** `names`: DNS names and IP addresses, the first one is the common name. Without `ca` it is self-signed. */
export async function makeCertificate(options: {
  readonly names: readonly string[];
  readonly keyType?: KeyType;
  readonly ca?: CertificateAuthority;
  /** Negative: already expired. */
  readonly validDays?: number;
}): Promise<CertificatePair> {
  const { names, keyType = "ec", ca, validDays = 3650 } = options;
  const privateKey = await generateKey(keyType);
  const chain = writeCertificate({
    subject: { commonName: names[0] ?? "" },
    names,
    privateKey,
    ...(ca === undefined
      ? {}
      : { issuer: { subject: { commonName: ca.commonName }, privateKey: ca.privateKey } }),
    ...validity(validDays),
  });
  return { chain, key: keyPem(privateKey) };
}

/** From a day ago, so that clocks may differ; of an expired certificate from a day before its end. */
function validity(validDays: number): { notBefore: Date; notAfter: Date } {
  const notAfter = new Date(Date.now() + validDays * dayMs);
  return { notBefore: new Date(Math.min(Date.now(), notAfter.getTime()) - dayMs), notAfter };
}
