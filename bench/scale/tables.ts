// The same table for Fairway and for nginx: so many hosts, routes of one host, or endpoints of one Service. Pure.
import { endpointSlicesOf, ingress, ingressClass, service, toYaml, type Manifest } from "../lib/manifests.ts";
import type { LoadRequest } from "../lib/load.ts";
import { nginxBackend, nginxProcess } from "../lib/peers/native.ts";

export const DIMENSIONS = ["hosts", "routes", "endpoints", "connections"] as const;
export type Dimension = (typeof DIMENSIONS)[number];

/** What a proxy is made for. Connections are the load's, and leave the table as it is at its smallest. */
export interface Size {
  readonly hosts: number;
  readonly routes: number;
  readonly endpoints: number;
}

export function sizeOf(dimension: Dimension, count: number): Size {
  const smallest = { hosts: 1, routes: 1, endpoints: 1 };
  return dimension === "connections" ? smallest : { ...smallest, [dimension]: count };
}

const INGRESS_PATHS = 100;

const hostOf = (index: number): string => `h${index}.example`;
const pathOf = (index: number): string => `/team-${index % 100}/service-${index}`;

/** All of them reach a backend that listens on every address. */
export function addressesOf(count: number): string[] {
  return Array.from(
    { length: count },
    (_, i) => `127.${1 + Math.floor(i / 62_500)}.${1 + (Math.floor(i / 250) % 250)}.${1 + (i % 250)}`,
  );
}

function range(count: number): number[] {
  return Array.from({ length: count }, (_, i) => i);
}

/** Every host and route in turn, `count` in all. */
export function requestsFor({ hosts, routes }: Size, count: number): LoadRequest[] {
  return range(count).map((i) => ({ host: hostOf(i % hosts), path: pathOf(i % routes) }));
}

export function manifestsFor({ hosts, routes, endpoints }: Size, backendPort: number): string {
  const routing: Manifest[] = range(hosts).flatMap((host) =>
    range(Math.ceil(routes / INGRESS_PATHS)).map((part) =>
      ingress({
        name: `web-${host}-${part}`,
        host: hostOf(host),
        path: range(routes)
          .slice(part * INGRESS_PATHS, (part + 1) * INGRESS_PATHS)
          .map(pathOf),
        service: "backend",
      }),
    ),
  );
  const slices = endpointSlicesOf("backend", backendPort, addressesOf(endpoints));
  return toYaml(ingressClass(), service("backend"), ...slices, ...routing);
}

export function nginxFor(
  { hosts, routes, endpoints }: Size,
  options: { readonly port: number; readonly backendPort: number; readonly directory: string },
): string {
  const { port, backendPort, directory } = options;
  const locations = range(routes).map((i) => `location ${pathOf(i)} { proxy_pass http://backend; }`);
  const servers = range(hosts).map(
    (i) =>
      `server { listen 127.0.0.1:${port}${i === 0 ? " backlog=4096" : ""}; server_name ${hostOf(i)}; ${locations.join("\n")} }`,
  );
  const backends = addressesOf(endpoints).map((address) => `server ${address}:${backendPort};`);
  return nginxProcess(
    directory,
    32_768,
    `
  server_names_hash_max_size 65536;
  server_names_hash_bucket_size 128;${nginxBackend(backends)}
  ${servers.join("\n  ")}`,
  );
}
