// load-balance, upstream-hash-by and affinity: from annotations to the settings of upstreams and routes.
import { describe, expect, test } from "vitest";
import { affinity } from "../../src/features/affinity/affinity.ts";
import { sessionCookie } from "../../src/features/affinity/session-cookie.ts";
import type { AnyFeature } from "../../src/features/feature.ts";
import { loadBalance } from "../../src/features/load-balance/load-balance.ts";
import { upstreamHash } from "../../src/features/upstream-hash/upstream-hash.ts";
import type { RequestView, UpstreamSettings } from "../../src/proxy/filter.ts";
import { compile } from "../../src/proxy/routing/table.ts";
import { textOf } from "../../src/proxy/upstream/hash-key.ts";
import { setCookieLine } from "../../src/proxy/upstream/session.ts";
import { request, route, routingIr } from "../proxy/routing/ir-builder.ts";
import { compiledRoute, parseFeature, runtimes, snapshotWith, type Values } from "./feature-harness.ts";

/** The compiled settings of an upstream with these features, and the diagnostics of their parsers. */
function upstreamWith(feature: AnyFeature, annotations: Values, configMap: Values = {}) {
  const { features, diagnostics } = parseFeature(feature, annotations, configMap);
  const ir = routingIr({ hosts: { "a.example": [route("Prefix /", { upstream: "web" })] } });
  const upstreams = ir.upstreams.map((each) => ({ ...each, features }));
  const { table } = compile({ ...ir, upstreams }, runtimes, null);
  expect(table.problems).toEqual([]);
  return { settings: table.upstreamSettings[0] as UpstreamSettings, diagnostics, features };
}

describe("load-balance", () => {
  test.each([
    [{}, {}, "round_robin", 0],
    [{ "load-balance": "round_robin" }, {}, "round_robin", 0],
    [{ "load-balance": "ewma" }, {}, "ewma", 0],
    [{ "load-balance": "least_request" }, {}, "least_request", 0],
    [{}, { "load-balance": "ewma" }, "ewma", 0],
    [{ "load-balance": "round_robin" }, { "load-balance": "ewma" }, "round_robin", 0],
    [{ "load-balance": "" }, { "load-balance": "ewma" }, "ewma", 0],
    [{}, { "load-balance": "" }, "round_robin", 0],
    [{ "fairway.dev/slow-start": "30" }, {}, "round_robin", 30_000],
    [{ "load-balance": "chash", "upstream-hash-by": "$uri" }, {}, "round_robin", 0],
    [{ "load-balance": "sticky_balanced", affinity: "cookie" }, {}, "round_robin", 0],
  ] as const)("%j with %j is %s, slow start %i ms", (annotations, configMap, policy, slowStartMs) => {
    const { settings, diagnostics } = upstreamWith(loadBalance, annotations, configMap);
    expect(settings).toMatchObject({ policy, slowStartMs });
    expect(diagnostics).toEqual([]);
  });

  test("says nothing when everything has its default", () => {
    expect(parseFeature(loadBalance, { "load-balance": "round_robin" }).features).toEqual([]);
  });

  test.each(["least_conn", "ip_hash", "EWMA", "random"])(
    "%s is an error, and the default applies",
    (value) => {
      const { settings, diagnostics } = upstreamWith(
        loadBalance,
        { "load-balance": value },
        { "load-balance": "ewma" },
      );
      expect(settings.policy).toBe("ewma");
      expect(diagnostics).toEqual([
        expect.stringContaining(`load-balance: InvalidValue: "${value}" is not one of`),
      ]);
      expect(upstreamWith(loadBalance, {}, { "load-balance": value }).diagnostics).toEqual([
        expect.stringMatching(/^ConfigMap default\/controller, data\.load-balance: InvalidValue/),
      ]);
    },
  );

  test("a policy that another annotation switches on is told of when that one is missing", () => {
    const { settings, diagnostics } = upstreamWith(loadBalance, { "load-balance": "chash" });
    expect(settings.policy).toBe("round_robin");
    expect(diagnostics).toEqual([
      expect.stringContaining("switched on by upstream-hash-by, which is not set"),
    ]);
  });

  test.each(["-1", "3601", "10s"])("a slow start of %s is an error under its own name", (value) => {
    const { settings, diagnostics } = upstreamWith(loadBalance, { "fairway.dev/slow-start": value });
    expect(settings.slowStartMs).toBe(0);
    expect(diagnostics).toEqual([
      expect.stringMatching(/^Ingress default\/web, fairway\.dev\/slow-start: InvalidInteger/),
    ]);
  });
});

describe("upstream-hash-by", () => {
  const view: RequestView = {
    ...request("shop.example:8080/A%20b/c?User=1&user=2&x=&y", { isTls: true }),
    field: (name) => ({ "x-user": "ann", cookie: "sid=7; SID=8" })[name],
  };
  const keyOf = (expression: string): string => {
    const { settings, diagnostics } = upstreamWith(upstreamHash, { "upstream-hash-by": expression });
    expect(diagnostics).toEqual([]);
    return (settings.hash?.parts ?? []).map((part) => textOf(part, view)).join("");
  };

  test.each([
    ["$request_uri", "/A%20b/c?User=1&user=2&x=&y"],
    ["$uri", "/A b/c"],
    ["$args", "User=1&user=2&x=&y"],
    ["$query_string", "User=1&user=2&x=&y"],
    ["$remote_addr", "192.0.2.1"],
    ["$binary_remote_addr", "192.0.2.1"],
    ["$host", "shop.example"],
    ["$scheme", "https"],
    ["$request_method", "GET"],
    ["$http_x_user", "ann"],
    ["$http_X_User", "ann"],
    ["$http_missing", ""],
    ["$arg_user", "1"],
    ["$arg_x", ""],
    ["$arg_y", ""],
    ["$arg_us", ""],
    ["$cookie_sid", "7"],
    ["$cookie_SID", "8"],
    ["$cookie_none", ""],
    ["${request_uri}-text-value", "/A%20b/c?User=1&user=2&x=&y-text-value"],
    ["a$host-$scheme", "ashop.example-https"],
    ["${scheme}host", "httpshost"],
    ["$scheme$host", "httpsshop.example"],
    ["constant", "constant"],
    ["{}", "{}"],
  ])("%s is %j", (expression, key) => {
    expect(keyOf(expression)).toBe(key);
  });

  test.each([
    ["$nothing", "Fairway has no variable $nothing"],
    ["$http_", "Fairway has no variable $http_"],
    ["a$", 'a "$" is followed by no name of a variable'],
    ["${}", 'a "$" is followed by no name of a variable'],
    ["${host", 'a "$" is followed by no name of a variable'],
    ["$-a", 'a "$" is followed by no name of a variable'],
  ])("%s is an error, and requests are not hashed", (expression, reason) => {
    const { settings, diagnostics } = upstreamWith(upstreamHash, { "upstream-hash-by": expression });
    expect(settings.hash).toBeNull();
    expect(diagnostics).toEqual([
      expect.stringContaining(`InvalidExpression: "${expression}": ${reason}; requests are not hashed`),
    ]);
  });

  test.each(["a b", "$uri;", "$uri?x", "a.b"])(
    "%j has characters that ingress-nginx refuses",
    (expression) => {
      const { settings, diagnostics } = upstreamWith(upstreamHash, { "upstream-hash-by": expression });
      expect(settings.hash).toBeNull();
      expect(diagnostics).toEqual([expect.stringContaining("upstream-hash-by: InvalidValue")]);
    },
  );

  const by = { "upstream-hash-by": "$uri" };
  const size = "upstream-hash-by-subset-size";
  const factor = "fairway.dev/upstream-hash-by-load-factor";
  const on = { ...by, "upstream-hash-by-subset": "true" };
  test.each([
    [by, 0, 0, ""],
    [{ ...by, [size]: "5" }, 0, 0, ""],
    [on, 3, 0, ""],
    [{ ...on, [size]: "5" }, 5, 0, ""],
    [{ ...on, [size]: "0" }, 3, 0, ""],
    [{ ...on, [size]: "x" }, 3, 0, "InvalidInteger"],
    [{ ...by, [factor]: "125" }, 0, 1.25, ""],
    [{ ...by, [factor]: "0" }, 0, 0, ""],
    [{ ...by, [factor]: "50" }, 0, 0, "InvalidInteger"],
    [{ ...on, [factor]: "125" }, 3, 0, "NoEffect"],
  ])("%j: subsets of %i, load factor %d, %j", (annotations, subsetSize, loadFactorMax, reason) => {
    const { settings, diagnostics } = upstreamWith(upstreamHash, annotations);
    expect(settings.hash).toMatchObject({ subsetSize, loadFactorMax });
    expect(diagnostics).toEqual(reason === "" ? [] : [expect.stringContaining(reason)]);
  });

  test("the other annotations alone do nothing", () => {
    expect(parseFeature(upstreamHash, { "upstream-hash-by-subset": "true" }).features).toEqual([]);
    expect(parseFeature(upstreamHash, { "upstream-hash-by": "" }).features).toEqual([]);
  });
});

describe("affinity", () => {
  test.each([
    [{}, null],
    [{ "affinity-mode": "persistent" }, null],
    [{ affinity: "cookie" }, { cookieName: "INGRESSCOOKIE", mode: "balanced", changesOnFailure: false }],
    [
      {
        affinity: "cookie",
        "affinity-mode": "persistent",
        "session-cookie-name": "route",
        "session-cookie-change-on-failure": "true",
      },
      { cookieName: "route", mode: "persistent", changesOnFailure: true },
    ],
  ])("%j is %j", (annotations, expected) => {
    const { settings, diagnostics } = upstreamWith(affinity, annotations);
    expect(settings.affinity).toEqual(expected);
    expect(diagnostics).toEqual([]);
  });

  test.each([
    ["affinity", "ip", "InvalidValue"],
    ["affinity-mode", "sticky", "InvalidValue"],
    ["session-cookie-name", "a=b", "InvalidValue"],
    ["session-cookie-name", "a;b", "InvalidValue"],
    ["session-cookie-change-on-failure", "yes", "InvalidBoolean"],
    ["affinity-canary-behavior", "legacy", "NoEffect"],
  ])("%s %j is told: %s", (key, value, reason) => {
    const { diagnostics } = upstreamWith(affinity, { affinity: "cookie", [key]: value });
    expect(diagnostics).toEqual([expect.stringContaining(reason)]);
  });
});

describe("session-cookie", () => {
  function lineOf(
    annotations: Values,
    path = "Prefix /",
    options: Parameters<typeof request>[1] = {},
  ): string {
    const { features, diagnostics } = parseFeature(sessionCookie, { affinity: "cookie", ...annotations });
    expect(diagnostics).toEqual([]);
    const { sessionCookie: cookie } = compiledRoute(snapshotWith({ features }, path)).settings;
    if (cookie === null) return "none";
    const line = setCookieLine(cookie, { name: "N", key: "k", id: "i" }, request("a.example/", options));
    expect(line.startsWith("Set-Cookie: N=k|i; ") && line.endsWith("\r\n")).toBe(true);
    return line.slice("Set-Cookie: N=k|i; ".length, -2);
  }

  test.each([
    [{}, "Prefix /", "Path=/; HttpOnly"],
    [{}, "Exact /shop", "Path=/shop; HttpOnly"],
    [{ "session-cookie-path": "/x" }, "Prefix /shop", "Path=/x; HttpOnly"],
    [{ "session-cookie-domain": "example.com" }, "Prefix /", "Domain=example.com; Path=/; HttpOnly"],
    [{ "session-cookie-max-age": "0" }, "Prefix /", "Max-Age=0; Path=/; HttpOnly"],
    [{ "session-cookie-max-age": "-5" }, "Prefix /", "Max-Age=-5; Path=/; HttpOnly"],
    [{ "session-cookie-secure": "true" }, "Prefix /", "Path=/; Secure; HttpOnly"],
    [{ "session-cookie-secure": "false" }, "Prefix /", "Path=/; HttpOnly"],
    [{ "session-cookie-samesite": "Lax" }, "Prefix /", "Path=/; HttpOnly; SameSite=Lax"],
    [{ "session-cookie-samesite": "None" }, "Prefix /", "Path=/; HttpOnly; SameSite=None"],
    // A semicolon or a blank of the path must not begin an attribute of its own.
    [{}, "Prefix /a/b;Domain=evil/c", "Path=/a/; HttpOnly"],
    [{}, "Prefix /a b/ü", "Path=/a%20b/%C3%BC; HttpOnly"],
  ])("%j on %s is %s", (annotations, path, expected) => {
    expect(lineOf(annotations, path)).toBe(expected);
  });

  test("is always Secure over TLS", () => {
    expect(lineOf({ "session-cookie-secure": "false" }, "Prefix /", { isTls: true })).toBe(
      "Path=/; Secure; HttpOnly",
    );
  });

  test("has its attributes in the order of ingress-nginx", () => {
    const line = lineOf({
      "session-cookie-expires": "3600",
      "session-cookie-max-age": "7200",
      "session-cookie-domain": "a.example",
      "session-cookie-path": "/p",
      "session-cookie-secure": "true",
      "session-cookie-samesite": "Strict",
    });
    const [, expires = ""] =
      /^Expires=(.+ GMT); Max-Age=7200; Domain=a\.example; Path=\/p; Secure; HttpOnly; SameSite=Strict$/.exec(
        line,
      ) ?? [];
    expect(Math.abs(Date.parse(expires) - Date.now() - 3_600_000)).toBeLessThan(60_000);
  });

  test("needs affinity", () => {
    expect(lineOf({ affinity: "", "session-cookie-path": "/x" })).toBe("none");
  });

  test.each([
    ["Mozilla/5.0 (Windows NT 10.0) Chrome/51.0.2704.103 Safari/537.36", false],
    ["Mozilla/5.0 (Windows NT 10.0) Chrome/66.0.3359.117 Safari/537.36", false],
    ["Mozilla/5.0 (Windows NT 10.0) Chrome/80.0.3987.87 Safari/537.36", true],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 12_4 like Mac OS X) Version/12.1 Safari/604.1", false],
    ["Mozilla/5.0 (iPad; CPU OS 12_4 like Mac OS X) Version/12.1 Safari/604.1", false],
    ["Mozilla/5.0 (iPhone; CPU iPhone OS 13_3 like Mac OS X) Version/13.0 Safari/604.1", true],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Version/12.1 Safari/605.1.15", false],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_14_6) Chrome/80.0.3987.87 Safari/537.36", true],
    ["Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_3) Version/13.0 Safari/605.1.15", true],
    ["curl/8.0", true],
    [undefined, true],
  ])("conditional SameSite=None for %j: %s", (userAgent, isSent) => {
    const fields = userAgent === undefined ? {} : { "user-agent": userAgent };
    const annotations = {
      "session-cookie-samesite": "None",
      "session-cookie-conditional-samesite-none": "true",
    };
    expect(lineOf(annotations, "Prefix /", { fields }).includes("SameSite=None")).toBe(isSent);
    const always = { "session-cookie-samesite": "None" };
    expect(lineOf(always, "Prefix /", { fields })).toContain("SameSite=None");
  });

  test.each([
    ["session-cookie-samesite", "lax", 'NoEffect: "lax" is not spelled "Lax"'],
    ["session-cookie-samesite", "sometimes", "InvalidValue"],
    ["session-cookie-path", "no/slash", "InvalidValue"],
    ["session-cookie-path", "/a;Secure", "InvalidValue"],
    ["session-cookie-domain", "a b", "InvalidValue"],
    ["session-cookie-expires", "1h", "InvalidInteger"],
    ["session-cookie-max-age", "1.5", "InvalidInteger"],
    ["session-cookie-secure", "on", "InvalidBoolean"],
  ])("%s %j is told, and counts as absent", (key, value, reason) => {
    const { features, diagnostics } = parseFeature(sessionCookie, { affinity: "cookie", [key]: value });
    expect(diagnostics).toEqual([expect.stringContaining(reason)]);
    expect(features).toEqual(parseFeature(sessionCookie, { affinity: "cookie" }).features);
  });
});
