import { describe, expect, test } from "vitest";
import { sslRedirect } from "../../src/features/ssl-redirect/ssl-redirect.ts";
import { decide } from "../../src/proxy/routing/decide.ts";
import { compile } from "../../src/proxy/routing/table.ts";
import { request, route, routingIr } from "../proxy/routing/ir-builder.ts";
import { parseFeature, runtimes, snapshotWith, type Values } from "./feature-harness.ts";

interface Case {
  readonly annotations?: Values;
  readonly configMap?: Values;
  readonly hasTls?: boolean;
  readonly path?: string;
  readonly isTls?: boolean;
}

/** `308 https://...`, or `forward`. */
function send(
  url: string,
  { annotations = {}, configMap = {}, hasTls = true, path, isTls = false }: Case = {},
) {
  const { features } = parseFeature(sslRedirect, annotations, configMap);
  const snapshot = snapshotWith({ features }, path, { tlsHosts: hasTls ? ["a.example"] : [] });
  const decision = decide(snapshot, request(url, { isTls }));
  if (decision.kind !== "answer") return decision.kind;
  return [decision.answer.status, ...decision.answer.fields.map(({ value }) => value)].join(" ");
}

const force = { "force-ssl-redirect": "true" };
const cases: readonly [string, string, Case, string][] = [
  ["a host with TLS redirects", "a.example/x", {}, "308 https://a.example/x"],
  ["a host without TLS does not", "a.example/x", { hasTls: false }, "forward"],
  ["a request over TLS is not redirected", "a.example/x", { isTls: true }, "forward"],
  ["nor with force", "a.example/x", { annotations: force, isTls: true }, "forward"],
  [
    "force redirects without TLS",
    "a.example/x",
    { annotations: force, hasTls: false },
    "308 https://a.example/x",
  ],
  ["force of the ConfigMap", "a.example/x", { configMap: force, hasTls: false }, "308 https://a.example/x"],
  [
    "the annotation beats the ConfigMap",
    "a.example/x",
    { configMap: force, annotations: { "force-ssl-redirect": "false" }, hasTls: false },
    "forward",
  ],
  ["ssl-redirect false", "a.example/x", { annotations: { "ssl-redirect": "false" } }, "forward"],
  [
    "ssl-redirect false of the ConfigMap",
    "a.example/x",
    { configMap: { "ssl-redirect": "false" } },
    "forward",
  ],
  [
    "force beats ssl-redirect false",
    "a.example/x",
    { annotations: { "ssl-redirect": "false", ...force } },
    "308 https://a.example/x",
  ],
  ["the port is dropped", "a.example:8080/x", {}, "308 https://a.example/x"],
  ["an empty port is dropped", "a.example:/x", {}, "308 https://a.example/x"],
  ["the host is as the client wrote it", "A.Example/x", {}, "308 https://A.Example/x"],
  ["the root becomes nothing", "a.example/", {}, "308 https://a.example"],
  ["the query is kept", "a.example/x?a=b&c", {}, "308 https://a.example/x?a=b&c"],
  ["one trailing slash is dropped", "a.example/x//", {}, "308 https://a.example/x/"],
  ["even of the query", "a.example/x?a=/", {}, "308 https://a.example/x?a="],
  [
    "unless it is to be preserved",
    "a.example/x/",
    { annotations: { "preserve-trailing-slash": "true" } },
    "308 https://a.example/x/",
  ],
  ["the target is not decoded", "a.example/%2e/x%20y", {}, "308 https://a.example/%2e/x%20y"],
  [
    "it leads to the host, however many slashes",
    "a.example//evil.example",
    {},
    "308 https://a.example//evil.example",
  ],
  [
    "the code of the ConfigMap",
    "a.example/x",
    { configMap: { "http-redirect-code": "301" } },
    "301 https://a.example/x",
  ],
  [
    "a bad code is 308",
    "a.example/x",
    { configMap: { "http-redirect-code": "303" } },
    "308 https://a.example/x",
  ],
  [
    "a route for ACME is exempt",
    "a.example/.well-known/acme-challenge/t",
    { path: "Exact /.well-known/acme-challenge/t" },
    "forward",
  ],
  [
    "the request path does not exempt",
    "a.example/.well-known/acme-challenge/t",
    {},
    "308 https://a.example/.well-known/acme-challenge/t",
  ],
  [
    "exempt paths of the ConfigMap",
    "a.example/b/x",
    { path: "Prefix /b", configMap: { "no-tls-redirect-locations": "/a, /b" } },
    "forward",
  ],
];

describe("ssl-redirect", () => {
  test.each(cases)("%s (%s)", (_name, url, options, expected) => {
    expect(send(url, options)).toBe(expected);
  });

  test("costs a route nothing that is never redirected", () => {
    const { features } = parseFeature(sslRedirect, {});
    expect(snapshotWith({ features }).table.exactHosts.get("a.example")?.routes[0]?.filters).toEqual([]);
  });

  test("leads OPTIONS * to the host alone", () => {
    const { features } = parseFeature(sslRedirect, force);
    const view = { ...request("a.example/"), method: "OPTIONS", target: "*" };
    expect(decide(snapshotWith({ features }), view)).toMatchObject({
      answer: { fields: [{ value: "https://a.example" }] },
    });
  });

  test("gives routes with equal settings one list of filters", () => {
    const routes = ["Prefix /a", "Prefix /b"].map((path) =>
      route(path, { features: parseFeature(sslRedirect, force).features }),
    );
    const other = route("Prefix /c", {
      features: parseFeature(sslRedirect, { ...force, "preserve-trailing-slash": "true" }).features,
    });
    const ir = routingIr({ hosts: { "": [...routes, other] } });
    const [a, b, c] = compile(ir, runtimes, null).table.catchAll.routes;
    expect(a?.filters).toHaveLength(1);
    expect(a?.filters).toBe(b?.filters);
    expect(a?.filters).not.toBe(c?.filters);
  });

  test("works for IPv6 addresses", () => {
    const { features } = parseFeature(sslRedirect, force);
    const ir = routingIr({ hosts: { "": [route("Prefix /", { features })] } });
    const decision = decide(compile(ir, runtimes, null), request("[::1]:8080/x"));
    expect(decision).toMatchObject({ answer: { fields: [{ value: "https://[::1]/x" }] } });
  });

  test("answers 400 to a request without host, which it can neither redirect nor let through", () => {
    const { features } = parseFeature(sslRedirect, force);
    const ir = routingIr({ hosts: { "": [route("Prefix /", { features })] } });
    const decision = decide(compile(ir, runtimes, null), request("/evil.example"));
    expect(decision).toMatchObject({ kind: "answer", answer: { status: 400, fields: [] } });
  });

  test.each([
    [{ "ssl-redirect": "yes" }, {}, "ssl-redirect: InvalidBoolean"],
    [{ "force-ssl-redirect": "1O" }, {}, "force-ssl-redirect: InvalidBoolean"],
    [{ "preserve-trailing-slash": "on" }, {}, "preserve-trailing-slash: InvalidBoolean"],
    [{}, { "http-redirect-code": "303" }, "data.http-redirect-code: InvalidValue"],
  ])("reports %j %j", (annotations: Values, configMap: Values, expected) => {
    const { diagnostics } = parseFeature(sslRedirect, annotations, configMap);
    expect(diagnostics).toHaveLength(1);
    expect(diagnostics[0]).toContain(expected);
  });
});
