// Kinds that others define, as far as the chart uses them: the fields are those of the real ones, a few of many.
import type { Objects } from "../harness/objects.ts";

const text = { type: "string" };
const texts = { type: "array", items: text };
const labels = { type: "object", additionalProperties: text };
const object = (properties: object) => ({ type: "object", properties });

const serviceMonitorSpec = object({
  endpoints: {
    type: "array",
    items: object({ port: text, interval: text, scrapeTimeout: text, honorLabels: { type: "boolean" } }),
  },
  namespaceSelector: object({ matchNames: texts }),
  selector: object({ matchLabels: labels }),
});

const issuerRef = object({ name: text, kind: text, group: text });
const certificateSpec = object({
  secretName: text,
  duration: text,
  isCA: { type: "boolean" },
  commonName: text,
  dnsNames: texts,
  privateKey: object({ algorithm: text, size: { type: "integer" }, rotationPolicy: text }),
  issuerRef,
});
const issuerSpec = object({ selfSigned: { type: "object" }, ca: object({ secretName: text }) });

export async function installCrds(objects: Objects): Promise<void> {
  await install(objects, "monitoring.coreos.com", "ServiceMonitor", serviceMonitorSpec);
  await install(objects, "cert-manager.io", "Certificate", certificateSpec);
  await install(objects, "cert-manager.io", "Issuer", issuerSpec);
}

async function install(objects: Objects, group: string, kind: string, spec: object): Promise<void> {
  const plural = `${kind.toLowerCase()}s`;
  const openAPIV3Schema = object({ spec });
  await objects.create("CustomResourceDefinition", "", `${plural}.${group}`, {
    spec: {
      group,
      scope: "Namespaced",
      names: { kind, plural, singular: kind.toLowerCase() },
      versions: [{ name: "v1", served: true, storage: true, schema: { openAPIV3Schema } }],
    },
  });
}
