import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { normalizePath, pathBytes, prefixKey } from "../../../src/proxy/routing/path.ts";

describe("normalizePath", () => {
  test.each([
    ["/", "/"],
    ["/?", "/"],
    ["/a/b", "/a/b"],
    ["/a/b/", "/a/b/"],
    ["/a?b=/../..", "/a"],
    ["/a?b?c", "/a"],
    ["/a?%", "/a"],
    ["/A/b", "/A/b"],
    ["//", "/"],
    ["///a", "/a"],
    ["//evil.example/a", "/evil.example/a"],
    ["/a//b", "/a/b"],
    ["/a///", "/a/"],
    ["/.", "/"],
    ["/./", "/"],
    ["/a/.", "/a/"],
    ["/a/./b", "/a/b"],
    ["/a/..", "/"],
    ["/a/../", "/"],
    ["/a/../b", "/b"],
    ["/a/b/..", "/a/"],
    ["/a/b/../", "/a/"],
    ["/a//../b", "/b"],
    ["/a/b/../../c", "/c"],
    ["/.a", "/.a"],
    ["/..a", "/..a"],
    ["/a..", "/a.."],
    ["/a../b", "/a../b"],
    ["/...", "/..."],
    ["/.well-known/acme-challenge/x", "/.well-known/acme-challenge/x"],
    ["/a;b=c/d", "/a;b=c/d"],
    ["/a/..;/b", "/a/..;/b"],
    ["/a\\b", "/a\\b"],
    ["/a%5cb", "/a\\b"],
    ["/%61", "/a"],
    ["/%4A%4a", "/JJ"],
    ["/a%2fb", "/a/b"],
    ["/a%2F%2fb", "/a/b"],
    ["/a/%2e%2e/b", "/b"],
    ["/a/.%2E/b", "/b"],
    ["/a%2f..%2fb", "/b"],
    ["/a%3fb", "/a?b"],
    ["/a%23b", "/a#b"],
    ["/a%25", "/a%"],
    ["/a%252e%252e/b", "/a%2e%2e/b"],
    ["/a%20b+c", "/a b+c"],
    ["/caf%C3%A9", "/caf\u00c3\u00a9"],
    ["/caf\u00c3\u00a9", "/caf\u00c3\u00a9"],
    ["/%ff%80", "/\u00ff\u0080"],
  ])("reads %j as %j", (target, path) => {
    expect(normalizePath(target)).toBe(path);
  });

  test.each([
    "",
    "*",
    "a",
    "?a",
    "http://a/",
    "/%",
    "/%a",
    "/%zz",
    "/%1g",
    "/%g1",
    "/% 1",
    "/%-1",
    "/%u0041",
    "/a%?41",
    "/%00",
    "/a%00b",
    "/..",
    "/../a",
    "/a/../..",
    "/a/../../b",
    "/%2e%2e",
    "/..%2fa",
    "//..",
    "/./../a",
  ])("refuses %j", (target) => {
    expect(normalizePath(target)).toBeNull();
  });

  test("is the same for a path and for the same path with every byte encoded", () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom("a", "B", "/", ".", "..", "~", ";"), { maxLength: 12 }),
        (parts) => {
          const text = parts.join("");
          const encoded = text
            .split("")
            .map((char) => `%${char.charCodeAt(0).toString(16)}`)
            .join("");
          expect(normalizePath(`/${encoded}`)).toBe(normalizePath(`/${text}`));
        },
      ),
      { numRuns: 2_000 },
    );
  });

  const anyTarget = fc.oneof(
    fc.string({ unit: "binary" }),
    fc
      .array(fc.constantFrom("/", ".", "..", "%2e", "%2f", "%00", "%", "a", "?", ";", "\\"), {
        maxLength: 20,
      })
      .map((parts) => `/${parts.join("")}`),
  );

  test("never throws, begins with a slash, and leaves no dot segment and no empty element", () => {
    fc.assert(
      fc.property(anyTarget, (target) => {
        const path = normalizePath(target);
        if (path === null) return;
        expect(path[0]).toBe("/");
        expect(path).not.toMatch(/\/\.{0,2}\/|\/\.{1,2}$/);
      }),
      { numRuns: 5_000 },
    );
  });

  test("takes time linear in the length of the target", () => {
    const slashes = `/${"a/../".repeat(20_000)}`;
    const start = performance.now();
    expect(normalizePath(slashes)).toBe("/");
    expect(normalizePath(`/${"%2e%2e%2f".repeat(20_000)}`)).toBeNull();
    expect(normalizePath(`/${"%61".repeat(20_000)}`)).toHaveLength(20_001);
    expect(performance.now() - start).toBeLessThan(1_000);
  });
});

test.each([
  ["/", ""],
  ["/a", "/a"],
  ["/a/", "/a"],
  ["/a/b/", "/a/b"],
])("the key of the prefix %s is %j", (path, key) => {
  expect(prefixKey(path)).toBe(key);
});

test("turns text into the bytes of its UTF-8", () => {
  expect(pathBytes("/caf\u00e9")).toBe("/caf\u00c3\u00a9");
  expect(pathBytes("/a")).toBe("/a");
});
