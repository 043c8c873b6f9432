import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { RouteIr } from "../../../src/ir/routing.ts";
import { Verdict, type FeatureRuntimes, type Filter, type RequestView } from "../../../src/proxy/filter.ts";
import { decide } from "../../../src/proxy/routing/decide.ts";
import type { Decision, TraceStep } from "../../../src/proxy/routing/snapshot.ts";
import { compile, withEndpoints } from "../../../src/proxy/routing/table.ts";
import { request, route, routingIr, type IrOptions, type RequestOptions } from "./ir-builder.ts";

interface SelectorConfig {
  readonly rules: readonly (keyof typeof Verdict | null)[];
  readonly share: number;
}

const runtimes: FeatureRuntimes = new Map([
  [
    "answer",
    {
      createFilter: (config: unknown): Filter => ({
        answer: (request: RequestView) =>
          request.field("ask") === config ? { status: 418, fields: [], reason: String(config) } : null,
      }),
    },
  ],
  [
    "select",
    {
      createSelector: (config: unknown) => {
        const { rules, share } = config as SelectorConfig;
        return {
          share,
          rules: rules.map((name, index) =>
            name === null ? null : { description: `rule ${index}`, judge: () => Verdict[name] },
          ),
        };
      },
    },
  ],
]);

function snapshotOf(options: IrOptions) {
  return compile(routingIr(options), runtimes, null);
}

function decideFor(options: IrOptions, url: string, requestOptions?: RequestOptions): Decision {
  return decide(snapshotOf(options), request(url, requestOptions));
}

/** The upstream that a request is forwarded to, or what happens instead. */
function outcome(options: IrOptions, url: string, requestOptions?: RequestOptions): string {
  const snapshot = snapshotOf(options);
  const decision = decide(snapshot, request(url, requestOptions));
  if (decision.kind === "forward") return snapshot.table.upstreams[decision.upstream]?.id ?? "?";
  return decision.kind === "answer" ? String(decision.answer.status) : decision.code;
}

const hostWith = (...routes: readonly string[]): IrOptions => ({
  hosts: { "a.example": routes.map((text) => route(text)) },
});

describe("paths, by the examples of the Kubernetes documentation", () => {
  test.each([
    [["Prefix /"], "/", "Prefix /"],
    [["Prefix /"], "/any/path", "Prefix /"],
    [["Exact /foo"], "/foo", "Exact /foo"],
    [["Exact /foo"], "/bar", "notFound"],
    [["Exact /foo"], "/foo/", "notFound"],
    [["Exact /foo/"], "/foo", "notFound"],
    [["Exact /foo/"], "/foo/", "Exact /foo/"],
    [["Prefix /foo"], "/foo", "Prefix /foo"],
    [["Prefix /foo"], "/foo/", "Prefix /foo"],
    // Matches, and as with ingress-nginx the answer is the redirect to the path with the slash.
    [["Prefix /foo/"], "/foo", "301"],
    [["Prefix /foo/"], "/foo/", "Prefix /foo/"],
    [["Prefix /aaa/bb"], "/aaa/bbb", "notFound"],
    [["Prefix /aaa/bbb"], "/aaa/bbb", "Prefix /aaa/bbb"],
    [["Prefix /aaa/bbb/"], "/aaa/bbb", "301"],
    [["Prefix /aaa/bbb"], "/aaa/bbb/", "Prefix /aaa/bbb"],
    [["Prefix /aaa/bbb"], "/aaa/bbb/ccc", "Prefix /aaa/bbb"],
    [["Prefix /aaa/bbb"], "/aaa/bbbxyz", "notFound"],
    [["Prefix /", "Prefix /aaa"], "/aaa/ccc", "Prefix /aaa"],
    [["Prefix /", "Prefix /aaa", "Prefix /aaa/bbb"], "/aaa/bbb", "Prefix /aaa/bbb"],
    [["Prefix /", "Prefix /aaa", "Prefix /aaa/bbb"], "/ccc", "Prefix /"],
    [["Prefix /aaa"], "/ccc", "notFound"],
    [["Prefix /foo", "Exact /foo"], "/foo", "Exact /foo"],
  ])("%j on %s gives %s", (routes, path, expected) => {
    expect(outcome(hostWith(...routes), `a.example${path}`)).toBe(expected);
  });
});

describe("paths", () => {
  test.each([
    [["Prefix /foo", "Exact /foo"], "/foo/", "Prefix /foo"],
    [["Prefix /a", "Prefix /a/b/c"], "/a/b", "Prefix /a"],
    [["Prefix /a", "Prefix /a/b/c"], "/a/b/c/d", "Prefix /a/b/c"],
    [["Exact /"], "/", "Exact /"],
    [["Exact /"], "/a", "notFound"],
    [["Exact /", "Prefix /"], "/a", "Prefix /"],
    [["Prefix /foo"], "/FOO", "notFound"],
    [["Prefix /foo"], "/foo?x=/bar", "Prefix /foo"],
    [["Prefix /foo"], "/%66oo", "Prefix /foo"],
    [["Prefix /foo"], "//foo", "Prefix /foo"],
    [["Prefix /foo"], "/bar/../foo/x", "Prefix /foo"],
    [["Prefix /foo", "Prefix /foo/admin"], "/foo/%61dmin", "Prefix /foo/admin"],
    [["Prefix /foo", "Prefix /foo/admin"], "/foo%2fadmin", "Prefix /foo/admin"],
    [["Prefix /foo", "Prefix /foo/admin"], "/foo/x/..%2fadmin", "Prefix /foo/admin"],
    [["Prefix /caf\u00e9"], "/caf%C3%A9/x", "Prefix /caf\u00e9"],
    [["Prefix /caf\u00e9"], "/caf\u00c3\u00a9", "Prefix /caf\u00e9"],
    [["Prefix /a b"], "/a%20b", "Prefix /a b"],
    // Both spellings of one prefix.
    [["Prefix /a", "Prefix /a/"], "/a", "Prefix /a"],
    [["Prefix /a", "Prefix /a/"], "/a/", "Prefix /a/"],
    [["Prefix /a", "Prefix /a/"], "/a/b", "Prefix /a/"],
    [["Prefix /a", "Prefix /a/", "Exact /a"], "/a", "Exact /a"],
    [["Prefix /a/", "Exact /a"], "/a", "Exact /a"],
    [["Prefix /", "Prefix /a/"], "/a", "301"],
    [["Prefix /a/"], "/ab", "notFound"],
    [["Exact /a", "Prefix /a/"], "/a/", "Prefix /a/"],
  ])("%j on %s gives %s", (routes, path, expected) => {
    expect(outcome(hostWith(...routes), `a.example${path}`)).toBe(expected);
  });

  test("the longest of many prefixes wins", () => {
    const routes = Array.from({ length: 50 }, (_, index) => `Prefix /${"x/".repeat(index)}end`);
    for (let i = 0; i < 50; i++) {
      expect(outcome(hostWith(...routes), `a.example/${"x/".repeat(i)}end/more`)).toBe(routes[i]);
    }
  });
});

describe("hosts", () => {
  const options: IrOptions = {
    hosts: {
      "a.example": [route("Prefix /only", { upstream: "exact" })],
      "*.example": [route("Prefix /", { upstream: "wildcard" })],
      "": [route("Prefix /", { upstream: "catch-all" })],
    },
  };
  test.each([
    ["a.example/only", "exact"],
    ["A.EXAMPLE.:8080/only", "exact"],
    ["a.example/other", "notFound"],
    ["b.example/only", "wildcard"],
    ["b.c.example/", "catch-all"],
    ["[::1]:80/", "catch-all"],
    ["/", "catch-all"],
  ])("%s goes to %s", (url, expected) => {
    expect(outcome(options, url)).toBe(expected);
  });
});

describe("the redirect to a trailing slash", () => {
  const location = (path: string, url: string, options: RequestOptions = {}): string | undefined => {
    const hosts = { "a.example": [route(path)], "": [route(path)] };
    const decision = decideFor({ hosts }, url, options);
    return decision.kind === "answer" ? decision.answer.fields[0]?.value : undefined;
  };

  test.each([
    ["Prefix /a/", "a.example/a", "http://a.example/a/"],
    ["Prefix /a/", "a.example/a?x=1&y=/", "http://a.example/a/?x=1&y=/"],
    ["Prefix /a/", "a.example/a?", "http://a.example/a/?"],
    ["Prefix /a/", "A.example:8080/a", "http://A.example:8080/a/"],
    ["Prefix /a/b/", "a.example/a/b", "http://a.example/a/b/"],
    ["Prefix /a b/", "a.example/a%20b", "http://a.example/a%20b/"],
    ["Prefix /a?#%/", "a.example/a%3f%23%25", "http://a.example/a%3F%23%25/"],
    ["Prefix /caf\u00e9/", "a.example/caf%c3%a9", "http://a.example/caf%C3%A9/"],
    ["Prefix /a/", "/a", "/a/"],
  ])("%s on %s leads to %s", (path, url, expected) => {
    expect(location(path, url)).toBe(expected);
  });

  test("keeps the scheme of the connection", () => {
    expect(location("Prefix /a/", "a.example/a", { isTls: true })).toBe("https://a.example/a/");
  });

  test.each([
    "//evil.example",
    "/%2fevil.example",
    "/x/../evil.example",
    "//evil.example?a",
    "/./evil.example",
  ])("leads nowhere else for %s", (target) => {
    expect(location("Prefix /evil.example/", `a.example${target}`)).toMatch(
      /^http:\/\/a\.example\/evil\.example\/(\?a)?$/,
    );
    expect(location("Prefix /evil.example/", target)).toMatch(/^\/evil\.example\/(\?a)?$/);
  });

  test("comes before a denied route and its filters", () => {
    const hosts = { "a.example": [route("Prefix /a/", { denied: "broken" })] };
    expect(outcome({ hosts }, "a.example/a")).toBe("301");
    expect(outcome({ hosts }, "a.example/a/")).toBe("routeDenied");
  });
});

describe("filters and backends", () => {
  test("a denied route refuses, whatever its filters say", () => {
    const features = [{ feature: "answer", config: "x" }];
    const hosts = { "a.example": [route("Prefix /", { denied: "broken", features })] };
    const decision = decideFor({ hosts }, "a.example/", { fields: { ask: "x" } });
    expect(decision).toMatchObject({ kind: "refuse", code: "routeDenied", upstream: -1 });
  });

  test("the first filter with an answer wins, before endpoints are looked at", () => {
    const features = ["x", "y", "y"].map((config) => ({ feature: "answer", config }));
    const options = { hosts: { "a.example": [route("Prefix /", { features })] }, empty: ["Prefix /"] };
    expect(outcome(options, "a.example/", { fields: { ask: "y" } })).toBe("418");
    expect(outcome(options, "a.example/", { fields: { ask: "z" } })).toBe("noEndpoints");
  });

  test("names the upstream without endpoints", () => {
    const snapshot = snapshotOf({ ...hostWith("Prefix /"), empty: ["Prefix /"] });
    const decision = decide(snapshot, request("a.example/"));
    expect(decision).toMatchObject({ kind: "refuse", code: "noEndpoints", upstream: 0 });
  });

  test("an upstream with a DNS name has endpoints", () => {
    const snapshot = withEndpoints(snapshotOf({ ...hostWith("Prefix /"), empty: ["Prefix /"] }), [
      { upstream: "Prefix /", addresses: [], dns: { hostname: "backend.example", port: 80 } },
    ]);
    expect(decide(snapshot, request("a.example/")).kind).toBe("forward");
  });

  test.each([
    [undefined, [], "notFound"],
    ["fallback", [], "fallback"],
    ["fallback", ["fallback"], "notFound"],
  ])("the default backend %j with %j empty gives %s", (defaultBackend, empty, expected) => {
    const hosts = { "a.example": [route("Prefix /", { upstream: null })] };
    const options = { hosts, empty, ...(defaultBackend === undefined ? {} : { defaultBackend }) };
    expect(outcome(options, "a.example/x")).toBe(expected);
    expect(outcome(options, "unknown.example/x")).toBe(expected);
  });
});

describe("alternatives", () => {
  type Alternative = readonly [rules: SelectorConfig["rules"], share: number];
  const withAlternatives = (
    alternatives: readonly Alternative[],
    empty: readonly string[] = [],
  ): IrOptions => {
    const list = alternatives.map(([rules, share], index) => ({
      upstream: `c${index}`,
      features: [{ feature: "select", config: { rules, share } }],
    }));
    return { hosts: { "a.example": [route("Prefix /", { upstream: "p", alternatives: list })] }, empty };
  };
  const rules: readonly [string, readonly Alternative[], readonly string[], number, string][] = [
    ["a rule takes the request", [[["Take"], 0]], [], 0.9, "c0"],
    ["a rule that refuses excludes the share", [[["Refuse"], 1]], [], 0.1, "p"],
    ["a rule that does not apply leaves it to the next", [[["Next", "Take"], 0]], [], 0.9, "c0"],
    ["absent rules are passed over", [[[null, "Take"], 0]], [], 0.9, "c0"],
    ["no later rule is asked after a refusal", [[["Refuse", "Take"], 1]], [], 0.1, "p"],
    [
      "the oldest comes first",
      [
        [["Take"], 0],
        [["Take"], 0],
      ],
      [],
      0.9,
      "c0",
    ],
    [
      "a first rule beats an older one's second",
      [
        [["Next", "Take"], 0],
        [["Take"], 0],
      ],
      [],
      0.9,
      "c1",
    ],
    [
      "a refusal excludes only its alternative",
      [
        [["Refuse"], 1],
        [["Take"], 0],
      ],
      [],
      0.1,
      "c1",
    ],
    [
      "rules beat shares",
      [
        [[], 1],
        [["Take"], 0],
      ],
      [],
      0.1,
      "c1",
    ],
    ["without endpoints no rule is asked", [[["Take"], 1]], ["c0"], 0.1, "p"],
    [
      "the next alternative is tried instead",
      [
        [["Take"], 0],
        [["Take"], 0],
      ],
      ["c0"],
      0.1,
      "c1",
    ],
    ["no alternative helps a primary without endpoints", [[["Take"], 1]], ["p"], 0.1, "noEndpoints"],
  ];
  test.each(rules)("%s", (_name, alternatives, empty, draw, expected) => {
    expect(outcome(withAlternatives(alternatives, empty), "a.example/", { draw })).toBe(expected);
  });

  const shares: readonly [string, readonly Alternative[], readonly string[], number, string][] = [
    ["below the share", [[[], 0.1]], [], 0.0999, "c0"],
    ["at the share", [[[], 0.1]], [], 0.1, "p"],
    ["share 0", [[[], 0]], [], 0, "p"],
    ["share 1", [[[], 1]], [], 0.999999, "c0"],
    [
      "the second interval",
      [
        [[], 0.1],
        [[], 0.2],
      ],
      [],
      0.15,
      "c1",
    ],
    [
      "after both",
      [
        [[], 0.1],
        [[], 0.2],
      ],
      [],
      0.31,
      "p",
    ],
    [
      "a sum above 1 is capped",
      [
        [[], 0.7],
        [[], 0.7],
      ],
      [],
      0.99,
      "c1",
    ],
    [
      "what is left after a full one is nothing",
      [
        [[], 1],
        [[], 1],
      ],
      [],
      0.99,
      "c0",
    ],
    [
      "an excluded share is the primary's",
      [
        [["Refuse"], 0.1],
        [[], 0.2],
      ],
      [],
      0.05,
      "p",
    ],
    [
      "and the others' do not move",
      [
        [["Refuse"], 0.1],
        [[], 0.2],
      ],
      [],
      0.15,
      "c1",
    ],
    [
      "an empty one's share is the primary's",
      [
        [[], 0.1],
        [[], 0.2],
      ],
      ["c0"],
      0.05,
      "p",
    ],
    [
      "and others keep theirs",
      [
        [[], 0.1],
        [[], 0.2],
      ],
      ["c0"],
      0.15,
      "c1",
    ],
  ];
  test.each(shares)("%s", (_name, alternatives, empty, draw, expected) => {
    expect(outcome(withAlternatives(alternatives, empty), "a.example/", { draw })).toBe(expected);
  });

  test("the decision names the alternative", () => {
    const decision = decideFor(withAlternatives([[["Take"], 0]]), "a.example/");
    expect(decision).toMatchObject({ kind: "forward", alternative: { ingress: { name: "c0" } } });
    expect(decideFor(withAlternatives([[["Next"], 0]]), "a.example/")).toMatchObject({ alternative: null });
  });
});

describe("a trace", () => {
  const explain = (options: IrOptions, url: string, requestOptions?: RequestOptions): string[] => {
    const trace: TraceStep[] = [];
    decide(snapshotOf(options), request(url, requestOptions), trace);
    return trace.map(
      ({ stage, candidate, outcome, reason }) => `${stage} ${candidate} ${outcome}: ${reason}`,
    );
  };

  test("tells who lost and why, stage by stage", () => {
    const select = (config: SelectorConfig) => [{ feature: "select", config }];
    const options: IrOptions = {
      hosts: {
        "a.example": [
          route("Prefix /foo", {
            upstream: "p",
            features: [{ feature: "answer", config: "x" }],
            alternatives: [
              { upstream: "c0", features: select({ rules: ["Refuse"], share: 0.5 }) },
              { upstream: "c1", features: select({ rules: [], share: 0.1 }) },
              { upstream: "c2", features: select({ rules: [], share: 0.4 }) },
            ],
          }),
          route("Prefix /"),
          route("Exact /foo"),
          route("Prefix /fo"),
          route("Prefix /bar"),
        ],
        "*.example": [],
      },
    };
    expect(explain(options, "a.example/foo/x", { draw: 0.75 })).toEqual([
      "host a.example won: the exact host comes first",
      "host *.example lost: an exact host comes before a wildcard",
      "host (any host) lost: a named host comes first",
      "path Prefix /foo won: the longest prefix that matches",
      "path Prefix / lost: Prefix /foo is longer",
      "path Exact /foo lost: the path is another one",
      "path Prefix /fo lost: the prefix ends within an element of the path",
      "path Prefix /bar lost: the path does not begin with it",
      "filter answer lost: has no answer to this request",
      "backend c0 lost: rule 0 refuses it",
      "backend c1 lost: weight: drew 0.750000 of [0.5, 0.6)",
      "backend c2 won: weight: drew 0.750000 of [0.6, 1)",
      "backend p lost: an alternative takes the request",
    ]);
  });

  test("names the filter that answered", () => {
    const features = [{ feature: "answer", config: "x" }];
    const steps = explain({ hosts: { "": [route("Prefix /", { features })] } }, "/", {
      fields: { ask: "x" },
    });
    expect(steps.at(-1)).toBe("filter answer won: answers 418: x");
  });

  test("tells why a wildcard did not take the host", () => {
    const options: IrOptions = { hosts: { "*.foo.example": [] } };
    expect(explain(options, "a~b.foo.example/").slice(0, 3)).toEqual([
      "host a~b.foo.example lost: no such host",
      'host *.foo.example lost: "a~b" is not a label that a wildcard stands for',
      "host (any host) won: no other host takes it",
    ]);
  });

  test("names at most 20 other routes, the nearest ones", () => {
    const many = Array.from({ length: 200 }, (_, index) => `Prefix /x/${index}`);
    const steps = explain(hostWith(...many, "Prefix /near"), "a.example/nea");
    const paths = steps.filter((text) => text.startsWith("path "));
    expect(paths).toHaveLength(21);
    expect(paths[1]).toBe("path Prefix /near lost: the path does not begin with it");
  });

  const verdict = fc.constantFrom("Next", "Take", "Refuse", null);
  const alternatives = fc.array(
    fc.record({
      upstream: fc.constantFrom("c0", "c1", "c2"),
      features: fc.tuple(
        fc.record({
          feature: fc.constant("select"),
          config: fc.record({
            rules: fc.array(verdict, { maxLength: 3 }),
            share: fc.double({ min: 0, max: 1, noNaN: true }),
          }),
        }),
      ),
    }),
    { maxLength: 3 },
  );
  const path = fc
    .array(fc.constantFrom("a", "b", "ab"), { maxLength: 3 })
    .map((parts) => `/${parts.join("/")}`);
  const anyRoute: fc.Arbitrary<RouteIr> = fc
    .record({
      type: fc.constantFrom("Exact", "Prefix"),
      path,
      slash: fc.constantFrom("", "/"),
      upstream: fc.constantFrom("p0", "p1", null),
      denied: fc.option(fc.constant("broken"), { freq: 5 }),
      answer: fc.constantFrom("x", "y"),
      alternatives,
    })
    .map(({ type, path, slash, upstream, denied, answer, alternatives }) =>
      route(`${type} ${path === "/" ? path : path + slash}`, {
        upstream,
        alternatives,
        features: [{ feature: "answer", config: answer }],
        ...(denied === null ? {} : { denied }),
      }),
    );
  const anyConfiguration = fc.record({
    hosts: fc.dictionary(fc.constantFrom("", "a.example", "*.example"), fc.array(anyRoute, { maxLength: 6 })),
    empty: fc.subarray(["p0", "p1", "c0", "c1", "c2", "d"]),
    defaultBackend: fc.constantFrom("d", "p0"),
  });

  test("changes nothing about the decision, and has one winner for host and path", () => {
    fc.assert(
      fc.property(
        anyConfiguration,
        fc.constantFrom("a.example", "b.example", "c.d.example", ""),
        fc.tuple(path, fc.constantFrom("", "/", "?q")).map((parts) => parts.join("")),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        fc.constantFrom("x", "z"),
        (configuration, host, target, draw, ask) => {
          const snapshot = snapshotOf(configuration);
          const view = request(`${host}${target}`, { draw, fields: { ask } });
          const trace: TraceStep[] = [];
          const decision = decide(snapshot, view, trace);
          expect(decide(snapshot, view)).toEqual(decision);
          for (const stage of ["host", "path"] as const) {
            expect(trace.filter((step) => step.stage === stage && step.outcome === "won")).toHaveLength(1);
          }
          const backends = trace.filter((step) => step.stage === "backend" && step.outcome === "won");
          expect(backends).toHaveLength(decision.kind === "forward" ? 1 : 0);
          if (decision.kind !== "forward") return;
          expect(backends[0]?.candidate).toBe(snapshot.table.upstreams[decision.upstream]?.id);
        },
      ),
      { numRuns: 1_000 },
    );
  });
});
