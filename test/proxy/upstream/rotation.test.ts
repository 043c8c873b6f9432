// What ejections and failed checks mean for an upstream as a whole.
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EjectionCause } from "../../../src/proxy/across-workers/endpoint-cells.ts";
import { makeSharedBuffers, SharedState } from "../../../src/proxy/across-workers/shared-state.ts";
import { defaultOutliers } from "../../../src/proxy/filter.ts";
import type { CompiledUpstreamSettings } from "../../../src/proxy/routing/snapshot.ts";
import { defaultUpstreamSettings } from "../../../src/proxy/routing/upstream-settings.ts";
import { createBalancer } from "../../../src/proxy/upstream/balancer/create.ts";
import {
  HealthRegistry,
  verdictKey,
  type EndpointHealth,
  type Judgement,
} from "../../../src/proxy/upstream/health.ts";
import { ejectedMax, judge } from "../../../src/proxy/upstream/rotation.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { request } from "../routing/ir-builder.ts";
import { seededRandom } from "./fakes.ts";

const anyRequest = request("a.example/");
const judgement: Judgement = { check: "check", outliers: defaultOutliers };

/** An upstream of `count` endpoints, as each of two workers has it. */
function setUp(count: number, settings: Partial<CompiledUpstreamSettings> = {}, reserve = 0) {
  const clock = new ManualClock();
  const buffers = makeSharedBuffers(2);
  const states = [0, 1, 2].map((worker) => new SharedState(buffers, worker));
  const endpoints = Array.from({ length: count }, (_, i) => ({
    address: `10.0.0.${i}`,
    port: 80,
    weight: 1,
    ...(i >= count - reserve ? { isReserve: true as const } : {}),
  }));
  const workers = states.slice(0, 2).map((state, worker) => {
    const registry = new HealthRegistry(clock, state.endpoints);
    const source = registry.judgedBy({ ...judgement, outliers: settings.outliers ?? defaultOutliers });
    const balancer = createBalancer<EndpointHealth>(
      { ...defaultUpstreamSettings, check: "check", ...settings },
      { source, clock, random: seededRandom(worker + 1) },
    );
    balancer.update(endpoints);
    return { registry, balancer };
  });
  const verdicts = endpoints.map(
    ({ address }) => states[2]!.endpoints.acquire(verdictKey(`${address}:80`, "check"), 0).cells,
  );
  const numberOf = (endpoint: EndpointHealth | null): number => Number(endpoint?.address.split(".")[3] ?? -1);
  const at = (index: number, worker = 0): EndpointHealth => workers[worker]!.balancer.endpoints[index]!;
  const pick = (tried: readonly number[] = [], worker = 0): number =>
    numberOf(
      workers[worker]!.balancer.pick(
        tried.map((index) => at(index, worker)),
        anyRequest,
      ),
    );
  /** Endpoints that requests go to, in order. */
  const used = (worker = 0): string =>
    [...new Set(Array.from({ length: 20 * count }, () => pick([], worker)))]
      .toSorted((a, b) => a - b)
      .join(" ");
  const eject = (...indexes: readonly number[]): void => {
    for (const index of indexes) {
      for (let i = 0; i < 3; i += 1) at(index).failed("refused");
      clock.advanceMs(1);
    }
  };
  const failCheck = (...indexes: readonly number[]): void => {
    for (const index of indexes) verdicts[index]!.failedCheck = true;
  };
  return { clock, workers, verdicts, at, pick, used, eject, failCheck };
}

describe("the share that may be ejected", () => {
  test.each([
    [0, 50, 0],
    [1, 50, 0],
    [1, 100, 0],
    [2, 50, 1],
    [2, 1, 1],
    [2, 0, 0],
    [3, 50, 1],
    [4, 50, 2],
    [5, 50, 2],
    [10, 10, 1],
    [10, 19, 1],
    [10, 20, 2],
    [10, 0, 0],
    [10, 100, 10],
  ])("of %i endpoints at %i %% is %i", (total, percent, expected) => {
    expect(ejectedMax(total, percent)).toBe(expected);
  });

  /** `e`: ejected, in this order; `c`: failed its check; `.`: neither. */
  test.each([
    ["....", 50, 20, { failedCheck: 0, ejected: 0, spared: [], isPanicking: false }],
    ["e...", 50, 20, { failedCheck: 0, ejected: 1, spared: [], isPanicking: false }],
    ["eee.", 50, 20, { failedCheck: 0, ejected: 2, spared: [2], isPanicking: false }],
    ["eeee", 50, 20, { failedCheck: 0, ejected: 2, spared: [2, 3], isPanicking: false }],
    ["ece.", 50, 20, { failedCheck: 1, ejected: 1, spared: [2], isPanicking: false }],
    ["ccee", 50, 20, { failedCheck: 2, ejected: 0, spared: [2, 3], isPanicking: false }],
    ["ccc.", 50, 20, { failedCheck: 3, ejected: 0, spared: [], isPanicking: false }],
    ["ccc.", 50, 26, { failedCheck: 3, ejected: 0, spared: [], isPanicking: true }],
    ["cccc", 50, 20, { failedCheck: 4, ejected: 0, spared: [], isPanicking: true }],
    ["cccc", 50, 0, { failedCheck: 4, ejected: 0, spared: [], isPanicking: false }],
    ["cccccccccc..", 50, 17, { failedCheck: 10, ejected: 0, spared: [], isPanicking: true }],
    ["cccccccccc..", 50, 16, { failedCheck: 10, ejected: 0, spared: [], isPanicking: false }],
    ["eeee", 100, 20, { failedCheck: 0, ejected: 4, spared: [], isPanicking: true }],
    ["e", 50, 20, { failedCheck: 0, ejected: 0, spared: [0], isPanicking: false }],
    ["", 50, 20, { failedCheck: 0, ejected: 0, spared: [], isPanicking: false }],
  ])("%s at %i %%, panic below %i %%", (text, ejectedPercentMax, panicPercent, expected) => {
    const endpoints = Array.from(text).map((each, index) => ({
      key: String(index),
      failedCheck: each === "c",
      isEjected: each === "e",
      ejectedAtMs: index,
    }));
    const { spared, ...counts } = judge(endpoints, { ejectedPercentMax, panicPercent });
    expect({ ...counts, spared: spared.map(({ key }) => Number(key)) }).toEqual({
      ...expected,
      total: text.length,
    });
  });
});

describe("an upstream", () => {
  test("goes on using what is ejected beyond the share, alike in every worker, until one is back", () => {
    const { at, used, eject, clock } = setUp(4);
    eject(2, 0, 3);
    expect([used(0), used(1)]).toEqual(["1 3", "1 3"]);
    at(2, 1).succeeded();
    expect([used(0), used(1)]).toEqual(["1 2", "1 2"]);
    clock.advanceMs(1_000);
    // Both trials are due.
    expect(used(0)).toBe("0 1 2 3");
  });

  test("counts failed checks in the share", () => {
    const { used, eject, failCheck, verdicts } = setUp(4);
    eject(0, 1);
    expect(used()).toBe("2 3");
    failCheck(3);
    expect(used()).toBe("1 2");
    failCheck(2);
    expect(used()).toBe("0 1");
    verdicts[3]!.failedCheck = false;
    verdicts[2]!.failedCheck = false;
    expect(used()).toBe("2 3");
  });

  test("sends requests to all when too few are usable, and to the usable ones again when they are enough", () => {
    const { workers, used, failCheck, verdicts } = setUp(10);
    failCheck(0, 1, 2, 3, 4, 5, 6, 7);
    expect([used(), workers[0]!.balancer.isPanicking]).toEqual(["8 9", false]);
    failCheck(8);
    expect([used(), workers[1]!.balancer.isPanicking]).toEqual(["0 1 2 3 4 5 6 7 8 9", true]);
    expect(used(1)).toBe("0 1 2 3 4 5 6 7 8 9");
    verdicts[4]!.failedCheck = false;
    expect([used(), workers[0]!.balancer.isPanicking]).toEqual(["4 9", false]);
  });

  test("tries the one whose turn comes first when it has no other, without waiting for it", () => {
    const { at, pick, used, eject, failCheck, clock } = setUp(4, { ejectedPercentMax: 100, panicPercent: 0 });
    failCheck(3);
    eject(1, 0, 2);
    expect([pick(), pick([1]), pick([1, 0])]).toEqual([1, 0, 2]);
    // All that is left has failed its check; better than nothing.
    expect(pick([0, 1, 2])).toBe(3);
    const isTrial = at(1).started();
    expect([isTrial, pick(), pick([], 1)]).toEqual([true, 0, 0]);
    clock.advanceMs(400);
    at(1).failed("refused");
    // Its time out has started again, and is no longer than before.
    expect([pick(), pick([0]), pick([0, 2])]).toEqual([0, 2, 1]);
    expect(at(1).report()).toMatchObject({ state: "ejected", trialInMs: 1_000, ejectionsTotal: 1 });
    at(2).started();
    at(2).succeeded();
    expect([used(0), used(1)]).toEqual(["2", "2"]);
  });

  test("tries any when a trial of each is under way", () => {
    const { at, used, eject } = setUp(3, { ejectedPercentMax: 100, panicPercent: 0 });
    eject(0, 1, 2);
    for (const index of [0, 1, 2]) at(index).started();
    expect(used()).toBe("0 1 2");
  });

  test.each(["round_robin", "least_request"] as const)(
    "of policy %s gives an endpoint that comes back a share that grows",
    (policy) => {
      const { clock, at, pick, eject, failCheck, verdicts } = setUp(4, { policy, slowStartMs: 10_000 });
      const share = (index: number): number => {
        const picks = Array.from({ length: 4_000 }, () => pick());
        return picks.filter((each) => each === index).length / picks.length;
      };
      expect(share(0)).toBeCloseTo(0.25, 1);
      eject(0);
      expect(share(0)).toBe(0);
      at(0).succeeded();
      expect(share(0)).toBeLessThan(0.07);
      clock.advanceMs(5_000);
      expect(share(0)).toBeLessThan(0.2);
      expect(share(0)).toBeGreaterThan(0.08);
      clock.advanceMs(5_000);
      expect(share(0)).toBeCloseTo(0.25, 1);
      failCheck(1);
      expect(share(1)).toBe(0);
      verdicts[1]!.failedCheck = false;
      expect(share(1)).toBeLessThan(0.07);
    },
  );
});

test("an upstream of many endpoints is counted now and then, and each one goes by its own state meanwhile", () => {
  const { at, used, clock } = setUp(200, { ejectedPercentMax: 1 });
  const isUsed = (): boolean[] => {
    const all = new Set(used().split(" "));
    return ["0", "1", "2"].map((each) => all.has(each));
  };
  expect(isUsed()).toEqual([true, true, true]);
  for (const index of [0, 1, 2]) for (let i = 0; i < 3; i += 1) at(index).failed("refused");
  // Out at once, though it is one too many.
  expect(isUsed()).toEqual([false, false, false]);
  clock.advanceMs(2);
  expect(isUsed()).toEqual([false, false, true]);
});

describe("a reserve", () => {
  test("gets nothing while one of the others is in rotation", () => {
    const { used, eject } = setUp(5, {}, 3);
    expect(used()).toBe("0 1");
    eject(0);
    expect(used()).toBe("1");
  });

  test("gets everything while none of the others is, and nothing once one is back", () => {
    const { at, used, eject, failCheck, verdicts, clock, pick } = setUp(5, {}, 3);
    eject(0, 1);
    expect(used()).toBe("2 3 4");
    clock.advanceMs(1_000);
    // The trials of the others are due.
    expect(new Set([pick(), pick()])).toEqual(new Set([0, 1]));
    at(1).started();
    at(1).succeeded();
    at(0).started();
    expect(used()).toBe("1");
    failCheck(1);
    expect(used()).toBe("2 3 4");
    verdicts[1]!.failedCheck = false;
    expect(used()).toBe("1");
  });

  test("is there for a request that has tried the others", () => {
    const { pick } = setUp(3, {}, 1);
    expect([pick([0]), pick([1]), pick([0, 1])]).toEqual([1, 0, 2]);
  });

  test("stands in for a single endpoint that is out", () => {
    const { pick, eject, used } = setUp(3, {}, 2);
    expect(used()).toBe("0");
    eject(0);
    expect(used()).toBe("1 2");
    expect(pick([1, 2])).toBe(0);
  });

  test("keeps the sessions that began in it, if their keys name it", () => {
    const affinity = { cookieName: "s", mode: "persistent", changesOnFailure: false } as const;
    const { workers, at, eject } = setUp(3, { affinity, name: "n" }, 1);
    const { balancer } = workers[0]!;
    eject(0, 1);
    // Two of three are too many: spared is the one that was ejected last.
    expect(balancer.pick([at(1)], anyRequest)).toBe(at(2));
    const fields = { cookie: `s=${balancer.sessionKey}|x` };
    at(0).succeeded();
    at(1).succeeded();
    expect(balancer.pick([], anyRequest)).not.toBe(at(2));
    expect(balancer.pick([], request("a.example/", { fields }))).toBe(at(2));
    expect(balancer.sessionKey).toBe("");
  });
});

test("whatever happens: a pick leads somewhere, and no more are out than the share", () => {
  const event = fc.record({
    worker: fc.integer({ min: 0, max: 1 }),
    index: fc.nat(),
    kind: fc.constantFrom(
      "failed",
      "failed",
      "failed",
      "bad",
      "bad",
      "good",
      "broke",
      "check",
      "pick",
      "wait",
    ),
    ms: fc.integer({ min: 0, max: 3_000 }),
  });
  const outliers = { ...defaultOutliers, statusesMax: 2 };
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 9 }),
      fc.integer({ min: 0, max: 100 }),
      fc.integer({ min: 0, max: 100 }),
      fc.array(event, { maxLength: 80 }),
      (count, ejectedPercentMax, panicPercent, events) => {
        const all = setUp(count, { ejectedPercentMax, panicPercent, outliers });
        const { clock, at, verdicts, workers } = all;
        for (const { worker, index: any, kind, ms } of events) {
          const index = any % count;
          const endpoint = at(index, worker);
          const isTrial = endpoint.started();
          if (kind === "failed") endpoint.failed("refused");
          else if (kind === "broke") endpoint.brokeOff("reset");
          else if (kind === "check") verdicts[index]!.failedCheck = !verdicts[index]!.failedCheck;
          else if (kind === "wait") clock.advanceMs(ms);
          else if (kind !== "pick") {
            endpoint.succeeded();
            endpoint.responded(kind === "bad" ? 500 : 200, isTrial);
            endpoint.completed(isTrial);
          }
          endpoint.finished();
          const chosen = [0, 1].map((each) => all.pick([], each));
          expect(Math.min(...chosen)).toBeGreaterThanOrEqual(0);
          const { endpoints } = workers[0]!.balancer;
          const { failedCheck, ejected, spared } = judge(endpoints, { ejectedPercentMax, panicPercent });
          expect(ejected).toBeLessThanOrEqual(
            Math.max(0, ejectedMax(count, ejectedPercentMax) - failedCheck),
          );
          const isOut = endpoints.map(
            (each) => (each.failedCheck || each.isEjected) && !spared.includes(each),
          );
          expect(isOut.filter(Boolean).length).toBe(failedCheck + ejected);
          // Whoever is in rotation and well comes before whoever is not.
          const isPanicking = workers[0]!.balancer.isPanicking;
          const hasIn = isOut.includes(false);
          for (const each of chosen) {
            const isDue = at(each).isUsable;
            if (count > 1 && hasIn && !isPanicking && !isDue) expect(isOut[each]).toBe(false);
          }
        }
      },
    ),
    { numRuns: 300 },
  );
});

test("of workers that eject at the same time each counts the endpoint once, and both see it", () => {
  const { at, used, workers } = setUp(2);
  for (const worker of [0, 1, 0, 1, 0, 1]) at(0, worker).failed("refused");
  expect(at(0).ejectionsTotal).toBe(1);
  expect(workers.map(({ registry }) => registry.ejected)).toEqual([1, 1]);
  expect([used(0), used(1)]).toEqual(["1", "1"]);
});

test("an endpoint that was ejected while another worker saw a success comes back with the next one", () => {
  const clock = new ManualClock();
  const state = SharedState.alone();
  const endpoint = new HealthRegistry(clock, state.endpoints).acquire({ address: "10.0.0.1", port: 80 });
  // What remains when the other's success ends the run just before this one's ejection.
  const { cells } = state.endpoints.acquire("10.0.0.1:80", 0);
  cells.cause = EjectionCause.Failure;
  cells.changeLevel(0, 1);
  expect(endpoint.isEjected).toBe(true);
  endpoint.succeeded();
  expect(endpoint.isEjected).toBe(false);
});
