import { createPrivateKey, X509Certificate } from "node:crypto";
import { expect, test } from "vitest";
import { makeDefaultCertificate } from "../../src/cli/default-certificate.ts";

test("the default certificate is named and valid as that of ingress-nginx", async () => {
  const now = new Date("2026-11-24T12:00:00Z");
  const { chain, key } = await makeDefaultCertificate(now);
  const certificate = new X509Certificate(chain);
  expect(certificate.subject).toBe("O=Acme Co\nCN=Kubernetes Ingress Controller Fake Certificate");
  expect(certificate.subjectAltName).toBe("DNS:ingress.local");
  expect(certificate.publicKey.asymmetricKeyType).toBe("rsa");
  expect(certificate.publicKey.asymmetricKeyDetails?.modulusLength).toBe(2048);
  expect(certificate.validFromDate).toEqual(now);
  expect(certificate.validToDate).toEqual(new Date("2027-11-24T12:00:00Z"));
  expect(certificate.checkPrivateKey(createPrivateKey(key))).toBe(true);
});
