import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Balancer } from "../../../src/proxy/upstream/balancer/balancer.ts";
import { createBalancer } from "../../../src/proxy/upstream/balancer/create.ts";
import { defaultUpstreamSettings } from "../../../src/proxy/routing/upstream-settings.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { request } from "../routing/ir-builder.ts";
import { FakeSource, parseEndpoints as parse, type FakeEndpoint } from "./fakes.ts";

const anyRequest = request("a.example/");

function setUp(text: string, random = 0) {
  const source = new FakeSource();
  const balancer: Balancer<FakeEndpoint> = createBalancer(
    { ...defaultUpstreamSettings, ejectedPercentMax: 100, panicPercent: 1 },
    { source, clock: new ManualClock(), random: () => random },
  );
  balancer.update(parse(text));
  const next = (...tried: readonly string[]): string =>
    balancer.pick(
      tried.map((address) => source.get(address)),
      anyRequest,
    )?.address ?? "none";
  const picks = (count: number): string => Array.from({ length: count }, () => next()).join(" ");
  const eject = (...addresses: readonly string[]): void => {
    for (const address of addresses) source.get(address).isUsable = false;
  };
  return { source, balancer, next, picks, eject };
}

describe("round robin", () => {
  test.each([
    ["a b c", 6, "a b c a b c"],
    ["a:7 b:7", 4, "a b a b"],
    // The example of nginx's own description.
    ["a:5 b:1 c:1", 7, "a a b a c a a"],
    ["a:2 b:1", 6, "a b a a b a"],
    ["a", 3, "a a a"],
    ["", 1, "none"],
  ])("over %j picks %i times %s", (endpoints, count, expected) => {
    expect(setUp(endpoints).picks(count)).toBe(expected);
  });

  test.each([
    ["a b c", 0.34, "b c a"],
    ["a b c", 0.99, "c a b"],
    ["a:5 b:1 c:1", 0.3, "b a c a a a a"],
  ])("over %j begins where %d says: %s", (endpoints, random, expected) => {
    const { picks } = setUp(endpoints, random);
    expect(picks(expected.split(" ").length)).toBe(expected);
  });

  test("gives every endpoint exactly its weight over a cycle, wherever it begins", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 1, maxLength: 12 }),
        fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
        (weights, random) => {
          const { next } = setUp(weights.map((weight, index) => `e${index}:${weight}`).join(" "), random);
          const counts = weights.map(() => 0);
          for (let i = weights.reduce((sum, weight) => sum + weight, 0); i > 0; i--) {
            const index = Number(next().slice(1));
            counts[index] = (counts[index] ?? 0) + 1;
          }
          expect(counts).toEqual(weights);
        },
      ),
    );
  });
});

describe.each(["a b c", "a:3 b:2 c:1"])("over %j", (endpoints) => {
  test("an endpoint that was tried is not picked while another is left", () => {
    const { next } = setUp(endpoints);
    for (let i = 0; i < 20; i++) {
      expect(next("a")).not.toBe("a");
      expect(next("a", "c")).toBe("b");
    }
  });

  test("one that was tried is picked when all were", () => {
    const { next, eject } = setUp(endpoints);
    expect(next("a", "b", "c")).not.toBe("none");
    eject("a", "b");
    expect(next("a", "b", "c")).toBe("c");
  });

  test("ejected endpoints are skipped", () => {
    const { picks, eject } = setUp(endpoints);
    eject("b");
    expect(picks(30)).not.toContain("b");
    expect(new Set(picks(30).split(" "))).toEqual(new Set(["a", "c"]));
  });

  test("an ejected endpoint comes before one that this request has tried", () => {
    const { next, eject } = setUp(endpoints);
    eject("b", "c");
    expect(next("a")).not.toBe("a");
    expect(next()).toBe("a");
  });

  test("when all are ejected, all count", () => {
    const { picks, eject } = setUp(endpoints);
    eject("a", "b", "c");
    expect(new Set(picks(30).split(" "))).toEqual(new Set(["a", "b", "c"]));
  });

  test("an endpoint that comes back gets its share, not a burst", () => {
    const { source, picks, eject } = setUp(endpoints);
    eject("a");
    picks(100);
    source.get("a").isUsable = true;
    expect(
      picks(6)
        .split(" ")
        .filter((each) => each === "a").length,
    ).toBeLessThanOrEqual(4);
  });
});

describe("an update", () => {
  test("without a change leaves the order of picks as it is", () => {
    for (const endpoints of ["a b c d", "a:5 b:1 c:1"]) {
      const one = setUp(endpoints);
      const other = setUp(endpoints);
      const picks = Array.from({ length: 20 }, () => {
        other.balancer.update(parse(endpoints));
        return other.next();
      });
      expect(picks.join(" ")).toBe(one.picks(20));
    }
  });

  test("goes on with the endpoint whose turn it is", () => {
    const { balancer, picks } = setUp("a b c d");
    expect(picks(2)).toBe("a b");
    balancer.update(parse("0 a b c d"));
    expect(picks(2)).toBe("c d");
    balancer.update(parse("b c"));
    expect(picks(2)).toBe("b c");
  });

  test("that removes a heavy endpoint does not starve the light ones it leaves", () => {
    const { balancer, picks } = setUp("heavy:1000 a:2 b:1", 0.5);
    for (let i = 0; i < 40; i++) {
      balancer.update(parse("heavy:1000 a:2 b:1"));
      picks(37 * i);
      balancer.update(parse("a:2 b:1"));
      const counts = picks(12)
        .split(" ")
        .filter((each) => each === "a").length;
      expect(counts).toBeGreaterThanOrEqual(6);
      expect(counts).toBeLessThanOrEqual(10);
    }
  });

  test("turns a rotation into weights and back", () => {
    const { balancer, picks } = setUp("a b");
    picks(1);
    balancer.update(parse("a:3 b:1"));
    expect(picks(4).split(" ").toSorted().join("")).toBe("aaab");
    balancer.update(parse("a:3 b:3"));
    expect(["a b a", "b a b"]).toContain(picks(3));
  });

  test("holds exactly the endpoints of the upstream, and close gives them back", () => {
    const { source, balancer } = setUp("a b c");
    balancer.update(parse("b c d"));
    expect(source.held()).toEqual(["b", "c", "d"]);
    expect(balancer.endpoints.map(({ address }) => address)).toEqual(["b", "c", "d"]);
    balancer.update(parse("b c d"));
    expect(source.get("b").holders).toBe(1);
    balancer.close();
    expect(source.held()).toEqual([]);
    expect(balancer.pick([], anyRequest)).toBeNull();
  });
});
