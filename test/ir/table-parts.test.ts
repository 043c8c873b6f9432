import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareText } from "../../src/ir/order.ts";
import type { RoutingIr } from "../../src/ir/routing.ts";
import { TableParts } from "../../src/ir/table-parts.ts";
import { endpointsTo, irTo } from "../proxy/harness.ts";

/** Tables of a few hosts and upstreams, so that two of them have much in common. */
const tables = fc
  .record({
    hosts: fc.uniqueArray(fc.constantFrom("a.example", "b.example", "*.c.example"), { maxLength: 3 }),
    upstreams: fc.uniqueArray(fc.constantFrom("n/a/80", "n/b/80", "n/c/http"), { maxLength: 3 }),
    port: fc.constantFrom(8080, 9090),
    isTls: fc.boolean(),
    hasDefault: fc.boolean(),
  })
  .map(({ hosts, upstreams, port, isTls, hasDefault }): RoutingIr => {
    const [template] = irTo([port]).virtualHosts;
    const ids = upstreams.toSorted(compareText);
    return {
      virtualHosts: ["", ...hosts].toSorted(compareText).map((host) => ({ ...template!, host, isTls })),
      upstreams: ids.map((id) => ({ id, namespace: "n", service: "a", port: "80" })),
      endpoints: ids.map((upstream) => ({ ...endpointsTo([port]), upstream })),
      certificates: [],
      defaultCertificate: null,
      defaultBackend: hasDefault ? (ids[0] ?? null) : null,
    };
  });

describe("a difference", () => {
  test("makes one table of another, over a message", () => {
    fc.assert(
      fc.property(fc.array(tables, { minLength: 1, maxLength: 5 }), (all) => {
        const [sender, receiver] = [new TableParts(), new TableParts()];
        for (const ir of all) {
          const delta = sender.differenceTo(ir);
          sender.apply(delta);
          receiver.apply(structuredClone(delta));
          expect(receiver.toIr()).toEqual(ir);
        }
        expect(new TableParts().differenceTo(sender.toIr()).virtualHosts.changed).toEqual(
          all.at(-1)?.virtualHosts,
        );
      }),
    );
  });

  test("holds what has changed and nothing else", () => {
    const parts = new TableParts();
    const before = irTo([1], [], "a.example");
    parts.apply(parts.differenceTo(before));
    const after = irTo([2], [], "b.example");
    const delta = parts.differenceTo(after);
    expect(delta.virtualHosts.changed.map(({ host }) => host)).toEqual(["b.example"]);
    expect(delta.virtualHosts.removed).toEqual(["a.example"]);
    expect(delta.upstreams).toEqual({ changed: [], removed: [] });
    expect(delta.endpoints.changed).toEqual([endpointsTo([2])]);
  });

  test("of endpoints keeps those of upstreams that are there", () => {
    const parts = new TableParts();
    parts.apply(parts.differenceTo(irTo([1])));
    parts.setEndpoints([endpointsTo([2]), { ...endpointsTo([3]), upstream: "n/gone/80" }]);
    expect(parts.toIr().endpoints).toEqual([endpointsTo([2])]);
  });
});
