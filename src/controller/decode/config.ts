// IngressClass, Secret and ConfigMap. Values of Secrets never appear in findings.
import type { ConfigMapObject, IngressClassObject, ObjectMeta, SecretObject } from "../objects.ts";
import type { FieldReader, Fields } from "./reader.ts";

export function decodeIngressClass(reader: FieldReader, value: Fields, meta: ObjectMeta): IngressClassObject {
  const spec = reader.fields(value["spec"], "spec", "the class belongs to no controller") ?? {};
  const controller =
    reader.text(spec["controller"], "spec.controller", "the class belongs to no controller") ?? "";
  return { kind: "IngressClass", meta, controller };
}

export function decodeConfigMap(reader: FieldReader, value: Fields, meta: ObjectMeta): ConfigMapObject {
  return { kind: "ConfigMap", meta, data: reader.map(value["data"], "data", (key) => `data.${key}`) };
}

export function decodeSecret(reader: FieldReader, value: Fields, meta: ObjectMeta): SecretObject {
  const data = new Map<string, string>();
  // Helm stores whole releases in Secrets; they are large and never ours.
  if (value["type"] === "helm.sh/release.v1") return { kind: "Secret", meta, data };
  const encoded = reader.fields(value["data"], "data", "the Secret is empty") ?? {};
  for (const [key, item] of Object.entries(encoded)) {
    const text = reader.text(item, `data[${key}]`, "the key is left out");
    if (text === null) continue;
    const compact = text.replaceAll(/\s/g, "");
    if (/^[A-Za-z0-9+/]*={0,2}$/.test(compact) && compact.length % 4 === 0) {
      data.set(key, Buffer.from(compact, "base64").toString("utf8"));
    } else {
      reader.refuse(
        `data[${key}]`,
        "InvalidBase64",
        "found text that is not base64, expected base64",
        "the key is left out",
      );
    }
  }
  const plain = reader.fields(value["stringData"], "stringData", "it is left out") ?? {};
  for (const [key, item] of Object.entries(plain)) {
    const text = reader.text(item, `stringData[${key}]`, "the key is left out");
    if (text !== null) data.set(key, text);
  }
  return { kind: "Secret", meta, data };
}
