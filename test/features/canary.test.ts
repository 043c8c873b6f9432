import { describe, expect, test } from "vitest";
import { canary } from "../../src/features/canary/canary.ts";
import { decide } from "../../src/proxy/routing/decide.ts";
import { request, type RequestOptions } from "../proxy/routing/ir-builder.ts";
import { parseFeature, snapshotWith, type Values } from "./feature-harness.ts";

/** Sends one request through a route with primary `p` and canaries `c0`, `c1`, ..., oldest first; tells where it went. */
function send(
  canaries: readonly Values[],
  options: RequestOptions = {},
  empty: readonly string[] = [],
): string {
  return senderOf(canaries, empty)(options);
}

function senderOf(canaries: readonly Values[], empty: readonly string[] = []) {
  const alternatives = canaries.map((annotations, index) => ({
    upstream: `c${index}`,
    features: parseFeature(canary, { canary: "true", ...annotations }).features,
  }));
  const snapshot = snapshotWith({ upstream: "p", alternatives }, "Prefix /", { empty });
  expect(snapshot.table.problems).toEqual([]);
  return (options: RequestOptions): string => {
    const decision = decide(snapshot, request("a.example/", options));
    if (decision.kind !== "forward") return decision.kind === "refuse" ? decision.code : "answer";
    return snapshot.table.upstreams[decision.upstream]?.id ?? "";
  };
}

const never = 0.999_999;
/** Drawn for the canary by any weight at all. */
const always = 0;

describe("by header", () => {
  const byHeader = { "canary-by-header": "X-Canary" };
  const byValue = { ...byHeader, "canary-by-header-value": "yes" };
  const byPattern = { ...byHeader, "canary-by-header-pattern": "^v[0-9]+" };
  const broken = { ...byHeader, "canary-by-header-pattern": "v(" };
  const rows: readonly [string, Values, string | undefined, number, string][] = [
    ["always goes to the canary", byHeader, "always", never, "c0"],
    ["never stays, whatever the weight", { ...byHeader, "canary-weight": "100" }, "never", always, "p"],
    ["another value is left to the weight", { ...byHeader, "canary-weight": "50" }, "maybe", always, "c0"],
    ["another value is left to the weight", { ...byHeader, "canary-weight": "50" }, "maybe", never, "p"],
    ["values are case-sensitive", byHeader, "Always", never, "p"],
    ["an empty value is another value", byHeader, "", never, "p"],
    [
      "an absent header is left to the weight",
      { ...byHeader, "canary-weight": "100" },
      undefined,
      never,
      "c0",
    ],
    ["a repeated header is one value", byHeader, "always, always", never, "p"],
    ["the value goes to the canary", byValue, "yes", never, "c0"],
    ["another value does not", byValue, "no", never, "p"],
    ["a value in another case does not", byValue, "YES", never, "p"],
    ["always is a value like others", byValue, "always", never, "p"],
    ["never is a value like others", { ...byValue, "canary-weight": "100" }, "never", never, "c0"],
    ["a pattern that is found goes to the canary", byPattern, "v12-beta", never, "c0"],
    ["one that is not found does not", byPattern, "xv1", never, "p"],
    ["and is left to the weight", { ...byPattern, "canary-weight": "100" }, "xv1", never, "c0"],
    ["always is not a keyword beside a pattern", byPattern, "always", never, "p"],
    ["patterns are case-sensitive", byPattern, "V1", never, "p"],
    [
      "a pattern may match an empty value",
      { ...byHeader, "canary-by-header-pattern": "^$" },
      "",
      never,
      "c0",
    ],
    ["a value makes the pattern ineffective", { ...byPattern, ...byValue }, "v1", never, "p"],
    ["a broken pattern stays on the primary", { ...broken, "canary-weight": "100" }, "v1", always, "p"],
    ["a broken pattern needs the header", { ...broken, "canary-weight": "100" }, undefined, always, "c0"],
  ];
  test.each(rows)("%s", (_name, annotations, value, draw, expected) => {
    const fields = value === undefined ? {} : { "x-canary": value };
    expect(send([annotations], { draw, fields })).toBe(expected);
  });

  test("an underscore in the name stands for a hyphen", () => {
    const fields = { "x-canary": "always" };
    expect(send([{ "canary-by-header": "X_CANARY" }], { draw: never, fields })).toBe("c0");
  });

  test("a broken pattern keeps the cookie from being asked", () => {
    const fields = { "x-canary": "v1", cookie: "beta=always" };
    expect(send([{ ...broken, "canary-by-cookie": "beta" }], { fields })).toBe("p");
  });
});

describe("by cookie", () => {
  const byCookie = { "canary-by-cookie": "beta" };
  const rows: readonly [string, Values, string | undefined, number, string][] = [
    ["always goes to the canary", byCookie, "beta=always", never, "c0"],
    ["never stays", { ...byCookie, "canary-weight": "100" }, "beta=never", always, "p"],
    ["another value is left to the weight", { ...byCookie, "canary-weight": "100" }, "beta=1", never, "c0"],
    [
      "an absent cookie is left to the weight",
      { ...byCookie, "canary-weight": "100" },
      undefined,
      never,
      "c0",
    ],
    ["it is found among others", byCookie, "a=1; beta=always; c=never", never, "c0"],
    ["the first of its name counts", byCookie, "beta=always; beta=never", never, "c0"],
    ["names are case-sensitive", byCookie, "Beta=always", never, "p"],
    ["a longer name is another one", byCookie, "xbeta=always; betax=always", never, "p"],
    ["values are case-sensitive", byCookie, "beta=ALWAYS", never, "p"],
    ["a cookie without value is no value", byCookie, "beta", never, "p"],
  ];
  test.each(rows)("%s", (_name, annotations, cookie, draw, expected) => {
    const fields = cookie === undefined ? {} : { cookie };
    expect(send([annotations], { draw, fields })).toBe(expected);
  });

  const both = { ...byCookie, "canary-by-header": "x-canary" };
  test.each([
    ["always", "beta=never", "c0"],
    ["never", "beta=always", "p"],
    ["other", "beta=always", "c0"],
    ["other", "beta=never", "p"],
  ])("the header %s comes before the cookie %s", (header, cookie, expected) => {
    expect(send([both], { draw: never, fields: { "x-canary": header, cookie } })).toBe(expected);
  });
});

describe("by weight", () => {
  const rows: readonly [Values, number, string][] = [
    [{}, always, "p"],
    [{ "canary-weight": "0" }, always, "p"],
    [{ "canary-weight": "-5" }, always, "p"],
    [{ "canary-weight": "100" }, never, "c0"],
    [{ "canary-weight": "250" }, never, "c0"],
    [{ "canary-weight": "50" }, 0.4999, "c0"],
    [{ "canary-weight": "50" }, 0.5, "p"],
    [{ "canary-weight": "50", "canary-weight-total": "200" }, 0.2499, "c0"],
    [{ "canary-weight": "50", "canary-weight-total": "200" }, 0.25, "p"],
    [{ "canary-weight": "200", "canary-weight-total": "200" }, never, "c0"],
    [{ "canary-weight": "5", "canary-weight-total": "10" }, 0.0499, "c0"],
    [{ "canary-weight": "5", "canary-weight-total": "10" }, 0.05, "p"],
    [{ "canary-weight": "5", "canary-weight-total": "0" }, 0.05, "p"],
    [{ "canary-weight": "5", "canary-weight-total": "-1" }, 0.0499, "c0"],
  ];
  test.each(rows)("%j with a draw of %d goes to %s", (annotations, draw, expected) => {
    expect(send([annotations], { draw })).toBe(expected);
  });

  /** mulberry32: the same sequence on every run. */
  function seeded(seed: number): () => number {
    let state = seed;
    return () => {
      state = (state + 0x6d2b79f5) | 0;
      let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
      return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
    };
  }

  test.each([1, 2, 3])("10 of 100 get 10 % +/- 0.5 % of 100,000 requests (seed %i)", (seed) => {
    const sendOne = senderOf([{ "canary-weight": "10" }]);
    const random = seeded(seed);
    let canaries = 0;
    for (let i = 0; i < 100_000; i++) if (sendOne({ draw: random() }) === "c0") canaries++;
    expect(canaries / 100_000).toBeGreaterThan(0.095);
    expect(canaries / 100_000).toBeLessThan(0.105);
  });

  test("each of several canaries gets its own share", () => {
    const sendOne = senderOf([
      { "canary-weight": "10" },
      { "canary-weight": "20" },
      { "canary-weight": "5" },
    ]);
    const random = seeded(4);
    const counts = new Map<string, number>();
    for (let i = 0; i < 100_000; i++) {
      const upstream = sendOne({ draw: random() });
      counts.set(upstream, (counts.get(upstream) ?? 0) + 1);
    }
    for (const [upstream, share] of [
      ["c0", 10],
      ["c1", 20],
      ["c2", 5],
      ["p", 65],
    ] as const) {
      expect(Math.abs((counts.get(upstream) ?? 0) / 1_000 - share)).toBeLessThan(0.5);
    }
  });
});

describe("endpoints", () => {
  const all = { "canary-weight": "100" };
  test("a primary without endpoints answers 503 although the canary has some", () => {
    expect(send([all], {}, ["p"])).toBe("noEndpoints");
  });
  test("a canary without endpoints leaves everything to the primary", () => {
    const fields = { "x-canary": "always" };
    expect(send([{ ...all, "canary-by-header": "x-canary" }], { fields }, ["c0"])).toBe("p");
  });
});

describe("several canaries", () => {
  const first = { "canary-by-header": "x-first" };
  const second = { "canary-by-header": "x-second" };
  const full = { "canary-weight": "100" };
  const rows: readonly [string, readonly Values[], Readonly<Record<string, string>>, number, string][] = [
    ["each has its own header", [first, second], { "x-second": "always" }, never, "c1"],
    ["the oldest comes first", [first, second], { "x-first": "always", "x-second": "always" }, never, "c0"],
    [
      "never excludes only its own canary",
      [{ ...first, ...full }, second],
      { "x-first": "never", "x-second": "always" },
      always,
      "c1",
    ],
    [
      "a header beats an older one's cookie",
      [{ "canary-by-cookie": "beta" }, second],
      { cookie: "beta=always", "x-second": "always" },
      never,
      "c1",
    ],
    ["a header beats an older one's weight", [full, second], { "x-second": "always" }, always, "c1"],
    [
      "one header with two values tells them apart",
      [
        { ...first, "canary-by-header-value": "a" },
        { ...first, "canary-by-header-value": "b" },
      ],
      { "x-first": "b" },
      never,
      "c1",
    ],
    [
      "shares add up to at most everything",
      [{ "canary-weight": "80" }, { "canary-weight": "80" }],
      {},
      never,
      "c1",
    ],
    [
      "a refused share stays with the primary",
      [{ ...first, ...full }, full],
      { "x-first": "never" },
      always,
      "p",
    ],
  ];
  test.each(rows)("%s", (_name, canaries, fields, draw, expected) => {
    expect(send(canaries, { draw, fields })).toBe(expected);
  });
});

describe("the annotations", () => {
  test.each([
    [{}],
    [{ canary: "false", "canary-weight": "10" }],
    [{ "canary-weight": "10" }],
    [{ canary: "yes" }],
  ])("%j make no canary", (annotations: Values) => {
    expect(parseFeature(canary, annotations).features).toEqual([]);
  });

  const rows: readonly [Values, string][] = [
    [{ canary: "yes" }, `canary: InvalidBoolean: "yes" is not "true" or "false"`],
    [{ "canary-weight": "10%" }, `canary-weight: InvalidInteger: "10%" is not an integer`],
    [{ "canary-weight": "1O" }, `canary-weight: InvalidInteger: "1O" is not an integer`],
    [{ "canary-weight": "0.5" }, `canary-weight: InvalidInteger`],
    [{ "canary-weight-total": "x" }, `canary-weight-total: InvalidInteger`],
    [{ "canary-by-header": "a b" }, `canary-by-header: InvalidValue: "a b" is not a header name`],
    [{ "canary-by-cookie": "a;b" }, `canary-by-cookie: InvalidValue: "a;b" is not a cookie name`],
    [{ "canary-by-header": "x", "canary-by-header-value": "a b" }, `canary-by-header-value: InvalidValue`],
    [
      { "canary-by-header": "x", "canary-by-header-pattern": "a b" },
      `canary-by-header-pattern: InvalidValue`,
    ],
    [
      { "canary-by-header": "x", "canary-by-header-pattern": "v(" },
      `canary-by-header-pattern: InvalidPattern: "v("`,
    ],
    [
      { "canary-by-header": "x", "canary-by-header-pattern": "(?=a)" },
      `canary-by-header-pattern: InvalidPattern`,
    ],
    [{ "canary-by-header-value": "x" }, `canary-by-header-value: NoEffect`],
  ];
  test.each(rows)("%j are reported", (annotations, expected) => {
    const { diagnostics } = parseFeature(canary, { canary: "true", ...annotations });
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(`Ingress default/web, nginx.ingress.kubernetes.io/${expected}`);
  });

  test("a bad weight leaves the header rule as it is", () => {
    const annotations = { "canary-weight": "x", "canary-by-header": "x-canary" };
    expect(send([annotations], { draw: always })).toBe("p");
    expect(send([annotations], { fields: { "x-canary": "always" } })).toBe("c0");
  });
});
