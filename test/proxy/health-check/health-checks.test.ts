import { describe, expect, test } from "vitest";
import { defaultOutliers, type OutlierSettings } from "../../../src/proxy/filter.ts";
import { makeSharedBuffers, SharedState } from "../../../src/proxy/across-workers/shared-state.ts";
import type { HealthChecksOptions } from "../../../src/proxy/health-check/health-checks.ts";
import { failed, outcomeOf, passed, type ProbeOutcome } from "../../../src/proxy/health-check/probe.ts";
import { Verdict } from "../../../src/proxy/health-check/verdict.ts";
import { HealthRegistry } from "../../../src/proxy/upstream/health.ts";
import {
  checkFeature,
  ChecksHarness,
  endpointsOf,
  httpCheck,
  tableOf,
  upstreamOf,
} from "./checks-harness.ts";

/** Every probe of the same address and port has the outcome that is set for it. */
class FakeProber {
  readonly probed: string[] = [];
  readonly outcomes = new Map<string, ProbeOutcome>();
  /** Not null: probes wait until it resolves, or until they are ended. */
  gate: Promise<void> | null = null;

  readonly prober: HealthChecksOptions["prober"] = async ({ address, port }, _settings, signal) => {
    const key = `${address}:${port}`;
    this.probed.push(key);
    if (this.gate !== null) {
      const { promise, resolve } = Promise.withResolvers<void>();
      signal.addEventListener("abort", () => resolve());
      await Promise.race([this.gate, promise]);
      if (signal.aborted) return outcomeOf(signal.reason, "GET /healthz");
    }
    return this.outcomes.get(key) ?? passed;
  };
}

function setUp(options: Partial<HealthChecksOptions> = {}) {
  const fake = new FakeProber();
  const harness = new ChecksHarness({ prober: fake.prober, ...options });
  return { fake, harness, checks: harness.checks };
}

const down = failed("GET /healthz answered 503, expected 200-399");

describe("a verdict", () => {
  test.each([
    ["the first pass is one", "+", "passing"],
    ["a first failure is none", "-", "unknown"],
    ["the failures that make one are in a row", "--+--", "passing"],
    ["three failures make one, also before any pass", "---", "failing"],
    ["three failures after a pass make one", "+---", "failing"],
    ["one pass does not end it", "---+", "failing"],
    ["two passes do", "---++", "passing"],
    ["but in a row", "---+-+", "failing"],
    ["and all over again", "---++--+---", "failing"],
  ])("%s", (_, outcomes, state) => {
    const verdict = new Verdict({ healthyThreshold: 2, unhealthyThreshold: 3 });
    for (const each of outcomes) verdict.add(each === "+");
    expect(verdict.state).toBe(state);
  });
});

describe("probes", () => {
  test("are spread over the first interval, and then jittered by a tenth", async () => {
    const randoms = [0, 0.25, 0.999, 1, 0, 0.5];
    const { fake, harness } = setUp({ random: () => randoms.shift() ?? 0.5 });
    harness.publishTable(tableOf({ web: "10.0.0.1 10.0.0.2 10.0.0.3" }));
    await harness.probes(1, 0);
    expect(fake.probed).toEqual(["10.0.0.1:80"]);
    await harness.probes(1, 2_500);
    await harness.probes(1, 7_490);
    expect(fake.probed).toEqual(["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"]);
    // 11 s after its first one, 9 s after its first one, 10 s.
    await harness.probes(1, 1_010);
    expect([fake.probed.at(-1), fake.probed.length]).toEqual(["10.0.0.1:80", 4]);
    await harness.probes(1, 500);
    expect([fake.probed.at(-1), fake.probed.length]).toEqual(["10.0.0.2:80", 5]);
  });

  test("are one for each endpoint and check, whoever shares them", async () => {
    const { fake, harness } = setUp();
    const table = tableOf({ a: "10.0.0.1", b: "10.0.0.1 10.0.0.2", c: "10.0.0.1" });
    harness.publishTable(table);
    await harness.probes(2, 5_000);
    expect(fake.probed.sort()).toEqual(["10.0.0.1:80", "10.0.0.2:80"]);
    // Another check of the same endpoint is another probe, and has a verdict of its own.
    const upstreams = [...table.upstreams.slice(0, 2), upstreamOf("c", { path: "/ready" })];
    harness.publishTable({ ...table, upstreams });
    await harness.probes(3, 10_000);
    expect(fake.probed).toHaveLength(5);
    expect(harness.metrics.endpoints).toEqual({ unknown: 0, passing: 3, failing: 0 });
  });

  test("go to the port that is asked for", async () => {
    const { fake, harness } = setUp();
    harness.publishTable(tableOf({ web: "10.0.0.1" }, { port: 9_000 }));
    await harness.probes(1, 5_000);
    expect(fake.probed).toEqual(["10.0.0.1:9000"]);
    expect(harness.states()).toEqual({ "10.0.0.1:80": "passing" });
  });

  test("are none for upstreams without a check", () => {
    const { fake, harness, checks } = setUp();
    harness.publishTable(tableOf({ web: "10.0.0.1" }, null));
    harness.clock.advanceMs(60_000);
    expect([fake.probed, checks.reports()]).toEqual([[], []]);
  });

  test("begin when an upstream gets a check, and end when it loses it, whatever its endpoints do", async () => {
    const { fake, harness } = setUp();
    harness.publishTable(tableOf({ web: "10.0.0.1" }, null));
    harness.publishTable(tableOf({ web: "10.0.0.1" }));
    await harness.probes(1, 5_000);
    harness.publishTable(tableOf({ web: "10.0.0.1" }, null));
    harness.clock.advanceMs(60_000);
    expect(fake.probed).toEqual(["10.0.0.1:80"]);
  });

  test("are bounded in flight, and none is lost", async () => {
    const { fake, harness } = setUp({ probesActiveMax: 2 });
    const gate = Promise.withResolvers<void>();
    fake.gate = gate.promise;
    harness.publishTable(tableOf({ web: "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4 10.0.0.5" }));
    harness.clock.advanceMs(5_000);
    expect(fake.probed).toHaveLength(2);
    expect(harness.metrics.queue).toEqual({ active: 2, waiting: 3 });
    gate.resolve();
    await harness.probes(5, 0);
    expect(fake.probed).toHaveLength(5);
    await Promise.resolve();
    expect(harness.metrics.queue).toEqual({ active: 0, waiting: 0 });
  });

  test("end when their time is over, and count as failures", async () => {
    const { fake, harness, checks } = setUp();
    fake.gate = new Promise(() => undefined);
    harness.publishTable(tableOf({ web: "10.0.0.1" }));
    harness.clock.advanceMs(5_000);
    await harness.probes(1, 2_000);
    expect(checks.reports()).toMatchObject([
      { state: "unknown", reason: "GET /healthz: no answer within 2 s", lastProbeAgoMs: 0 },
    ]);
    expect(harness.metrics.samplers.healthCheckProbes?.()).toEqual([
      { labels: { type: "http", result: "timeout" }, value: 1 },
    ]);
    // The next one is due 10 s after the start of this one.
    harness.clock.advanceMs(7_999);
    expect(fake.probed).toHaveLength(1);
    harness.clock.advanceMs(1);
    expect(fake.probed).toHaveLength(2);
  });

  test("stop with their upstream, also those that wait or are under way", async () => {
    const { fake, harness } = setUp({ probesActiveMax: 1 });
    fake.gate = new Promise(() => undefined);
    harness.publishTable(tableOf({ web: "10.0.0.1 10.0.0.2" }));
    harness.clock.advanceMs(5_000);
    expect(harness.metrics.queue).toEqual({ active: 1, waiting: 1 });
    harness.publishTable(tableOf({}));
    await new Promise(setImmediate);
    harness.clock.advanceMs(60_000);
    expect(fake.probed).toHaveLength(1);
    expect(harness.metrics.queue).toEqual({ active: 0, waiting: 0 });
    expect(harness.metrics.endpoints).toEqual({ unknown: 0, passing: 0, failing: 0 });
    expect(harness.directory.size).toBe(0);
  });

  test("that this machine could not make say nothing of the endpoint", async () => {
    const { fake, harness } = setUp();
    fake.outcomes.set("10.0.0.1:80", { result: "ownFault", words: "could not connect: EMFILE" });
    harness.publishTable(tableOf({ web: "10.0.0.1" }));
    for (let i = 0; i < 5; i += 1) await harness.probes(1, 10_000);
    expect(harness.states()).toEqual({ "10.0.0.1:80": "unknown" });
    expect(harness.changes).toEqual([]);
  });

  test("follow the endpoints of their upstream, and the name of an ExternalName Service", async () => {
    let addresses = ["10.0.0.8"];
    const lookup = () => Promise.resolve(addresses.map((address) => ({ address, family: 4 })));
    const { harness, checks } = setUp({ lookup });
    harness.publishTable(tableOf({ web: "10.0.0.1" }));
    checks.publishEndpoints([endpointsOf("web", "10.0.0.2 10.0.0.3"), endpointsOf("other", "10.0.0.4")]);
    expect(Object.keys(harness.states())).toEqual(["10.0.0.2:80", "10.0.0.3:80"]);
    const dns = { hostname: "db.example", port: 81 };
    checks.publishEndpoints([{ upstream: "web", addresses: [], dns }]);
    await new Promise(setImmediate);
    expect(Object.keys(harness.states())).toEqual(["10.0.0.8:81"]);
    addresses = ["10.0.0.9"];
    harness.clock.advanceMs(60_000);
    await new Promise(setImmediate);
    expect(Object.keys(harness.states())).toEqual(["10.0.0.9:81"]);
  });
});

describe("an endpoint that fails its check", () => {
  async function failing(outliers: OutlierSettings = defaultOutliers) {
    const buffers = makeSharedBuffers(1);
    const set = setUp({ directory: new SharedState(buffers, 1).endpoints });
    const registry = new HealthRegistry(set.harness.clock, new SharedState(buffers, 0).endpoints);
    const plain = tableOf({ a: "10.0.0.1 10.0.0.2", b: "10.0.0.1" });
    const features = [checkFeature({}), { feature: "upstream-settings", config: { outliers } }];
    const table = { ...plain, upstreams: plain.upstreams.map((each) => ({ ...each, features })) };
    const check = JSON.stringify(httpCheck);
    const endpoint = registry.acquire({ address: "10.0.0.1", port: 80 }, { check, outliers });
    set.harness.publishTable(table);
    set.fake.outcomes.set("10.0.0.1:80", down);
    await set.harness.probes(2, 5_000);
    await set.harness.probes(2, 10_000);
    expect(endpoint.isUsable).toBe(true);
    await set.harness.probes(2, 10_000);
    return { ...set, table, endpoint };
  }

  test("is not used by any worker, and is again once it has passed often enough", async () => {
    const { fake, harness, endpoint } = await failing();
    expect(endpoint.isUsable).toBe(false);
    fake.outcomes.clear();
    await harness.probes(2, 10_000);
    expect(endpoint.isUsable).toBe(false);
    await harness.probes(2, 10_000);
    expect(endpoint.isUsable).toBe(true);
  });

  test("is told once, with its upstreams and the reason, and once when it is back", async () => {
    const { fake, harness } = await failing();
    for (let i = 0; i < 3; i += 1) await harness.probes(2, 10_000);
    fake.outcomes.clear();
    for (let i = 0; i < 5; i += 1) await harness.probes(2, 10_000);
    const change = { endpoint: "10.0.0.1:80", upstreams: ["a", "b"] };
    expect(harness.changes).toEqual([
      {
        ...change,
        isUsed: false,
        reason: "check: GET /healthz answered 503, expected 200-399, 3 times in a row",
      },
      { ...change, isUsed: true, reason: "check: GET /healthz passed, 2 times in a row" },
    ]);
  });

  test("is counted, for each of its upstreams", async () => {
    const { harness } = await failing();
    expect(harness.metrics.endpoints).toEqual({ unknown: 0, passing: 1, failing: 1 });
    const failingOf = harness.metrics.samplers.healthCheckFailing?.();
    expect(failingOf?.map(({ labels, value }) => [labels["service"], value])).toEqual([
      ["a", 1],
      ["b", 1],
    ]);
  });

  test("stays that when a table is swapped, and is unknown when its check is another one", async () => {
    const { harness, table, endpoint } = await failing();
    harness.publishTable(structuredClone(table));
    expect([endpoint.isUsable, harness.states()["10.0.0.1:80"]]).toEqual([false, "failing"]);
    harness.publishTable(tableOf({ a: "10.0.0.1", b: "10.0.0.1" }, { path: "/other" }));
    expect(harness.states()).toEqual({ "10.0.0.1:80": "unknown" });
    expect(harness.metrics.endpoints).toEqual({ unknown: 1, passing: 0, failing: 0 });
  });

  test("reports since when, why, and when it was probed last", async () => {
    const { harness, checks } = await failing();
    harness.clock.advanceMs(4_000);
    expect(checks.reports()[0]).toMatchObject({
      state: "failing",
      forMs: 4_000,
      reason: "GET /healthz answered 503, expected 200-399",
      lastProbeAgoMs: 4_000,
    });
  });

  test.each([
    ["as by default", defaultOutliers],
    ["as its upstreams are told to", { ...defaultOutliers, failuresMax: 2 }],
  ])("has its next trial at once when it passes again, after it was ejected too, %s", async (_, outliers) => {
    const { fake, harness, endpoint } = await failing(outliers);
    const ejections = 9;
    for (let i = 0; i < 3; i += 1) endpoint.failed("connection refused");
    for (let i = 1; i < ejections; i += 1) {
      harness.clock.advanceMs(endpoint.report().trialInMs);
      endpoint.failed("connection refused");
    }
    fake.outcomes.clear();
    harness.clock.advanceMs(0);
    await new Promise(setImmediate);
    const ended = harness.metrics.ended;
    for (let i = 0; endpoint.failedCheck && i < 4; i += 1) await harness.probes(2, 10_000);
    expect(harness.metrics.ended).toBeGreaterThan(ended);
    expect(endpoint.report()).toMatchObject({ state: "trial", trialInMs: 0 });
    expect(endpoint.isUsable).toBe(true);
  });

  test("that passes steadily does not end an ejection: requests see what the check does not", async () => {
    const { harness } = setUp();
    harness.publishTable(tableOf({ web: "10.0.0.1" }));
    await harness.probes(1, 5_000);
    const registry = new HealthRegistry(harness.clock, harness.directory);
    const endpoint = registry.acquire({ address: "10.0.0.1", port: 80 });
    for (let i = 0; i < 3; i += 1) endpoint.failed("connection refused");
    harness.clock.advanceMs(1_000);
    endpoint.failed("connection refused");
    harness.clock.advanceMs(2_000);
    for (const ms of [2_000, 4_000, 8_000, 16_000]) {
      endpoint.failed("connection refused");
      harness.clock.advanceMs(ms);
    }
    endpoint.failed("connection refused");
    await new Promise(setImmediate);
    await harness.probes(1, 10_000);
    expect(endpoint.report().state).toBe("ejected");
  });
});
