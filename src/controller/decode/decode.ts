// The edge of parsing: anything at all in, one typed object or none out, with everything wrong about it named.
// What the API server refuses is found here; what it accepts but cannot work is found by translate.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { quote } from "../annotations.ts";
import type { Finding } from "../finding.ts";
import { isDnsLabel, isDnsSubdomain } from "../names.ts";
import type { KubeObject, ObjectMeta } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import { decodeConfigMap, decodeIngressClass, decodeSecret } from "./config.ts";
import { decodeEndpoints, decodeEndpointSlice } from "./endpoints.ts";
import { decodeIngress } from "./ingress.ts";
import { isPassedOver, knownKinds, oldVersions, readKinds } from "./kinds.ts";
import { FieldReader, isAbsent, isFields, type Fields } from "./reader.ts";
import { decodeService } from "./service.ts";

export interface Decoded {
  /** Null: it is no object, of a kind that does not concern us, or has no usable name. */
  readonly object: KubeObject | null;
  readonly findings: readonly Finding[];
}

/** Never throws. `value` is what a YAML or JSON parser or an API client made. */
export function decodeObject(value: unknown): Decoded {
  if (!isFields(value))
    return nothing(unnamed("Object"), "NotAnObject", "found no map, expected a Kubernetes object");
  const { apiVersion, kind } = value;
  if (typeof kind !== "string" || typeof apiVersion !== "string" || kind === "" || apiVersion === "") {
    const message = "apiVersion and kind are not both there, expected a Kubernetes object";
    return nothing(looseRef("Object", value), "NotAnObject", message);
  }
  const readVersion = readKinds.get(kind);
  if (readVersion === apiVersion) return decodeKnown(kind, value);
  return readVersion !== undefined && oldVersions.has(apiVersion)
    ? nothing(
        looseRef(kind, value),
        "OldApiVersion",
        `${apiVersion} is gone since Kubernetes 1.22, expected ${readVersion}: ${conversionHint(kind)}`,
      )
    : unknownKind(apiVersion, kind, value);
}

function decodeKnown(kind: string, value: Fields): Decoded {
  const ref = looseRef(kind, value);
  const reader = new FieldReader(ref);
  const meta = decodeMeta(reader, kind, value);
  const object = meta === null ? null : decodeKind(kind, reader, value, meta);
  return { object, findings: reader.findings };
}

function decodeKind(kind: string, reader: FieldReader, value: Fields, meta: ObjectMeta): KubeObject | null {
  switch (kind) {
    case "Ingress":
      return decodeIngress(reader, value, meta);
    case "IngressClass":
      return decodeIngressClass(reader, value, meta);
    case "Service":
      return decodeService(reader, value, meta);
    case "EndpointSlice":
      return decodeEndpointSlice(reader, value, meta);
    case "Endpoints":
      return decodeEndpoints(reader, value, meta);
    case "Secret":
      return decodeSecret(reader, value, meta);
    case "ConfigMap":
      return decodeConfigMap(reader, value, meta);
    case "Namespace":
      return { kind, meta };
    default:
      return null;
  }
}

/** Null when the object cannot be told from others. */
function decodeMeta(reader: FieldReader, kind: string, value: Fields): ObjectMeta | null {
  const left = "the object is ignored";
  const metadata = reader.fields(value["metadata"], "metadata", left);
  if (metadata === null) {
    if (isAbsent(value["metadata"])) reader.unexpected("metadata", undefined, "a map with a name", left);
    return null;
  }
  const name = metadata["name"];
  if (typeof name !== "string" || !isDnsSubdomain(name)) {
    reader.unexpected("metadata.name", name, "a name of lower-case letters, digits, - and .", left);
    return null;
  }
  let namespace: unknown = "";
  if (kind !== "IngressClass" && kind !== "Namespace") {
    namespace =
      isAbsent(metadata["namespace"]) || metadata["namespace"] === "" ? "default" : metadata["namespace"];
    if (typeof namespace !== "string" || !isDnsLabel(namespace)) {
      reader.unexpected("metadata.namespace", namespace, "a name of lower-case letters, digits and -", left);
      return null;
    }
  }
  return {
    namespace: String(namespace),
    name,
    createdAt: decodeInstant(reader, metadata["creationTimestamp"]),
    labels: reader.map(metadata["labels"], "metadata.labels"),
    annotations: reader.map(metadata["annotations"], "metadata.annotations", (key) => key),
  };
}

/** RFC 3339, or a Date that a YAML parser made of it. */
function decodeInstant(reader: FieldReader, value: unknown): string {
  if (isAbsent(value)) return "";
  const isInstant =
    value instanceof Date ||
    (typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/i.test(value));
  const instant = isInstant ? new Date(value) : null;
  if (instant === null || Number.isNaN(instant.getTime())) {
    const expected = "an instant such as 2026-01-31T00:00:00Z";
    reader.unexpected("metadata.creationTimestamp", value, expected, "the object counts as the youngest");
    return "";
  }
  return instant.toISOString();
}

function unknownKind(apiVersion: string, kind: string, value: Fields): Decoded {
  if (isPassedOver(apiVersion, kind)) return { object: null, findings: [] };
  const expected = readKinds.get(kind);
  const hint = expected === undefined ? suggestion(kind, knownKinds()) : ` (for ${kind} write ${expected})`;
  const message = `${quote(kind)} of ${quote(apiVersion)} is not a kind that Fairway knows${hint}`;
  return nothing(looseRef(kind, value), "UnknownKind", message, "warning");
}

function nothing(
  object: ObjectRef,
  reason: string,
  message: string,
  severity: "error" | "warning" = "error",
): Decoded {
  const consequence = "it is ignored";
  return {
    object: null,
    findings: [{ severity, isRefusal: true, reason, message, consequence, object, field: "" }],
  };
}

function conversionHint(kind: string): string {
  return kind === "Ingress"
    ? "name the backend as service.name and service.port, give every path a pathType, and the class as spec.ingressClassName"
    : "the fields have kept their names";
}

/** The name an object claims, as far as it can be read; for findings about objects that cannot be used. */
function looseRef(kind: string, value: Fields): ObjectRef {
  const metadata = isFields(value["metadata"]) ? value["metadata"] : {};
  const text = (key: string): string => (typeof metadata[key] === "string" ? metadata[key] : "");
  const isNamespaced = kind !== "IngressClass" && kind !== "Namespace" && kind !== "Object";
  const namespace = isNamespaced ? text("namespace") || "default" : "";
  return { kind, namespace, name: text("name") || "(unnamed)" };
}

function unnamed(kind: string): ObjectRef {
  return { kind, namespace: "", name: "(unnamed)" };
}
