import { describe, expect, test } from "vitest";
import { hsts } from "../../src/features/hsts/hsts.ts";
import { compiledRoute, parseFeature, snapshotWith, type Values } from "./feature-harness.ts";

function fieldsFor(configMap: Values) {
  const { features } = parseFeature(hsts, {}, configMap);
  const { responseFields, responseFieldsOverTls } = compiledRoute(snapshotWith({ features }));
  return { plain: responseFields.lines, tls: responseFieldsOverTls.lines };
}

describe("hsts", () => {
  test.each([
    [{}, "max-age=31536000; includeSubDomains"],
    [{ "hsts-max-age": "60" }, "max-age=60; includeSubDomains"],
    [{ "hsts-max-age": "0" }, "max-age=0; includeSubDomains"],
    [{ "hsts-include-subdomains": "false" }, "max-age=31536000"],
    [{ "hsts-preload": "true" }, "max-age=31536000; includeSubDomains; preload"],
    [{ "hsts-include-subdomains": "false", "hsts-preload": "true" }, "max-age=31536000; preload"],
    [{ "hsts-max-age": "1y" }, "max-age=31536000; includeSubDomains"],
  ])("%j sends %s over TLS, and nothing without", (configMap: Values, value) => {
    expect(fieldsFor(configMap)).toEqual({ plain: "", tls: `strict-transport-security: ${value}\r\n` });
  });

  test("replaces the field of the backend", () => {
    const { features } = parseFeature(hsts, {});
    const { responseFields, responseFieldsOverTls } = compiledRoute(snapshotWith({ features }));
    expect([...responseFields.names]).toEqual([]);
    expect([...responseFieldsOverTls.names]).toEqual(["strict-transport-security"]);
  });

  test("can be turned off", () => {
    expect(fieldsFor({ hsts: "false" })).toEqual({ plain: "", tls: "" });
  });

  test.each([
    [{ hsts: "off" }, "data.hsts: InvalidBoolean"],
    [{ "hsts-max-age": "-1" }, "data.hsts-max-age: InvalidInteger"],
    [{ "hsts-preload": "yes" }, "data.hsts-preload: InvalidBoolean"],
  ])("reports %j", (configMap: Values, expected) => {
    expect(parseFeature(hsts, {}, configMap).diagnostics.join()).toContain(expected);
  });
});
