// What golden cases do not show: parsers of our own, and what is remembered from one translation to the next.
import { describe, expect, test } from "vitest";
import type { AnyFeatureParser } from "../../src/controller/annotations.ts";
import { decodeObject } from "../../src/controller/decode/decode.ts";
import type { KubeObject } from "../../src/controller/objects.ts";
import { defaultTranslateOptions, type TranslateOptions } from "../../src/controller/translate/options.ts";
import { translate } from "../../src/controller/translate/translate.ts";
import type { RouteIr, RoutingIr } from "../../src/ir/routing.ts";
import { ingress, rule, service } from "./fake-source.ts";
import { testPair } from "./pairs.ts";

const prefix = "nginx.ingress.kubernetes.io/";

/** Takes `limit`, 1 to 9; its default comes from the setting of that name. */
function limitParser(onInvalid: "deny" | "ignore"): AnyFeatureParser {
  return {
    name: "limit",
    onInvalid,
    annotations: { limit: "A number from 1 to 9." },
    settings: { limit: "Default of the annotation." },
    parseSettings: (reader) => reader.integer("limit", { min: 1, max: 9 }),
    parse: (reader, settings) => reader.integer("limit", { min: 1, max: 9 }) ?? settings,
  };
}

function options(parser: AnyFeatureParser, rest: Partial<TranslateOptions> = {}): TranslateOptions {
  return {
    ...defaultTranslateOptions,
    offline: true,
    configMap: "default/config",
    parsers: [parser],
    ...rest,
  };
}

function object(value: unknown): KubeObject {
  return decodeObject(value).object!;
}

function configMap(data: Record<string, string>): KubeObject {
  return object({ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "config" }, data });
}

function routesOf(ir: RoutingIr, host: string): readonly RouteIr[] {
  return ir.virtualHosts.find((each) => each.host === host)?.routes ?? [];
}

const web = (annotations: Record<string, string>): KubeObject =>
  object(ingress("web", { rules: [rule("a.example", { "/x": ["web", 80] })] }, annotations));
const backend = object(service("web"));

describe("a wrong value", () => {
  test("of a feature that protects denies every route of the Ingress, the implicit one too", () => {
    const { ir, diagnostics } = translate(
      [web({ [`${prefix}limit`]: "many" }), backend, configMap({})],
      options(limitParser("deny")),
    );
    const denied = routesOf(ir, "a.example").map((route) => [route.path, route.isImplicit, route.denied]);
    const why = `${prefix}limit is invalid`;
    expect(denied).toEqual([
      ["/x", false, why],
      ["/", true, why],
    ]);
    expect(routesOf(ir, "")[0]?.denied).toBeNull();
    expect(diagnostics).toMatchObject([
      {
        severity: "error",
        field: `${prefix}limit`,
        message: expect.stringContaining("its routes answer 503 until it is mended"),
      },
      { reason: "NoEndpoints" },
    ]);
  });

  test("of another feature counts as absent", () => {
    const { ir } = translate(
      [web({ [`${prefix}limit`]: "many" }), backend, configMap({ limit: "3" })],
      options(limitParser("ignore")),
    );
    expect(routesOf(ir, "a.example")[0]).toMatchObject({
      denied: null,
      features: [{ feature: "limit", config: 3 }],
    });
  });

  test("of a setting leaves the default", () => {
    const { ir, diagnostics } = translate(
      [web({}), backend, configMap({ limit: "x" })],
      options(limitParser("deny")),
    );
    expect(routesOf(ir, "a.example")[0]).toMatchObject({ denied: null, features: [] });
    expect(diagnostics[0]).toMatchObject({
      field: "data.limit",
      message: expect.stringContaining("the default applies"),
    });
  });
});

describe("what is remembered of an unchanged Ingress", () => {
  const parser = limitParser("ignore");
  const parsers = [parser];
  const same = web({ [`${prefix}unknown`]: "x" });
  const configOf = (ir: RoutingIr): unknown => routesOf(ir, "a.example")[0]?.features[0]?.config;

  test("is used again, diagnostics included", () => {
    const first = translate([same, backend, configMap({ limit: "3" })], options(parser, { parsers }));
    const second = translate([same, backend, configMap({ limit: "3" })], options(parser, { parsers }));
    expect(second).toEqual(first);
    expect(routesOf(second.ir, "a.example")[0]?.features).toBe(routesOf(first.ir, "a.example")[0]?.features);
    expect(second.diagnostics.map((each) => each.reason)).toContain("UnknownAnnotation");
  });

  test("is not used when the settings, the parsers or the prefix have changed", () => {
    const at = (data: Record<string, string>, rest: Partial<TranslateOptions> = {}): RoutingIr =>
      translate([same, backend, configMap(data)], options(parser, { parsers, ...rest })).ir;
    expect(configOf(at({ limit: "3" }))).toBe(3);
    expect(configOf(at({ limit: "4" }))).toBe(4);
    const twice = { ...parser, parse: () => "other" };
    expect(configOf(at({ limit: "4" }, { parsers: [twice] }))).toBe("other");
    expect(routesOf(at({ "block-cidrs": "10.0.0.0/8" }), "a.example")[0]?.denied).toMatch(/block-cidrs/);
    expect(routesOf(at({}), "a.example")[0]?.denied).toBeNull();
    const renamed = translate(
      [same, backend, configMap({})],
      options(parser, { parsers, annotationsPrefix: "other.example" }),
    );
    expect(renamed.diagnostics.map((each) => each.reason)).not.toContain("UnknownAnnotation");
  });
});

describe("the last good certificate", () => {
  const [good, other] = [testPair("first"), testPair("second")];
  const secretWith = (crt: string, key: string): KubeObject =>
    object({
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "tls" },
      stringData: { "tls.crt": crt, "tls.key": key },
    });
  const tls = (host: string): KubeObject =>
    object(ingress("web", { rules: [rule(host, {})], tls: [{ hosts: [host], secretName: "tls" }] }));
  const certificate = translate(
    [tls("a.example"), secretWith(good.crt, good.key)],
    options(limitParser("deny")),
  ).ir.certificates[0]!;
  const broken = secretWith(good.crt, other.key);
  const rest = { lastGoodCertificates: new Map([["default/tls", certificate]]) };

  test("serves for a Secret that is broken now, when it covers the host", () => {
    expect(translate([tls("a.example"), broken], options(limitParser("deny"), rest)).ir.certificates).toEqual(
      [certificate],
    );
    expect(translate([tls("b.example"), broken], options(limitParser("deny"), rest)).ir.certificates).toEqual(
      [],
    );
  });

  test("does not serve for a Secret that is gone, nor for one that is good", () => {
    expect(translate([tls("a.example")], options(limitParser("deny"), rest)).ir.certificates).toEqual([]);
    const { ir } = translate(
      [tls("a.example"), secretWith(other.crt, other.key)],
      options(limitParser("deny"), rest),
    );
    expect(ir.certificates.map((each) => each.chain)).toEqual([other.crt]);
  });
});
