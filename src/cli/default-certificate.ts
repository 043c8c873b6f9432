// The self-signed certificate for hosts that have none, made anew at every start. Named as ingress-nginx names its own,
// because users and monitoring recognise it by that name.
import { generateKey, keyPem, writeCertificate } from "./certificate-writer.ts";

export interface KeyPair {
  /** PEM. */
  readonly chain: string;
  /** PEM. */
  readonly key: string;
}

const validDays = 365;
const dayMs = 86_400_000;

export async function makeDefaultCertificate(now: Date): Promise<KeyPair> {
  const privateKey = await generateKey("rsa");
  const chain = writeCertificate({
    subject: { commonName: "Kubernetes Ingress Controller Fake Certificate", organization: "Acme Co" },
    names: ["ingress.local"],
    privateKey,
    notBefore: now,
    notAfter: new Date(now.getTime() + validDays * dayMs),
  });
  return { chain, key: keyPem(privateKey) };
}
