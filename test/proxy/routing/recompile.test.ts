import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareText } from "../../../src/ir/order.ts";
import type { RouteIr, RoutingIr } from "../../../src/ir/routing.ts";
import { TableParts, wholeTable } from "../../../src/ir/table-parts.ts";
import type { FeatureRuntime, FeatureRuntimes } from "../../../src/proxy/filter.ts";
import type { Snapshot, VirtualHost } from "../../../src/proxy/routing/snapshot.ts";
import { compile, recompile } from "../../../src/proxy/routing/table.ts";
import { route, routingIr } from "./ir-builder.ts";

describe("a change of a table", () => {
  /** Tables that have much in common; some routes name an upstream or a certificate that is not there. */
  const upstreamIds = ["n/a/80", "n/b/80", "n/c/80"] as const;
  const anyRoute = fc
    .record({
      path: fc.constantFrom("/", "/a", "/a/"),
      pathType: fc.constantFrom("Exact" as const, "Prefix" as const),
      upstream: fc.constantFrom(...upstreamIds),
      canary: fc.option(fc.constantFrom(...upstreamIds), { nil: null }),
      feature: fc.constantFrom("whole", "broken", "missing"),
    })
    .map(({ path, pathType, upstream, canary, feature }): RouteIr => ({
      path,
      pathType,
      ingress: null,
      isImplicit: false,
      backend: { kind: "upstream", upstream },
      alternatives:
        canary === null
          ? []
          : [
              {
                upstream: canary,
                ingress: { kind: "Ingress", namespace: "n", name: "c" },
                features: [{ feature: "select", config: {} }],
              },
            ],
      features: [{ feature, config: {} }],
      denied: null,
    }));
  const anyTable = fc
    .record({
      hosts: fc.uniqueArray(
        fc.record({
          host: fc.constantFrom("", "a.example", "b.example", "*.b.example"),
          isTls: fc.boolean(),
          certificates: fc.subarray(["c1", "c2"]),
          routes: fc.uniqueArray(anyRoute, { maxLength: 3, selector: (each) => each.pathType + each.path }),
        }),
        { maxLength: 4, selector: ({ host }) => host },
      ),
      ids: fc.subarray([...upstreamIds]),
      port: fc.constantFrom(1, 2),
      certificates: fc.subarray(["c1", "c2"]),
      secret: fc.constantFrom("s1", "s2"),
      hasDefaults: fc.boolean(),
      settings: fc.constantFrom("known", "missing"),
    })
    .map((each): RoutingIr => ({
      virtualHosts: each.hosts.toSorted((a, b) => compareText(a.host, b.host)),
      upstreams: each.ids.map((id) => ({
        id,
        namespace: "n",
        service: id,
        port: "80",
        features: [{ feature: each.settings, config: {} }],
      })),
      endpoints: each.ids.map((upstream) => ({
        upstream,
        addresses: [{ address: "10.0.0.1", port: each.port, weight: 1 }],
        dns: null,
      })),
      certificates: each.certificates.map((id) => ({
        id,
        secret: { kind: "Secret", namespace: "n", name: each.secret },
        chain: "",
        key: "",
        keyType: "ec",
        names: [],
        notAfter: "",
      })),
      defaultCertificate: each.hasDefaults ? (each.certificates[0] ?? null) : null,
      defaultBackend: each.hasDefaults ? (each.ids[0] ?? null) : null,
    }));
  const features: FeatureRuntimes = new Map<string, FeatureRuntime<unknown>>([
    ["whole", { apply: (settings) => void (settings.readTimeoutMs = 7) }],
    [
      "broken",
      {
        apply: () => {
          throw new Error("broken");
        },
      },
    ],
    ["select", { createSelector: () => ({ rules: [], share: 0, chooses: () => null }) as never }],
    ["known", { applyUpstream: (settings) => void (settings.policy = "ewma") }],
  ]);
  /** What a snapshot means, with upstreams by name: their indexes depend on the history. */
  const meaning = ({ table, endpoints }: Snapshot): unknown => {
    const name = (index: number): string | null => table.upstreams[index]?.id ?? null;
    const hostOf = (host: VirtualHost): unknown => ({
      ...host,
      ir: host.host,
      exactPaths: [...host.exactPaths.keys()].sort(),
      prefixPaths: [...host.prefixPaths.keys()].sort(),
      root: host.root.id,
      routes: host.routes.map((route) => ({
        ...route,
        filters: route.filters.length,
        upstream: name(route.upstream),
        alternatives: route.alternatives.map((alternative) => name(alternative.upstream)),
      })),
    });
    const all = [...table.exactHosts.values(), ...table.wildcardHosts.values(), table.catchAll];
    return {
      hosts: all.map(hostOf).sort((a, b) => compareText(JSON.stringify(a), JSON.stringify(b))),
      upstreams: table.upstreams
        .map((upstream, index) => upstream && [upstream, table.upstreamSettings[index], endpoints[index]])
        .filter((each) => each !== null)
        .sort((a, b) => compareText(JSON.stringify(a), JSON.stringify(b))),
      indexes: [...table.upstreamIndexes].every(([id, index]) => table.upstreams[index]?.id === id),
      count: table.upstreamIndexes.size,
      defaultBackend: name(table.defaultBackend),
      certificates: [...table.certificates.values()].sort((a, b) => compareText(a.id, b.id)),
      defaultCertificate: table.defaultCertificate,
      problems: table.problems.toSorted(),
    };
  };

  test("leads to what the whole table compiles to, whatever came before", () => {
    fc.assert(
      fc.property(fc.array(anyTable, { minLength: 2, maxLength: 6 }), (tables) => {
        const parts = new TableParts();
        let snapshot: Snapshot | null = null;
        for (const ir of tables) {
          const delta = parts.differenceTo(ir);
          parts.apply(delta);
          snapshot = snapshot === null ? compile(ir, features, null) : recompile(snapshot, delta, features);
          expect(meaning(snapshot)).toEqual(meaning(compile(ir, features, null)));
        }
      }),
      { numRuns: 300 },
    );
  });

  test("compiles the hosts in it and no other one", () => {
    const before = compile(
      routingIr({ hosts: { "a.example": [route("Prefix /")], "b.example": [route("Prefix /")] } }),
      new Map(),
      null,
    );
    const parts = new TableParts();
    parts.apply(
      wholeTable(
        routingIr({ hosts: { "a.example": [route("Prefix /")], "b.example": [route("Prefix /")] } }),
      ),
    );
    const delta = parts.differenceTo(
      routingIr({
        hosts: { "a.example": [route("Prefix /"), route("Exact /x")], "b.example": [route("Prefix /")] },
      }),
    );
    const after = recompile(before, delta, new Map());
    expect(after.generation).toBe(before.generation + 1);
    expect(after.table.exactHosts.get("b.example")).toBe(before.table.exactHosts.get("b.example"));
    expect(after.table.exactHosts.get("a.example")?.routes).toHaveLength(2);
    expect(before.table.exactHosts.get("a.example")?.routes).toHaveLength(1);
  });
});
