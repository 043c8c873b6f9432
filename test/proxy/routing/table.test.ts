import { describe, expect, test } from "vitest";
import type { RoutingIr } from "../../../src/ir/routing.ts";
import type { FeatureRuntime, FeatureRuntimes } from "../../../src/proxy/filter.ts";
import { decide } from "../../../src/proxy/routing/decide.ts";
import { defaultRouteSettings } from "../../../src/proxy/routing/compile-host.ts";
import { compile, withEndpoints } from "../../../src/proxy/routing/table.ts";
import { request, route, routingIr } from "./ir-builder.ts";

const runtimes = (list: Readonly<Record<string, FeatureRuntime<unknown>>>): FeatureRuntimes =>
  new Map(Object.entries(list));

const throwing: FeatureRuntime<unknown> = {
  createFilter: () => {
    throw new Error("a bug");
  },
};

const fields = (...list: readonly (readonly [string, string, boolean?])[]): FeatureRuntime<unknown> => ({
  createFilter: () => ({
    responseFields: list.map(([name, value, onlyOverTls = false]) => ({ name, value, onlyOverTls })),
  }),
});

const features = (...names: readonly string[]) => names.map((feature) => ({ feature, config: null }));

describe("compile", () => {
  test("grows the generation by one", () => {
    const ir = routingIr({ hosts: {} });
    const first = compile(ir, new Map(), null);
    expect(first.generation).toBe(1);
    expect(compile(ir, new Map(), first).generation).toBe(2);
  });

  test("leaves the IR as it is, and does not depend on the previous snapshot", () => {
    const ir = routingIr({ hosts: { "a.example": [route("Prefix /a"), route("Exact /b")] } });
    const before = structuredClone(ir);
    const first = compile(ir, new Map(), null);
    const second = compile(ir, new Map(), first);
    expect(ir).toEqual(before);
    expect(second.table).toEqual(first.table);
  });

  test("gives every host a root and the table a catch-all, even if the IR has none", () => {
    const ir: RoutingIr = { ...routingIr({ hosts: { "a.example": [route("Prefix /a")] } }) };
    const { table } = compile({ ...ir, virtualHosts: ir.virtualHosts.slice(1) }, new Map(), null);
    expect(table.catchAll.root).toMatchObject({ path: "/", isImplicit: true, upstream: -1 });
    expect(table.exactHosts.get("a.example")?.root).toMatchObject({ isImplicit: true });
    expect(table.problems).toEqual([]);
  });

  test("lets features change the settings of their route only", () => {
    const apply: FeatureRuntime<unknown> = {
      apply: (settings, config) => {
        settings.readTimeoutMs = config as number;
      },
    };
    const hosts = {
      "": [route("Prefix /a", { features: [{ feature: "time", config: 7 }] }), route("Prefix /b")],
    };
    const { catchAll } = compile(routingIr({ hosts }), runtimes({ time: apply }), null).table;
    expect(catchAll.routes.map(({ settings }) => settings)).toEqual([
      { ...defaultRouteSettings, readTimeoutMs: 7 },
      defaultRouteSettings,
      defaultRouteSettings,
    ]);
  });

  test("passes the route to its filters", () => {
    const seen: unknown[] = [];
    const spy: FeatureRuntime<unknown> = {
      createFilter: (config, route) => {
        seen.push({ config, ...route });
        return null;
      },
    };
    const hosts = { "*.a.example": [route("Exact /x/", { features: [{ feature: "spy", config: 1 }] })] };
    compile(routingIr({ hosts, tlsHosts: ["*.a.example"] }), runtimes({ spy }), null);
    expect(seen).toEqual([{ config: 1, host: "*.a.example", path: "/x/", pathType: "Exact", isTls: true }]);
  });

  test("finds the endpoints of an upstream whatever their order", () => {
    const ir = routingIr({ hosts: { "": [route("Prefix /a"), route("Prefix /b"), route("Prefix /c")] } });
    const { endpoints, table } = compile(
      { ...ir, endpoints: ir.endpoints.toReversed().slice(1) },
      new Map(),
      null,
    );
    expect(endpoints.map(({ upstream }) => upstream)).toEqual(
      table.upstreams.map((upstream) => upstream?.id),
    );
    expect(endpoints.map(({ addresses }) => addresses.length)).toEqual([1, 1, 0]);
  });

  test("the first of two equal routes serves, and the other one is a problem", () => {
    const hosts = {
      "": [route("Prefix /a", { upstream: "first" }), route("Prefix /a", { upstream: "second" })],
    };
    const snapshot = compile(routingIr({ hosts }), new Map(), null);
    expect(decide(snapshot, request("/a"))).toMatchObject({ upstream: 0 });
    expect(snapshot.table.problems).toEqual(["route  /a Prefix: declared twice; the first one serves"]);
  });
});

describe("what cannot be compiled", () => {
  test.each([
    ["a filter that throws", features("throwing"), "a bug"],
    ["a feature without runtime", features("unheard-of"), 'there is no feature "unheard-of"'],
    ["a selector among the filters", features("selector"), "is not one of routes"],
    ["a field name that is no token", features("bad-name"), "is not a lower-case field name"],
    ["a field name in upper case", features("upper"), "is not a lower-case field name"],
    ["a field value with a line feed", features("bad-value"), "characters that no field may have"],
    ["a field value that latin1 makes a line feed", features("wide"), "characters that no field may have"],
    ["a field that frames the message", features("framing"), "is the proxy's own"],
  ])("%s closes its route and nothing else", (_name, list, reason) => {
    const hosts = { "": [route("Prefix /bad", { features: list }), route("Prefix /good")] };
    const snapshot = compile(
      routingIr({ hosts }),
      runtimes({
        throwing,
        selector: { createSelector: () => ({ rules: [], share: 0 }) },
        "bad-name": fields(["a b", "x"]),
        upper: fields(["X-A", "x"]),
        "bad-value": fields(["x-a", "b\r\nc: d"]),
        wide: fields(["x-a", "b\u010a"]),
        framing: fields(["content-length", "1"]),
      }),
      null,
    );
    const refused = decide(snapshot, request("/bad"));
    expect(refused).toMatchObject({ kind: "refuse", code: "routeDenied" });
    expect(refused.route.denied).toContain(reason);
    expect(refused.route.id).toBe(" /bad Prefix");
    expect(decide(snapshot, request("/good")).kind).toBe("forward");
    expect(snapshot.table.problems).toHaveLength(1);
    expect(snapshot.table.problems[0]).toContain(reason);
  });

  test("a route to an upstream that is not there answers 503", () => {
    const ir = routingIr({ hosts: { "": [route("Prefix /a"), route("Prefix /b")] } });
    const snapshot = compile({ ...ir, upstreams: ir.upstreams.slice(1) }, new Map(), null);
    expect(decide(snapshot, request("/a"))).toMatchObject({ code: "routeDenied" });
    expect(decide(snapshot, request("/b")).kind).toBe("forward");
  });

  test("an alternative is left out, and the primary backend serves", () => {
    const alternatives = [
      { upstream: "c0", features: features("broken") },
      { upstream: "c1", features: [] },
      { upstream: "c2", features: features("whole") },
    ];
    const hosts = { "": [route("Prefix /", { upstream: "p", alternatives })] };
    const broken: FeatureRuntime<unknown> = {
      createSelector: () => {
        throw new Error("a bug");
      },
    };
    const whole: FeatureRuntime<unknown> = { createSelector: () => ({ rules: [], share: 0 }) };
    const { table } = compile(routingIr({ hosts }), runtimes({ broken, whole }), null);
    expect(table.catchAll.root.alternatives.map(({ ingress }) => ingress.name)).toEqual(["c2"]);
    expect(table.catchAll.root.denied).toBeNull();
    expect(table.problems).toEqual([
      "route  / Prefix, alternative c0: a bug; left out",
      "route  / Prefix, alternative c1: no feature says which requests it gets; left out",
    ]);
  });
});

describe("response fields", () => {
  const editsOf = (...names: readonly string[]) => {
    const hosts = { "": [route("Prefix /", { features: features(...names) })] };
    const list = runtimes({
      a: fields(["x-a", "1"], ["x-b", "2", true]),
      b: fields(["x-b", "3"]),
      twice: fields(["set-cookie", "a=1"], ["set-cookie", "b=2"]),
      latin1: fields(["x-c", "caf\u00e9\tx"]),
    });
    return compile(routingIr({ hosts }), list, null).table.catchAll.root;
  };

  test("are written out for both kinds of connection", () => {
    const { responseFields, responseFieldsOverTls } = editsOf("a");
    expect(responseFields).toEqual({ names: ["x-a"], lines: "x-a: 1\r\n" });
    expect(responseFieldsOverTls).toEqual({ names: ["x-a", "x-b"], lines: "x-a: 1\r\nx-b: 2\r\n" });
  });

  test("of a later filter replace those of an earlier one", () => {
    expect(editsOf("a", "b").responseFieldsOverTls.lines).toBe("x-a: 1\r\nx-b: 3\r\n");
  });

  test("may repeat within one filter, and hold what RFC 9110 allows", () => {
    expect(editsOf("twice", "latin1").responseFields.lines).toBe(
      "set-cookie: a=1\r\nset-cookie: b=2\r\nx-c: caf\u00e9\tx\r\n",
    );
  });

  test("are empty without filters", () => {
    expect(editsOf().responseFields).toEqual({ names: [], lines: "" });
  });
});

describe("withEndpoints", () => {
  const ir = routingIr({ hosts: { "": [route("Prefix /a"), route("Prefix /b")] }, empty: ["Prefix /a"] });
  const before = compile(ir, new Map(), null);
  const addresses = [{ address: "10.0.0.9", port: 81, weight: 1 }];
  const after = withEndpoints(before, [
    { upstream: "Prefix /a", addresses, dns: null },
    { upstream: "unknown", addresses, dns: null },
  ]);

  test("replaces the entries and shares the table", () => {
    expect(after.generation).toBe(before.generation + 1);
    expect(after.table).toBe(before.table);
    expect(after.endpoints).toHaveLength(2);
    expect(after.endpoints[1]).toBe(before.endpoints[1]);
    expect(decide(after, request("/a")).kind).toBe("forward");
  });

  test("leaves the snapshot before it as it was", () => {
    expect(decide(before, request("/a"))).toMatchObject({ code: "noEndpoints", upstream: 0 });
  });
});

test("compiles 5,000 hosts with 4 routes in well under a second", () => {
  const hosts = Object.fromEntries(
    Array.from({ length: 5_000 }, (_, index) => [
      `h${index}.example`,
      ["/", "/a", "/b", "/c"].map((path) => route(`Prefix ${path}`, { features: features("a") })),
    ]),
  );
  const ir = routingIr({ hosts });
  const start = performance.now();
  const { table } = compile(ir, runtimes({ a: fields(["x-a", "1"]) }), null);
  // Measured at 0.1 s; the rest is for slow machines.
  expect(performance.now() - start).toBeLessThan(1_000);
  expect(table.exactHosts.size).toBe(5_000);
});
