// The addresses under which clients reach us, as `status.loadBalancer.ingress` of an Ingress has them, and where they
// are found in other objects: the rules of ingress-nginx. What the API server would refuse is left out.
import { parseAddress } from "../../util/addresses.ts";
import { isFields, type Fields } from "../decode/reader.ts";
import { isDnsSubdomain } from "../names.ts";

/** One of the two may be empty, not both. */
export interface PublishedAddress {
  readonly ip: string;
  readonly hostname: string;
}

export type Addresses = readonly PublishedAddress[];

/** Null: it is neither an IP address nor a DNS name. */
export function publishedAddress(text: string): PublishedAddress | null {
  if (parseAddress(text) !== null) return { ip: text, hostname: "" };
  const hostname = text.replace(/\.$/, "").toLowerCase();
  return isDnsSubdomain(hostname) ? { ip: "", hostname } : null;
}

/** By IP address and name, each once, so that lists can be compared. */
export function sortAddresses(addresses: Iterable<PublishedAddress>): Addresses {
  const unique = new Map([...addresses].map((each) => [addressText(each), each]));
  return [...unique].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, each]) => each);
}

/** For people and comparisons; empty when there are none. */
export function addressesText(sorted: Addresses): string {
  return sorted.map(addressText).join(", ");
}

function addressText({ ip, hostname }: PublishedAddress): string {
  return ip !== "" && hostname !== "" ? `${ip} (${hostname})` : `${ip}${hostname}`;
}

/** Of a Service or an Ingress: what its `status.loadBalancer` says. */
export function loadBalancerAddresses(object: unknown): Addresses {
  const { ingress } = fieldsOf(fieldsOf(fieldsOf(object)["status"])["loadBalancer"]);
  return sortAddresses(
    itemsOf(ingress).flatMap((item) => {
      const { ip, hostname } = fieldsOf(item);
      const address = { ip: textOf(ip), hostname: textOf(hostname) };
      return address.ip === "" && address.hostname === "" ? [] : [address];
    }),
  );
}

/** Those of the Service that stands in front of us. */
export function serviceAddresses(service: unknown): Addresses {
  const spec = fieldsOf(fieldsOf(service)["spec"]);
  // A headless one has the word None there.
  const clusterAddress = addressesOf([spec["clusterIP"]]).filter(({ ip }) => ip !== "");
  const external = addressesOf(itemsOf(spec["externalIPs"])).filter(({ ip }) => ip !== "");
  switch (spec["type"]) {
    case "ExternalName":
      return addressesOf([spec["externalName"]]);
    case "LoadBalancer": {
      const balancer = loadBalancerAddresses(service);
      const known = new Set(balancer.map(({ ip }) => ip));
      return sortAddresses([...balancer, ...external.filter(({ ip }) => !known.has(ip))]);
    }
    case "NodePort":
      return external.length > 0 ? external : clusterAddress;
    default:
      return clusterAddress;
  }
}

/** External ones, or internal ones when there are none or they are preferred. */
export function nodeAddresses(node: unknown, prefersInternal: boolean): Addresses {
  const { addresses } = fieldsOf(fieldsOf(node)["status"]);
  const ofType = (wanted: string): Addresses =>
    addressesOf(
      itemsOf(addresses).flatMap((item) => {
        const { type, address } = fieldsOf(item);
        return type === wanted ? [address] : [];
      }),
    ).filter(({ ip }) => ip !== "");
  const external = prefersInternal ? [] : ofType("ExternalIP");
  return external.length > 0 ? external : ofType("InternalIP");
}

function addressesOf(values: readonly unknown[]): Addresses {
  return sortAddresses(values.flatMap((value) => publishedAddress(textOf(value)) ?? []));
}

export function fieldsOf(value: unknown): Fields {
  return isFields(value) ? value : {};
}

export function itemsOf(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

export function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
