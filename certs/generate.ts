// `npm run certs`: makes the certificate of the demo anew. Its key is in the repository for everybody to read, so it is
// good for nothing else; the key of the authority that signs it is thrown away.
import { writeFileSync } from "node:fs";
import { makeCertificate, makeCertificateAuthority } from "./make.ts";

const validDays = 3650;
const names = ["shop.localhost"];
const directory = new URL("../deploy/demo/", import.meta.url);

const ca = await makeCertificateAuthority({
  commonName: "Fairway demo authority, for trials only",
  validDays,
});
const { chain, key } = await makeCertificate({ names, keyType: "ec", ca, validDays });
const base64 = (text: string): string => Buffer.from(text).toString("base64");

writeFileSync(new URL("ca.pem", directory), ca.certificate);
writeFileSync(
  new URL("tls.yaml", directory),
  `# For the demo only: everybody can read this key. Made by \`npm run certs\`.
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata:
  name: shop-tls
  namespace: demo
data:
  tls.crt: ${base64(chain)}
  tls.key: ${base64(key)}
`,
);
console.log(`wrote deploy/demo/ca.pem and deploy/demo/tls.yaml for ${names.join(", ")}`);
