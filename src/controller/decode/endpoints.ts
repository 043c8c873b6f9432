// EndpointSlice (discovery.k8s.io/v1) and Endpoints (v1). A broken address or port loses itself only.
import { parseAddress } from "../../util/addresses.ts";
import { isPortNumber } from "../names.ts";
import type {
  EndpointPort,
  EndpointsObject,
  EndpointSliceObject,
  EndpointsSubset,
  ObjectMeta,
  SliceEndpoint,
} from "../objects.ts";
import { isAbsent, type FieldReader, type Fields } from "./reader.ts";

const serviceLabel = "kubernetes.io/service-name";

type AddressType = EndpointSliceObject["addressType"];

export function decodeEndpointSlice(
  reader: FieldReader,
  value: Fields,
  meta: ObjectMeta,
): EndpointSliceObject {
  const { addressType } = value;
  const isKnown = addressType === "IPv4" || addressType === "IPv6" || addressType === "FQDN";
  if (!isKnown) {
    reader.unexpected("addressType", addressType, "IPv4, IPv6 or FQDN", "the slice has no endpoints");
  }
  const endpoints = isKnown ? reader.items(value["endpoints"], "endpoints", "endpoint") : [];
  return {
    kind: "EndpointSlice",
    meta,
    service: meta.labels.get(serviceLabel) ?? "",
    addressType: isKnown ? addressType : "IPv4",
    endpoints: endpoints.map((item) => decodeEndpoint(reader, item, isKnown ? addressType : "IPv4")),
    ports: decodePorts(reader, value["ports"], "ports"),
  };
}

interface Item {
  readonly fields: Fields;
  readonly field: string;
}

function decodeEndpoint(reader: FieldReader, { fields, field }: Item, type: AddressType): SliceEndpoint {
  const conditions =
    reader.fields(fields["conditions"], `${field}.conditions`, "the endpoint counts as ready") ?? {};
  const condition = (name: string): boolean | null =>
    reader.boolean(conditions[name], `${field}.conditions.${name}`);
  const isReady = condition("ready") ?? true;
  const addresses = reader
    .texts(fields["addresses"], `${field}.addresses`)
    .filter((item) => isAddressOf(reader, item.text, item.field, type));
  const hints = reader.fields(fields["hints"], `${field}.hints`, "the endpoint is for every zone") ?? {};
  const names = (list: string): readonly string[] =>
    isAbsent(hints[list]) ? noNames : decodeNames(reader, hints[list], `${field}.hints.${list}`);
  return {
    field,
    addresses: addresses.map((item) => item.text),
    isReady,
    // The API says to fall back to `ready` where `serving` is absent.
    isServing: condition("serving") ?? isReady,
    isTerminating: condition("terminating") ?? false,
    zones: names("forZones"),
    nodes: names("forNodes"),
  };
}

const noNames: readonly string[] = [];

function decodeNames(reader: FieldReader, value: unknown, field: string): readonly string[] {
  return reader.items(value, field, "hint").flatMap((item) => {
    const name = reader.text(item.fields["name"], `${item.field}.name`, "the hint is left out");
    return name === null ? [] : [name];
  });
}

function isAddressOf(reader: FieldReader, text: string, field: string, type: AddressType): boolean {
  const length = { IPv4: 4, IPv6: 16, FQDN: -1 }[type];
  if (length < 0 || parseAddress(text)?.length === length) return true;
  reader.unexpected(field, text, `an ${type} address`, "the address is left out");
  return false;
}

export function decodeEndpoints(reader: FieldReader, value: Fields, meta: ObjectMeta): EndpointsObject {
  const subsets = reader
    .items(value["subsets"], "subsets", "subset")
    .map(({ fields, field }): EndpointsSubset => {
      const addresses = reader.items(fields["addresses"], `${field}.addresses`, "address").flatMap((item) => {
        const address = item.fields["ip"];
        if (typeof address === "string" && parseAddress(address) !== null)
          return [{ field: item.field, address }];
        reader.unexpected(`${item.field}.ip`, address, "an IPv4 or IPv6 address", "the address is left out");
        return [];
      });
      return { field, addresses, ports: decodePorts(reader, fields["ports"], `${field}.ports`) };
    });
  return { kind: "Endpoints", meta, subsets };
}

function decodePorts(reader: FieldReader, value: unknown, field: string): readonly EndpointPort[] {
  return reader.items(value, field, "port").flatMap((item): EndpointPort[] => {
    const port = item.fields["port"];
    const name = reader.text(item.fields["name"], `${item.field}.name`, "the port has no name") ?? "";
    const protocol =
      reader.text(item.fields["protocol"], `${item.field}.protocol`, "it is read as TCP") ?? "TCP";
    if (isAbsent(port)) return [{ name, port: null, protocol }];
    if (isPortNumber(port)) return [{ name, port, protocol }];
    const expected = "an integer from 1 to 65535 without quotes";
    reader.unexpected(`${item.field}.port`, port, expected, "the port is left out");
    return [];
  });
}
