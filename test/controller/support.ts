// What several tests of the controller share.
import { expect } from "vitest";
import { compareRoutes, compareText } from "../../src/ir/order.ts";
import type { RoutingIr } from "../../src/ir/routing.ts";

/** The same items in an order that `seed` decides. */
export function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  let state = seed;
  const random = (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ item }) => item);
}

/** What every IR promises, whatever it was made of. */
export function expectWellFormed(ir: RoutingIr): void {
  expect(JSON.parse(JSON.stringify(ir))).toEqual(ir);
  const hosts = ir.virtualHosts.map((host) => host.host);
  expect(hosts).toEqual([...new Set(hosts)].sort(compareText));
  expect(hosts).toContain("");
  const ids = ir.upstreams.map((upstream) => upstream.id);
  expect(ids).toEqual([...new Set(ids)].sort(compareText));
  expect(ir.endpoints.map((each) => each.upstream)).toEqual(ids);
  const certificates = ir.certificates.map((certificate) => certificate.id);
  expect(certificates).toEqual([...new Set(certificates)].sort(compareText));

  const named = new Set<string>();
  const used = new Set<string>();
  for (const host of ir.virtualHosts) {
    expect(host.routes).toEqual([...host.routes].sort(compareRoutes));
    expect(new Set(host.routes.map((route) => `${route.pathType} ${route.path}`)).size).toBe(
      host.routes.length,
    );
    expect(host.routes.some((route) => route.path === "/" && route.pathType === "Prefix")).toBe(true);
    for (const id of host.certificates) used.add(id);
    for (const route of host.routes) {
      if (route.backend.kind === "upstream") named.add(route.backend.upstream);
      for (const alternative of route.alternatives) named.add(alternative.upstream);
    }
  }
  if (ir.defaultBackend !== null) named.add(ir.defaultBackend);
  if (ir.defaultCertificate !== null) used.add(ir.defaultCertificate);
  expect([...named].sort(compareText)).toEqual(ids);
  for (const id of used) expect(certificates).toContain(id);
  for (const { addresses } of ir.endpoints) {
    const keys = addresses.map((each) => `${each.address} ${each.port}`);
    expect(new Set(keys).size).toBe(keys.length);
    expect(addresses).toEqual(
      [...addresses].sort((a, b) => compareText(a.address, b.address) || a.port - b.port),
    );
  }
}
