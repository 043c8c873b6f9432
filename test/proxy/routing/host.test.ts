import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { findVirtualHost, parseAuthority } from "../../../src/proxy/routing/host.ts";
import { compile } from "../../../src/proxy/routing/table.ts";
import { routingIr } from "./ir-builder.ts";

describe("parseAuthority", () => {
  test.each([
    ["foo.example", "foo.example"],
    ["FOO.Example", "foo.example"],
    ["foo.example:80", "foo.example"],
    ["foo.example:", "foo.example"],
    ["foo.example.", "foo.example"],
    ["Foo.example.:8080", "foo.example"],
    ["foo.example:65535", "foo.example"],
    ["foo.example:0080", "foo.example"],
    ["foo_bar.example", "foo_bar.example"],
    ["localhost", "localhost"],
    ["10.0.0.1:80", "10.0.0.1"],
    ["a~b!c$d&e'f(g)h*i+j;k=l", "a~b!c$d&e'f(g)h*i+j;k=l"],
    ["[::1]", "[::1]"],
    ["[::1]:", "[::1]"],
    ["[FD00::A]:8443", "[fd00::a]"],
    ["[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]"],
  ])("reads %s as %s", (authority, host) => {
    expect(parseAuthority(authority)).toBe(host);
  });

  test.each([
    "",
    ".",
    "..",
    ":80",
    ".:80",
    ".foo.example",
    "foo..example",
    "foo.example..",
    "user@foo.example",
    "user:pass@foo.example",
    "foo.example/",
    "foo.example/path",
    "foo example",
    " foo.example",
    "foo.example ",
    "a,b",
    "a, b",
    "foo.example:80:80",
    "foo.example:80a",
    "foo.example:+80",
    "foo.example:-1",
    "foo.example: 80",
    "foo.example:65536",
    "foo.example:99999999999999999999",
    "%66oo.example",
    "foo\\bar",
    "foo?",
    "foo#",
    "foo\0",
    "foo\r\n",
    "foo\t",
    "f\u00fc.example",
    "f\u0141.example",
    "::1",
    "fd00::1",
    "[::1",
    "::1]",
    "[]",
    "[::1]x",
    "[::1]80",
    "[::1]:x",
    "[::1]:65536",
    "[fe80::1%eth0]",
    "[v1.a]",
    "[10.0.0.1]",
    "a[::1]",
    "[::1]]",
  ])("refuses %j", (authority) => {
    expect(parseAuthority(authority)).toBeNull();
  });

  test("never throws, and what it returns is its own host", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.domain(), fc.webAuthority()), (text) => {
        const host = parseAuthority(text);
        if (host === null) return;
        expect(parseAuthority(host)).toBe(host);
        expect(host).toBe(host.toLowerCase());
        expect(host).toMatch(/^[^\s/@,%]+$/);
      }),
    );
  });
});

describe("findVirtualHost", () => {
  const { table } = compile(
    routingIr({
      hosts: { "foo.example": [], "*.foo.example": [], "a.foo.example": [], "*.bar.example": [] },
    }),
    new Map(),
    null,
  );

  test.each([
    ["foo.example", "foo.example"],
    ["a.foo.example", "a.foo.example"],
    ["b.foo.example", "*.foo.example"],
    ["b_1-2.foo.example", "*.foo.example"],
    ["x.a.foo.example", ""],
    ["a.b.foo.example", ""],
    ["bar.example", ""],
    ["x.bar.example", "*.bar.example"],
    ["a~b.foo.example", ""],
    ["a@b.foo.example", ""],
    ["example", ""],
    ["[::1]", ""],
    ["10.0.0.1", ""],
    ["", ""],
    ["*.foo.example", ""],
  ])("%s is served by %j", (host, expected) => {
    expect(findVirtualHost(table, host).host).toBe(expected);
  });
});
