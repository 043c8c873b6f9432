// Service (v1). A broken port loses itself only.
import { isPortNumber } from "../names.ts";
import type { ObjectMeta, ServiceObject, ServicePort } from "../objects.ts";
import { isAbsent, type FieldReader, type Fields } from "./reader.ts";

const topologyAnnotation = "service.kubernetes.io/topology-mode";

const distributions: ReadonlySet<string> = new Set(["", "PreferSameZone", "PreferClose", "PreferSameNode"]);

export function decodeService(reader: FieldReader, value: Fields, meta: ObjectMeta): ServiceObject {
  const spec = reader.fields(value["spec"], "spec", "the Service has no ports") ?? {};
  const type = reader.text(spec["type"], "spec.type", "it is read as ClusterIP") ?? "ClusterIP";
  const isExternalName = type === "ExternalName";
  const left = "requests to it are answered with 503";
  const externalName = isExternalName
    ? (reader.text(spec["externalName"], "spec.externalName", left) ?? "")
    : "";
  if (isExternalName && isAbsent(spec["externalName"])) {
    reader.unexpected("spec.externalName", undefined, "a host name", left);
  }
  const ports = reader.items(spec["ports"], "spec.ports", "port").flatMap(({ fields, field }) => {
    const port = decodeServicePort(reader, fields, field);
    return port === null ? [] : [port];
  });
  const all = "its endpoints are used alike";
  const trafficDistribution = reader.text(spec["trafficDistribution"], "spec.trafficDistribution", all) ?? "";
  if (!distributions.has(trafficDistribution)) {
    const message = `found ${reader.describe(trafficDistribution)}, expected PreferSameZone, PreferClose or PreferSameNode`;
    reader.note("warning", "spec.trafficDistribution", "UnsupportedValue", [message, all]);
  }
  const topologyMode = meta.annotations.get(topologyAnnotation) ?? "";
  return { kind: "Service", meta, isExternalName, externalName, ports, trafficDistribution, topologyMode };
}

function decodeServicePort(reader: FieldReader, fields: Fields, field: string): ServicePort | null {
  const left = "the port is left out";
  const { port, targetPort } = fields;
  if (!isPortNumber(port)) {
    reader.unexpected(`${field}.port`, port, "an integer from 1 to 65535 without quotes", left);
    return null;
  }
  const name = reader.text(fields["name"], `${field}.name`, "the port has no name") ?? "";
  const protocol = decodeProtocol(reader, fields["protocol"], `${field}.protocol`);
  // 0 and "" are how the API client of Go writes an absent value.
  if (isAbsent(targetPort) || targetPort === "" || targetPort === 0) {
    return { name, port, targetPort: port, protocol };
  }
  if (isPortNumber(targetPort) || typeof targetPort === "string") return { name, port, targetPort, protocol };
  reader.unexpected(`${field}.targetPort`, targetPort, "a port number or the name of a container port", left);
  return null;
}

function decodeProtocol(reader: FieldReader, value: unknown, field: string): string {
  if (isAbsent(value)) return "TCP";
  if (value === "TCP" || value === "UDP" || value === "SCTP") return value;
  reader.unexpected(field, value, "TCP, UDP or SCTP", "it is read as TCP");
  return "TCP";
}
