import { describe, expect, test } from "vitest";
import type { RoutingIr, VirtualHostIr } from "../../../src/ir/routing.ts";
import { certificatesFor } from "../../../src/proxy/routing/certificates.ts";
import { compile } from "../../../src/proxy/routing/table.ts";

const host = (name: string, isTls: boolean, certificates: readonly string[]): VirtualHostIr => ({
  host: name,
  isTls,
  certificates,
  routes: [],
});

const ir: RoutingIr = {
  virtualHosts: [
    host("", true, ["rsa-default"]),
    host("*.foo.example", true, ["wildcard"]),
    host("*.plain.example", false, []),
    host("a.foo.example", true, ["rsa-a", "ec-a"]),
    host("b.foo.example", true, []),
    host("plain.example", false, []),
  ],
  upstreams: [],
  endpoints: [],
  certificates: ["ec-a", "rsa-a", "rsa-default", "wildcard"].map((id) => ({
    id,
    secret: { kind: "Secret", namespace: "default", name: id },
    chain: "",
    key: "",
    keyType: "rsa",
    names: [],
    notAfter: "",
  })),
  defaultCertificate: "rsa-default",
  defaultBackend: null,
};

describe("certificatesFor", () => {
  const { table } = compile(ir, new Map(), null);
  test.each([
    ["a.foo.example", ["rsa-a", "ec-a"]],
    ["A.Foo.Example.", ["rsa-a", "ec-a"]],
    ["c.foo.example", ["wildcard"]],
    // Its own entry, with a Secret that is not usable, hides the wildcard.
    ["b.foo.example", []],
    ["x.a.foo.example", []],
    ["foo.example", []],
    ["plain.example", []],
    ["x.plain.example", []],
    ["unknown.example", []],
    ["10.0.0.1", []],
    [".", []],
    [".foo.example", []],
    ["", []],
  ])("%j gets %j", (serverName, expected) => {
    expect(certificatesFor(table, serverName).map(({ id }) => id)).toEqual(expected);
  });

  test("the default certificate is in the table", () => {
    expect(table.defaultCertificate?.id).toBe("rsa-default");
  });

  test("a certificate that the IR does not have is a problem, not a failure", () => {
    const { table } = compile({ ...ir, certificates: ir.certificates.slice(1) }, new Map(), null);
    expect(certificatesFor(table, "a.foo.example").map(({ id }) => id)).toEqual(["rsa-a"]);
    expect(table.problems).toEqual(["host a.foo.example: a certificate is missing"]);
  });
});
