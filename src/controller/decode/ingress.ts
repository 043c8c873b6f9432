// Ingress (networking.k8s.io/v1). A broken path, rule or TLS item loses itself only.
import { quote } from "../annotations.ts";
import { hostProblem, isDnsLabel, isDnsSubdomain, isPortName, isPortNumber } from "../names.ts";
import type {
  IngressBackend,
  IngressObject,
  IngressPath,
  IngressRule,
  IngressTls,
  ObjectMeta,
} from "../objects.ts";
import { isAbsent, type FieldReader, type Fields } from "./reader.ts";

export function decodeIngress(reader: FieldReader, value: Fields, meta: ObjectMeta): IngressObject {
  const spec = reader.fields(value["spec"], "spec", "the Ingress has no rules") ?? {};
  reader.unknownFields(spec, "spec", ["ingressClassName", "defaultBackend", "rules", "tls"]);
  const className = reader.text(spec["ingressClassName"], "spec.ingressClassName", "the Ingress is not used");
  const isBadClass = className === null && !isAbsent(spec["ingressClassName"]);
  const hasDefaultBackend = !isAbsent(spec["defaultBackend"]);
  const { rules } = spec;
  return {
    kind: "Ingress",
    meta,
    // Whatever a broken class name was meant to say, it did not name us.
    ingressClassName: isBadClass ? "" : className,
    defaultBackend: hasDefaultBackend
      ? decodeBackend(reader, spec["defaultBackend"], "spec.defaultBackend", "the default backend")
      : null,
    hasDefaultBackend,
    hasRules: !isAbsent(rules) && !(Array.isArray(rules) && rules.length === 0),
    rules: reader.items(spec["rules"], "spec.rules", "rule").flatMap((item) => decodeRule(reader, item)),
    tls: reader.items(spec["tls"], "spec.tls", "TLS item").map((item) => decodeTls(reader, item)),
  };
}

interface Item {
  readonly fields: Fields;
  readonly field: string;
}

function decodeRule(reader: FieldReader, { fields, field }: Item): IngressRule[] {
  reader.unknownFields(fields, field, ["host", "http"]);
  const left = "the rule is left out";
  const written = reader.text(fields["host"], `${field}.host`, left);
  if (written === null && !isAbsent(fields["host"])) return [];
  const host = (written ?? "").toLowerCase();
  const problem = host === "" ? null : hostProblem(host);
  if (problem !== null) {
    const message = `${quote(written ?? "")} ${problem}, expected a DNS name such as "a.example" or "*.example"`;
    reader.refuse(`${field}.host`, "InvalidHost", message, left);
    return [];
  }
  const http = reader.fields(fields["http"], `${field}.http`, "the host has no paths") ?? {};
  reader.unknownFields(http, `${field}.http`, ["paths"]);
  const paths = reader.items(http["paths"], `${field}.http.paths`, "path");
  return [{ field, host, paths: paths.flatMap((item) => decodePath(reader, item)) }];
}

function decodePath(reader: FieldReader, { fields, field }: Item): IngressPath[] {
  reader.unknownFields(fields, field, ["path", "pathType", "backend"]);
  const left = "the path is left out";
  const path = reader.text(fields["path"], `${field}.path`, left);
  if (path === null && !isAbsent(fields["path"])) return [];
  const pathType = decodePathType(reader, fields["pathType"], `${field}.pathType`);
  if (pathType === null) return [];
  const problem = path === null || path === "" ? null : pathProblem(path, pathType);
  if (problem !== null) {
    reader.refuse(`${field}.path`, "InvalidPath", `${quote(path ?? "")} ${problem}`, left);
    return [];
  }
  if (path?.includes("%") === true) {
    const message = `${quote(path)} has a percent sign, but requests are matched by their decoded path`;
    reader.note("warning", `${field}.path`, "EncodedPath", [message, "write the characters themselves"]);
  }
  const backend = decodeBackend(reader, fields["backend"], `${field}.backend`, "the path");
  if (backend === null) return [];
  const isExact = pathType === "Exact";
  return [
    {
      field,
      path: path === null || path === "" ? "/" : path,
      pathType: isExact ? "Exact" : "Prefix",
      backend,
    },
  ];
}

type WrittenPathType = "Exact" | "Prefix" | "ImplementationSpecific";

function decodePathType(reader: FieldReader, value: unknown, field: string): WrittenPathType | null {
  if (isAbsent(value)) {
    const message = "found nothing, expected Exact, Prefix or ImplementationSpecific";
    reader.note("warning", field, "MissingField", [message, "it is read as Prefix"]);
    return "Prefix";
  }
  if (value === "Exact" || value === "Prefix" || value === "ImplementationSpecific") return value;
  reader.unexpected(field, value, "Exact, Prefix or ImplementationSpecific", "the path is left out");
  return null;
}

/** What is wrong with a path, in words that follow it; null when it is valid. */
function pathProblem(path: string, pathType: WrittenPathType): string | null {
  if (!path.startsWith("/")) return `does not begin with "/"`;
  if (/[\0-\x1f\x7f]/.test(path)) return "has a control character";
  if (pathType === "ImplementationSpecific") return null;
  // Requests are matched by their resolved path, which holds none of these.
  const never = /\/\/|\/\.{1,2}(?=\/|$)|%2f/i.exec(path);
  return never === null ? null : `has ${quote(never[0])}, which no request's resolved path has`;
}

/** Null when it cannot be used, which is then a finding. `noun`: what is left out for it. */
function decodeBackend(
  reader: FieldReader,
  value: unknown,
  field: string,
  noun: string,
): IngressBackend | null {
  const left = `${noun} is left out`;
  const backend = reader.fields(value, field, left);
  if (backend === null) {
    if (isAbsent(value)) reader.unexpected(field, value, "a map with a service", left);
    return null;
  }
  reader.unknownFields(backend, field, ["service", "resource"]);
  if (!isAbsent(backend["resource"]) && isAbsent(backend["service"])) {
    reader.note("error", `${field}.resource`, "ResourceBackend", [
      "resource backends are not supported, expected a service",
      left,
    ]);
    return null;
  }
  const service = reader.fields(backend["service"], `${field}.service`, left);
  if (service === null) {
    if (isAbsent(backend["service"])) {
      reader.unexpected(`${field}.service`, undefined, "a map with name and port", left);
    }
    return null;
  }
  const name = service["name"];
  if (typeof name !== "string" || !isDnsLabel(name)) {
    reader.unexpected(`${field}.service.name`, name, "the name of a Service", left);
    return null;
  }
  const port = decodePort(reader, service["port"], `${field}.service.port`, left);
  return port === null ? null : { field, service: name, port };
}

function decodePort(reader: FieldReader, value: unknown, field: string, left: string): string | null {
  const port = reader.fields(value, field, left);
  if (port === null) {
    if (isAbsent(value)) reader.unexpected(field, value, "a map with number or name", left);
    return null;
  }
  reader.unknownFields(port, field, ["number", "name"]);
  const { number, name } = port;
  // The API client of Go writes the one that is not set as its zero.
  const hasNumber = !isAbsent(number) && number !== 0;
  const hasName = !isAbsent(name) && name !== "";
  if (hasNumber === hasName) {
    const found = hasNumber ? "found both number and name" : "found neither number nor name";
    reader.refuse(field, "InvalidPort", `${found}, expected one of them`, left);
    return null;
  }
  if (hasNumber) {
    if (isPortNumber(number)) return String(number);
    reader.unexpected(`${field}.number`, number, "an integer from 1 to 65535 without quotes", left);
    return null;
  }
  if (typeof name === "string" && isPortName(name)) return name;
  reader.unexpected(`${field}.name`, name, "the name of a port", left);
  return null;
}

function decodeTls(reader: FieldReader, { fields, field }: Item): IngressTls {
  reader.unknownFields(fields, field, ["hosts", "secretName"]);
  const hosts = reader.texts(fields["hosts"], `${field}.hosts`).flatMap((item) => {
    const host = item.text.toLowerCase();
    const problem = hostProblem(host);
    if (problem === null) return [host];
    const message = `${quote(item.text)} ${problem}, expected a DNS name such as "a.example" or "*.example"`;
    reader.refuse(item.field, "InvalidHost", message, "the host is left out");
    return [];
  });
  const consequence = "the default certificate serves";
  const secretName = reader.text(fields["secretName"], `${field}.secretName`, consequence) ?? "";
  if (secretName === "" || isDnsSubdomain(secretName)) return { field, hosts, secretName };
  reader.unexpected(`${field}.secretName`, secretName, "the name of a Secret", consequence);
  return { field, hosts, secretName: "" };
}
