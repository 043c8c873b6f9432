import { crc32 as zlibCrc32 } from "node:zlib";
import { describe, expect, test } from "vitest";
import { Ring } from "../../../src/proxy/upstream/balancer/ring.ts";
import { crc32, crc32OfUint32 } from "../../../src/util/crc32.ts";

describe("CRC-32", () => {
  test.each(["", "a", "123456789", "/path?query=1", "\u00e9\u00ff\u0000"])(
    "of %j is that of zlib over its bytes",
    (text) => {
      expect(crc32(text)).toBe(zlibCrc32(Buffer.from(text, "latin1")));
    },
  );

  test("goes on where another one ended", () => {
    expect(crc32("6789", crc32("12345"))).toBe(crc32("123456789"));
    expect(crc32OfUint32(0x34333231, 0)).toBe(crc32("1234"));
  });
});

describe("the ring", () => {
  // Computed by another program after the description of lua-resty-balancer.
  const nodes = ["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:8080"].map((key) => ({ key, weight: 1 }));
  test.each([
    ["", 2],
    ["/", 0],
    ["/a", 1],
    ["/b?c=d", 1],
    ["192.0.2.1", 2],
    ["1622637186.943.43.622155", 0],
    ["user-17", 0],
    ["1700000000.12.3", 2],
    ["x", 1],
    ["aaa", 1],
  ])("places %j as ingress-nginx does: at node %i", (key, node) => {
    const ring = new Ring(nodes);
    expect(ring.owner(ring.find(crc32(key)))).toBe(node);
  });

  test("without nodes has no owner for anything", () => {
    const ring = new Ring([]);
    expect(ring.owner(ring.find(7))).toBe(-1);
  });

  test("has a place for the smallest and the largest hash", () => {
    const ring = new Ring(nodes);
    for (const hash of [0, 0xffff_ffff]) expect([0, 1, 2]).toContain(ring.owner(ring.find(hash)));
    expect(ring.before(0)).toBe(479);
  });

  test("gives points by weight, and each node at least one", () => {
    const ring = new Ring([
      { key: "heavy", weight: 100_000 },
      { key: "light", weight: 1 },
    ]);
    const owners = new Set(Array.from({ length: 321 }, (_, point) => ring.owner(point)));
    expect(owners).toEqual(new Set([0, 1, -1]).difference(new Set(owners.has(-1) ? [] : [-1])));
  });
});
