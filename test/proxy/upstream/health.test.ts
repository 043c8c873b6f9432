import { describe, expect, test } from "vitest";
import { endpointKey, HealthRegistry } from "../../../src/proxy/upstream/health.ts";
import { ManualClock } from "../../../src/util/clock.ts";

const address = { address: "10.0.0.1", port: 80 };

function setUp() {
  const clock = new ManualClock();
  const registry = new HealthRegistry(clock);
  const endpoint = registry.acquire(address);
  const fail = (times: number): void => {
    for (let i = 0; i < times; i++) endpoint.failed("connection refused");
  };
  /** Waits out the time, and lets the trial end. */
  const trialAfter = (ms: number, ok: boolean): void => {
    clock.advanceMs(ms);
    expect(endpoint.isUsable).toBe(true);
    endpoint.started();
    if (ok) endpoint.succeeded();
    else endpoint.failed("still refused");
  };
  return { clock, registry, endpoint, fail, trialAfter };
}

describe("an endpoint", () => {
  test("is ejected by three failures in a row", () => {
    const { endpoint, fail } = setUp();
    fail(2);
    expect(endpoint.isUsable).toBe(true);
    fail(1);
    expect(endpoint.isUsable).toBe(false);
  });

  test("is not ejected when a success comes between", () => {
    const { endpoint, fail } = setUp();
    for (let i = 0; i < 10; i++) {
      fail(2);
      endpoint.succeeded();
    }
    expect(endpoint.isUsable).toBe(true);
    expect(endpoint.ejectionsTotal).toBe(0);
  });

  test("is out for 1 s, then twice as long after each trial that fails, up to 60 s", () => {
    const { clock, endpoint, fail, trialAfter } = setUp();
    fail(3);
    for (const seconds of [1, 2, 4, 8, 16, 32, 60, 60]) {
      expect(endpoint.isUsable).toBe(false);
      clock.advanceMs(seconds * 1000 - 1);
      expect(endpoint.isUsable).toBe(false);
      trialAfter(1, false);
    }
    expect(endpoint.ejectionsTotal).toBe(9);
  });

  test("is back after one trial that succeeds, with a clean slate", () => {
    const { endpoint, fail, trialAfter } = setUp();
    fail(3);
    trialAfter(1_000, false);
    trialAfter(2_000, true);
    expect(endpoint.isUsable).toBe(true);
    fail(2);
    expect(endpoint.isUsable).toBe(true);
    fail(1);
    trialAfter(1_000, true);
  });

  test("lets one trial through at a time", () => {
    const { clock, endpoint, fail } = setUp();
    fail(3);
    clock.advanceMs(1_000);
    endpoint.started();
    expect(endpoint.isUsable).toBe(false);
    endpoint.abandoned();
    expect(endpoint.isUsable).toBe(true);
  });

  test("lets another trial through when one was lost", () => {
    const { clock, endpoint, fail } = setUp();
    fail(3);
    clock.advanceMs(1_000);
    endpoint.started();
    clock.advanceMs(9_999);
    expect(endpoint.isUsable).toBe(false);
    clock.advanceMs(1);
    expect(endpoint.isUsable).toBe(true);
  });

  test("is ejected again by a trial that fails after it was taken for lost", () => {
    const { clock, endpoint, fail } = setUp();
    fail(3);
    clock.advanceMs(1_000);
    endpoint.started();
    clock.advanceMs(30_000);
    fail(1);
    clock.advanceMs(1_999);
    expect(endpoint.isUsable).toBe(false);
    clock.advanceMs(1);
    expect(endpoint.isUsable).toBe(true);
  });

  test("is not out longer because attempts that began before its ejection fail as well", () => {
    const { endpoint, fail, trialAfter } = setUp();
    fail(3);
    fail(100);
    expect(endpoint.ejectionsTotal).toBe(1);
    trialAfter(1_000, true);
  });

  test("is back at once when an attempt succeeds during its time out", () => {
    const { endpoint, fail } = setUp();
    fail(3);
    endpoint.started();
    endpoint.succeeded();
    expect(endpoint.isUsable).toBe(true);
  });

  test("reports its state", () => {
    const { clock, endpoint, fail } = setUp();
    clock.advanceMs(500);
    const unchecked = { key: "10.0.0.1:80", check: "", failedCheck: false };
    const healthy = { ...unchecked, state: "healthy", forMs: 500, reason: "", failuresInARow: 0 };
    expect(endpoint.report()).toEqual({ ...healthy, ejectionsTotal: 0, trialInMs: 0 });
    fail(3);
    clock.advanceMs(400);
    const ejected = {
      ...healthy,
      forMs: 400,
      reason: "connection refused",
      failuresInARow: 3,
      ejectionsTotal: 1,
    };
    expect(endpoint.report()).toEqual({ ...ejected, state: "ejected", trialInMs: 600 });
    clock.advanceMs(600);
    expect(endpoint.report()).toEqual({ ...ejected, state: "trial", forMs: 1_000, trialInMs: 0 });
    endpoint.succeeded();
    clock.advanceMs(7);
    expect(endpoint.report()).toEqual({ ...healthy, forMs: 7, ejectionsTotal: 1, trialInMs: 0 });
  });
});

describe("the registry", () => {
  test("has one endpoint for each address and port, shared by all who hold it", () => {
    const { registry, endpoint } = setUp();
    expect(registry.acquire(address)).toBe(endpoint);
    expect(registry.acquire({ ...address, port: 81 })).not.toBe(endpoint);
    expect(registry.size).toBe(2);
  });

  test("forgets an endpoint when the last one lets it go, but not what it counted", () => {
    const { registry, endpoint, fail } = setUp();
    registry.acquire(address);
    fail(3);
    registry.release(endpoint);
    expect(registry.size).toBe(1);
    registry.release(endpoint);
    expect(registry.size).toBe(0);
    expect(registry.ejectionsTotal).toBe(1);
    expect(registry.acquire(address)).not.toBe(endpoint);
    expect(registry.acquire(address).isUsable).toBe(true);
    // A late release of the old one does not touch the new one.
    registry.release(endpoint);
    expect(registry.size).toBe(1);
    expect(registry.ejectionsTotal).toBe(1);
  });

  test("takes outcomes by key", () => {
    const { registry, endpoint } = setUp();
    for (let i = 0; i < 3; i++) registry.onConnectOutcome("10.0.0.1:80", "refused");
    registry.onConnectOutcome("10.9.9.9:80", "refused");
    expect(endpoint.isUsable).toBe(false);
    registry.onConnectOutcome("10.0.0.1:80", null);
    expect(endpoint.isUsable).toBe(true);
    expect(registry.reports().map(({ key }) => key)).toEqual(["10.0.0.1:80"]);
  });

  test.each([
    ["10.0.0.1", 80, "10.0.0.1:80"],
    ["fd00::1", 8080, "[fd00::1]:8080"],
  ])("knows %s port %i as %s", (host, port, key) => {
    expect(endpointKey(host, port)).toBe(key);
  });
});
