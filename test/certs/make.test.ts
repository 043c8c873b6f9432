import { createPrivateKey, X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import { makeCertificate, makeCertificateAuthority } from "../../certs/make.ts";

const names = ["a.example", "*.b.example", "127.0.0.1", "::1"];

describe.each(["rsa", "ec"] as const)("a certificate with a key of type %s", (keyType) => {
  test("names what it was asked for, fits its key, and is signed by its authority", async () => {
    const ca = await makeCertificateAuthority({ keyType });
    const { chain, key } = await makeCertificate({ names, keyType, ca });
    const leaf = new X509Certificate(chain);
    const authority = new X509Certificate(ca.certificate);
    expect(leaf.subjectAltName).toBe(
      "DNS:a.example, DNS:*.b.example, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    );
    expect(leaf.subject).toBe("CN=a.example");
    expect(leaf.checkPrivateKey(createPrivateKey(key))).toBe(true);
    expect(leaf.checkIssued(authority)).toBe(true);
    expect(leaf.verify(authority.publicKey)).toBe(true);
    expect(leaf.ca).toBe(false);
    expect(authority.ca).toBe(true);
    expect(leaf.keyUsage).toEqual(["1.3.6.1.5.5.7.3.1"]);
  });

  test("without an authority signs itself", async () => {
    const { chain } = await makeCertificate({ names, keyType });
    const leaf = new X509Certificate(chain);
    expect(leaf.verify(leaf.publicKey)).toBe(true);
  });
});

test.each([
  [3650, 1],
  [36_500, 1],
  [-1, -1],
])("a certificate of %i days", async (validDays, sign) => {
  const { chain } = await makeCertificate({ names, validDays });
  const { validFromDate, validToDate } = new X509Certificate(chain);
  expect(Math.sign(validToDate.getTime() - Date.now())).toBe(sign);
  expect(Math.abs(validToDate.getTime() - Date.now() - validDays * 86_400_000)).toBeLessThan(60_000);
  expect(validFromDate.getTime()).toBeLessThan(Math.min(Date.now(), validToDate.getTime()));
});
