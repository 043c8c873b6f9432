// Every policy, by seeded chance: shares, exclusions, slow start, and what moves when endpoints come and go.
import { describe, expect, test } from "vitest";
import type { UpstreamSettings } from "../../../src/proxy/filter.ts";
import type { Balancer } from "../../../src/proxy/upstream/balancer/balancer.ts";
import { createBalancer } from "../../../src/proxy/upstream/balancer/create.ts";
import { defaultUpstreamSettings } from "../../../src/proxy/routing/upstream-settings.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { request } from "../routing/ir-builder.ts";
import { misfit } from "./chi-square.ts";
import { FakeSource, parseEndpoints, seededRandom, type FakeEndpoint } from "./fakes.ts";

const byTarget = { parts: [{ kind: "target" }], subsetSize: 0, loadFactorMax: 0 } as const;
const session = { cookieName: "route", changesOnFailure: false } as const;

const policies: Readonly<Record<string, Partial<UpstreamSettings>>> = {
  round_robin: {},
  ewma: { policy: "ewma" },
  least_request: { policy: "least_request" },
  hash: { hash: byTarget },
  "hash with bounded load": { hash: { ...byTarget, loadFactorMax: 1.25 } },
  "hash to subsets": { hash: { ...byTarget, subsetSize: 2 } },
  "balanced sessions": { affinity: { ...session, mode: "balanced" } },
  "persistent sessions": { affinity: { ...session, mode: "persistent" } },
};

function setUp(settings: Partial<UpstreamSettings>, endpoints: string, seed = 1) {
  const source = new FakeSource();
  const clock = new ManualClock();
  const balancer: Balancer<FakeEndpoint> = createBalancer(
    {
      ...defaultUpstreamSettings,
      ejectedPercentMax: 100,
      panicPercent: 1,
      name: "default-web-80",
      ...settings,
    },
    { source, clock, random: seededRandom(seed) },
  );
  balancer.update(parseEndpoints(endpoints));
  let requests = 0;
  /** Each request has another target, and brings `cookie`. */
  const next = (tried = "", { target = `/${(requests += 1)}`, cookie = "" } = {}): string => {
    const view = request(`a.example${target}`, cookie === "" ? {} : { fields: { cookie } });
    const found = balancer.pick(
      parseEndpoints(tried).map(({ address }) => source.get(address)),
      view,
    );
    return found?.address ?? "none";
  };
  const count = (times: number, take: () => string = next): number[] => {
    const counts = new Map(parseEndpoints(endpoints).map(({ address }) => [address, 0]));
    for (let i = 0; i < times; i += 1) {
      const address = take();
      counts.set(address, (counts.get(address) ?? 0) + 1);
    }
    return [...counts.values()];
  };
  const eject = (addresses: string): void => {
    for (const { address } of parseEndpoints(addresses)) source.get(address).isUsable = false;
  };
  return { source, clock, balancer, next, count, eject };
}

const names = (count: number): string => Array.from({ length: count }, (_, i) => `10.0.0.${i + 1}`).join(" ");

describe.each(Object.entries(policies))("%s", (_name, settings) => {
  test("without endpoints picks none, with one that one in every case", () => {
    expect(setUp(settings, "").next()).toBe("none");
    const { next, eject } = setUp(settings, "a");
    expect([next(), next("a")]).toEqual(["a", "a"]);
    eject("a");
    expect([next(), next("a")]).toEqual(["a", "a"]);
  });

  test("prefers endpoints not tried and not ejected, then not tried, then any", () => {
    const { next, eject } = setUp(settings, "a b c d");
    for (let i = 0; i < 50; i += 1) {
      expect("bcd").toContain(next("a"));
      expect(next("a b d")).toBe("c");
      expect("abcd").toContain(next("a b c d"));
    }
    eject("c d");
    for (let i = 0; i < 50; i += 1) {
      expect("ab").toContain(next());
      expect(next("a")).toBe("b");
      expect("cd").toContain(next("a b"));
    }
    eject("a b");
    for (let i = 0; i < 50; i += 1) expect("abcd").toContain(next());
  });

  test("reaches every endpoint, and after an update those of the update", () => {
    const { source, balancer, count, next } = setUp(settings, "a b c");
    expect(Math.min(...count(300))).toBeGreaterThan(0);
    balancer.update(parseEndpoints("b c d"));
    expect(new Set(Array.from({ length: 300 }, () => next()))).toEqual(new Set(["b", "c", "d"]));
    expect(source.held()).toEqual(["b", "c", "d"]);
    expect(balancer.endpoints.map(({ address }) => address)).toEqual(["b", "c", "d"]);
    balancer.close();
    expect(source.held()).toEqual([]);
    expect(next()).toBe("none");
  });

  test("has no key for a request unless a session began with it", () => {
    const { balancer, next } = setUp(settings, "a b c");
    next();
    expect(balancer.sessionKey !== "").toBe(settings.affinity !== undefined);
    if (balancer.sessionKey === "") return;
    next("", { cookie: `route=${balancer.sessionKey}|x` });
    expect(balancer.sessionKey).toBe("");
  });
});

describe("shares", () => {
  const drawn = ["round_robin", "ewma", "least_request", "persistent sessions"] as const;

  test.each(drawn)("of %s are even", (name) => {
    for (const size of [2, 3, 7, 100]) {
      for (const seed of [1, 2, 3]) {
        const { count } = setUp(policies[name] ?? {}, names(size), seed);
        expect(misfit(count(200 * size), Array(size).fill(1))).toBeLessThan(1);
      }
    }
  });

  test.each(drawn)("of %s follow the weights", (name) => {
    const { count } = setUp(policies[name] ?? {}, "a:5 b:1 c:3 d:1");
    expect(misfit(count(10_000), [5, 1, 3, 1])).toBeLessThan(1);
    const skewed = setUp(policies[name] ?? {}, "a:1000 b:1 c:1");
    expect(misfit(skewed.count(20_000), [1000, 1, 1])).toBeLessThan(1);
  });

  test.each(drawn)("of %s are even among what is left when most are ejected", (name) => {
    const { count, eject } = setUp(policies[name] ?? {}, names(40));
    eject(names(37));
    const counts = count(3_000);
    expect(counts.slice(0, 37).every((each) => each === 0)).toBe(true);
    expect(misfit(counts.slice(37), [1, 1, 1])).toBeLessThan(1);
  });

  test.each(["hash", "hash with bounded load", "balanced sessions"])(
    "of %s are those of the ring, which are nearly even, and follow the weights",
    (name) => {
      const { count } = setUp(policies[name] ?? {}, names(10));
      const reference = count(200_000);
      // Other keys find the same shares.
      expect(misfit(count(20_000), reference)).toBeLessThan(1);
      expect(Math.max(...reference)).toBeLessThan(20_000 * 1.25);
      expect(Math.min(...reference)).toBeGreaterThan(20_000 * 0.75);
      // One ring is off by a few per cent; on average over many it is not.
      let heavy = 0;
      for (let i = 1; i <= 30; i += 1) {
        heavy += setUp(policies[name] ?? {}, `10.0.${i}.1:4 10.0.${i}.2:1`, i).count(1_000)[0] ?? 0;
      }
      expect(heavy / 30_000).toBeGreaterThan(0.78);
      expect(heavy / 30_000).toBeLessThan(0.82);
    },
  );

  test("of a subset are even among its members", () => {
    const { count, next } = setUp({ hash: { ...byTarget, subsetSize: 3 } }, "a b c d e f");
    const counts = count(6_000, () => next("", { target: "/one" }));
    const members = counts.filter((each) => each > 0);
    expect(members).toHaveLength(3);
    expect(misfit(members, [1, 1, 1])).toBeLessThan(1);
  });
});

describe("least_request", () => {
  test("takes the one of two with fewer active requests, so that all have about as many", () => {
    const { source, count, next } = setUp({ policy: "least_request" }, names(10));
    const counts = count(1_000, () => {
      const address = next();
      source.get(address).active += 1;
      return address;
    });
    expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(6);
  });

  test("leaves a slow endpoint alone while others are free", () => {
    const { source, next } = setUp({ policy: "least_request" }, "a b");
    source.get("a").active = 1;
    for (let i = 0; i < 20; i += 1) expect(next()).toBe("b");
  });
});

describe("ewma", () => {
  test("goes to the faster one of two, and forgets what is long ago", () => {
    const { source, clock, next, count } = setUp({ policy: "ewma" }, "a b");
    source.get("a").latency.observe(100, clock.nowMs());
    source.get("b").latency.observe(10, clock.nowMs());
    for (let i = 0; i < 20; i += 1) expect(next()).toBe("b");
    // Ten times as slow is forgotten in ln 10 times the decay.
    clock.advanceMs(20_000);
    source.get("b").latency.observe(10, clock.nowMs());
    expect(next()).toBe("b");
    clock.advanceMs(4_000);
    source.get("b").latency.observe(10, clock.nowMs());
    expect(count(20)[0]).toBe(20);
  });

  test("counts the requests that wait there", () => {
    const { source, clock, next } = setUp({ policy: "ewma" }, "a b");
    source.get("a").latency.observe(30, clock.nowMs());
    source.get("b").latency.observe(10, clock.nowMs());
    source.get("b").active = 3;
    expect(next()).toBe("a");
  });

  test("a new endpoint starts at the average of the others", () => {
    const { source, clock, balancer } = setUp({ policy: "ewma" }, "a b");
    source.get("a").latency.observe(100, clock.nowMs());
    source.get("b").latency.observe(20, clock.nowMs());
    balancer.update(parseEndpoints("a b c"));
    expect(source.get("c").latency.valueMs(clock.nowMs())).toBe(60);
  });

  test("a peak counts at once, and recovery takes its time", () => {
    const { source, clock } = setUp({ policy: "ewma" }, "a");
    const { latency } = source.get("a");
    latency.observe(10, clock.nowMs());
    latency.observe(500, clock.nowMs());
    expect(latency.valueMs(clock.nowMs())).toBe(500);
    clock.advanceMs(1_000);
    latency.observe(10, clock.nowMs());
    expect(latency.valueMs(clock.nowMs())).toBeCloseTo(500 * Math.exp(-0.1) + 10 * (1 - Math.exp(-0.1)), 6);
  });
});

describe("slow start", () => {
  test.each(["round_robin", "ewma", "least_request", "persistent sessions"])(
    "with %s gives a new endpoint a share that grows from a tenth",
    (name) => {
      const { balancer, clock, count, next } = setUp({ ...policies[name], slowStartMs: 10_000 }, "a b");
      expect(misfit(count(2_000), [1, 1])).toBeLessThan(1);
      balancer.update(parseEndpoints("a b c"));
      const shareOfNew = (): number => {
        let found = 0;
        for (let i = 0; i < 4_000; i += 1) if (next() === "c") found += 1;
        return found / 4_000;
      };
      expect(shareOfNew()).toBeCloseTo(0.1 / 2.1, 1);
      clock.advanceMs(5_000);
      expect(shareOfNew()).toBeCloseTo(0.5 / 2.5, 1);
      clock.advanceMs(5_000);
      expect(shareOfNew()).toBeCloseTo(1 / 3, 1);
    },
  );

  test("round robin is a plain rotation again afterwards", () => {
    const { balancer, clock, next } = setUp({ slowStartMs: 1_000 }, "a b");
    balancer.update(parseEndpoints("a b c"));
    for (let i = 0; i < 7; i += 1) next();
    clock.advanceMs(1_000);
    next();
    const rotation = Array.from({ length: 6 }, () => next());
    expect(rotation.slice(0, 3)).toEqual(rotation.slice(3));
    expect(new Set(rotation).size).toBe(3);
  });

  test("spares the endpoints that are there first, and those that come back to none", () => {
    const { balancer, count, next } = setUp({ policy: "least_request", slowStartMs: 10_000 }, "a b");
    balancer.update([]);
    balancer.update(parseEndpoints("a b"));
    expect(misfit(count(2_000), [1, 1])).toBeLessThan(1);
    expect(next()).not.toBe("none");
  });
});

describe("hashing", () => {
  const keys = Array.from({ length: 10_000 }, (_, i) => `/item/${i}?user=${i % 77}`);

  test("sends equal keys to one endpoint, in every replica and in any order of endpoints", () => {
    const one = setUp({ hash: byTarget }, names(5), 1);
    const other = setUp({ hash: byTarget }, names(5).split(" ").toReversed().join(" "), 2);
    for (const target of keys.slice(0, 500)) {
      expect(other.next("", { target })).toBe(one.next("", { target }));
      expect(one.next("", { target })).toBe(one.next("", { target }));
    }
  });

  test.each([
    ["hash", 0.02],
    ["hash with bounded load", 0.02],
  ])("%s: when 1 of 100 endpoints goes, only its keys move, at most 2 %%", (name, moveMax) => {
    const { balancer, next } = setUp(policies[name] ?? {}, names(100));
    const before = keys.map((target) => next("", { target }));
    for (const gone of ["10.0.0.1", "10.0.0.50", "10.0.0.100"]) {
      balancer.update(parseEndpoints(names(100)).filter(({ address }) => address !== gone));
      let moved = 0;
      for (const [index, target] of keys.entries()) {
        const now = next("", { target });
        if (now === before[index]) continue;
        moved += 1;
        expect(before[index]).toBe(gone);
      }
      expect(moved).toBeGreaterThan(0);
      expect(moved / keys.length).toBeLessThanOrEqual(moveMax);
    }
  });

  test("a key whose endpoint is out of the question goes where it would go without it", () => {
    const { balancer, next, eject } = setUp({ hash: byTarget }, names(10));
    eject("10.0.0.4");
    const ejected = keys.slice(0, 2_000).map((target) => next("", { target }));
    balancer.update(parseEndpoints(names(10)).filter(({ address }) => address !== "10.0.0.4"));
    expect(keys.slice(0, 2_000).map((target) => next("", { target }))).toEqual(ejected);
  });

  test("with bounded load no endpoint gets more than its share allows, even if all keys are equal", () => {
    const { source, next } = setUp({ hash: { ...byTarget, loadFactorMax: 1.25 } }, names(10));
    for (let active = 0; active < 1_000; active += 1) {
      const address = next("", { target: "/hot" });
      const endpoint = source.get(address);
      expect(endpoint.active).toBeLessThan(Math.ceil((1.25 * (active + 1)) / 10));
      endpoint.active += 1;
    }
  });

  test("with bounded load a key stays where it is while there is room", () => {
    const { source, next } = setUp({ hash: { ...byTarget, loadFactorMax: 1.25 } }, names(10));
    const home = next("", { target: "/a" });
    for (const { address } of parseEndpoints(names(10))) source.get(address).active = 10;
    expect(next("", { target: "/a" })).toBe(home);
    source.get(home).active = 12;
    expect(next("", { target: "/a" })).toBe(home);
    source.get(home).active = 13;
    expect(next("", { target: "/a" })).not.toBe(home);
  });

  test("without a bound a key never leaves its endpoint", () => {
    const { source, next } = setUp({ hash: byTarget }, names(3));
    const home = next("", { target: "/hot" });
    source.get(home).active = 1_000;
    expect(next("", { target: "/hot" })).toBe(home);
  });

  test("fills the last subset up from the beginning of the list", () => {
    const { next } = setUp({ hash: { ...byTarget, subsetSize: 3 } }, "a b c d");
    const groups = new Set<string>();
    for (let i = 0; i < 50; i += 1) {
      const members = new Set(Array.from({ length: 60 }, () => next("", { target: `/${i}` })));
      groups.add([...members].sort().join(""));
    }
    expect(groups).toEqual(new Set(["abc", "abd"]));
  });
});

describe("sessions", () => {
  test.each(["balanced", "persistent"] as const)("%s: the cookie leads back to its endpoint", (mode) => {
    const { balancer, next } = setUp({ affinity: { ...session, mode } }, names(10));
    for (let i = 0; i < 200; i += 1) {
      const first = next();
      const cookie = `a=b; route=${balancer.sessionKey}|0123`;
      for (let again = 0; again < 3; again += 1) expect(next("", { cookie })).toBe(first);
      expect(next(first, { cookie })).toBe(first);
      expect(balancer.sessionKey).toBe("");
    }
  });

  test("balanced: every value names an endpoint; persistent: only those that were made for one", () => {
    const cookie = "route=whatever";
    const balanced = setUp({ affinity: { ...session, mode: "balanced" } }, names(10));
    const found = balanced.next("", { cookie });
    expect(balanced.next("", { cookie })).toBe(found);
    expect(balanced.balancer.sessionKey).toBe("");
    const persistent = setUp({ affinity: { ...session, mode: "persistent" } }, names(10));
    persistent.next("", { cookie });
    expect(persistent.balancer.sessionKey).not.toBe("");
  });

  test("an empty cookie is no session", () => {
    const { balancer, next } = setUp({ affinity: { ...session, mode: "balanced" } }, names(10));
    for (const cookie of ["route=", "route=|id", "other=1"]) {
      next("", { cookie });
      expect(balancer.sessionKey).not.toBe("");
    }
  });

  test("persistent: sessions stay when endpoints come, and move when theirs goes", () => {
    const { balancer, next } = setUp({ affinity: { ...session, mode: "persistent" } }, "a b");
    const first = next();
    const cookie = `route=${balancer.sessionKey}|x`;
    balancer.update(parseEndpoints("a b c d e f"));
    expect(next("", { cookie })).toBe(first);
    balancer.update(parseEndpoints("c d"));
    expect("cd").toContain(next("", { cookie }));
    expect(balancer.sessionKey).not.toBe("");
  });

  test("stay with an endpoint that was tried or is ejected, unless the cookie changes on failure", () => {
    for (const mode of ["balanced", "persistent"] as const) {
      for (const changesOnFailure of [false, true]) {
        const { balancer, next, eject } = setUp(
          { affinity: { ...session, mode, changesOnFailure } },
          "a b c",
        );
        const first = next();
        const cookie = `route=${balancer.sessionKey}|x`;
        const retry = next(first, { cookie });
        expect(retry === first).toBe(!changesOnFailure);
        expect(balancer.sessionKey === "").toBe(!changesOnFailure);
        eject(first);
        expect(next("", { cookie }) === first).toBe(!changesOnFailure);
      }
    }
  });

  test("a new session that cannot be at the first choice begins elsewhere, with a key that leads there", () => {
    for (const mode of ["balanced", "persistent"] as const) {
      const { balancer, next } = setUp({ affinity: { ...session, mode } }, "a b c");
      for (let i = 0; i < 100; i += 1) {
        const found = next("a b");
        expect(found).toBe("c");
        expect(next("", { cookie: `route=${balancer.sessionKey}` })).toBe("c");
      }
    }
  });

  test("persistent keys and balanced places are those of ingress-nginx", () => {
    const { balancer, source } = setUp({ affinity: { ...session, mode: "persistent" } }, "10.0.0.1");
    balancer.pick([], request("a.example/"));
    expect(source.get("10.0.0.1").key).toBe("10.0.0.1:80");
    expect(balancer.sessionKey).toBe("b8a5164e2e7ecbe8f77a2f43f836ec3d");
  });
});
