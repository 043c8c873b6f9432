import { describe, expect, test } from "vitest";
import { defaultOutliers, type OutlierSettings } from "../../../src/proxy/filter.ts";
import { endpointKey, HealthRegistry } from "../../../src/proxy/upstream/health.ts";
import { ManualClock } from "../../../src/util/clock.ts";

const address = { address: "10.0.0.1", port: 80 };

function setUp() {
  const clock = new ManualClock();
  const ejections: string[] = [];
  const registry = new HealthRegistry(clock, undefined, (reason) => ejections.push(reason));
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
  return { clock, registry, ejections, endpoint, fail, trialAfter };
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
    const unchecked = { key: "10.0.0.1:80", check: "", outliers: "", failedCheck: false };
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

describe("responses", () => {
  function setUpWith(outliers: Partial<OutlierSettings>) {
    const { clock, registry, ejections } = setUp();
    const endpoint = registry.acquire(address, {
      check: "",
      outliers: { ...defaultOutliers, ...outliers },
    });
    /** One attempt that brings a response, whole unless it broke off. */
    const respond = (status: number, brokeOff = false): void => {
      const isTrial = endpoint.started();
      endpoint.succeeded();
      endpoint.responded(status, isTrial);
      if (brokeOff) endpoint.brokeOff("reset");
      else endpoint.completed(isTrial);
      endpoint.finished();
    };
    return { clock, registry, ejections, endpoint, respond };
  }

  test.each([
    [{ statusesMax: 3 }, [500, 503, 599], true],
    [{ statusesMax: 3 }, [500, 500, 200, 500, 500], false],
    [{ statusesMax: 3 }, [500, 500, 404, 500, 500], false],
    [{ statusesMax: 3 }, [501, 505, 501, 505], false],
    [{ statusesMax: 3 }, [500, 501, 500, 500], false],
    [{ statusesMax: 1 }, [502], true],
    [{ statusesMax: 0 }, [500, 500, 500, 500, 500, 500], false],
    [{}, [500, 500, 500, 500, 500, 500], false],
  ] as const)("with %j and statuses %j: ejected is %s", (outliers, statuses, isEjected) => {
    const { endpoint, ejections, respond } = setUpWith(outliers);
    for (const status of statuses) respond(status);
    expect([endpoint.isEjected, ejections]).toEqual([isEjected, isEjected ? ["statuses"] : []]);
  });

  test.each([
    [{}, 3, true],
    [{}, 2, false],
    [{ failuresMax: 1 }, 1, true],
    [{ failuresMax: 0 }, 100, false],
  ])("with %j and %i that broke off in a row: ejected is %s", (outliers, times, isEjected) => {
    const { endpoint, ejections, respond } = setUpWith(outliers);
    respond(200);
    for (let i = 0; i < times; i += 1) respond(200, true);
    expect([endpoint.isEjected, ejections]).toEqual([isEjected, isEjected ? ["breaks"] : []]);
  });

  test("with failures switched off, connections that fail eject nothing", () => {
    const { endpoint } = setUpWith({ failuresMax: 0 });
    for (let i = 0; i < 100; i += 1) endpoint.failed("refused");
    expect(endpoint.isEjected).toBe(false);
  });

  test("of one kind do not end the run of another", () => {
    const { endpoint, respond } = setUpWith({ statusesMax: 3 });
    respond(500, true);
    respond(500, true);
    expect(endpoint.isEjected).toBe(false);
    respond(500);
    expect(endpoint.report()).toMatchObject({ state: "ejected", reason: "status 500" });
  });

  test.each(["statuses", "breaks"] as const)(
    "end an ejection for %s only when they were asked for after it, and doubles it when they are as bad",
    (kind) => {
      const { clock, endpoint, ejections, respond } = setUpWith({ statusesMax: 3 });
      const early = endpoint.started();
      const bad = (): void => (kind === "statuses" ? respond(500) : respond(200, true));
      for (let i = 0; i < 3; i += 1) bad();
      endpoint.succeeded();
      endpoint.responded(200, early);
      endpoint.completed(early);
      endpoint.finished();
      expect([early, endpoint.isEjected]).toEqual([false, true]);
      clock.advanceMs(1_000);
      expect(endpoint.isUsable).toBe(true);
      bad();
      clock.advanceMs(1_999);
      expect(endpoint.isUsable).toBe(false);
      clock.advanceMs(1);
      expect(endpoint.isUsable).toBe(true);
      respond(200);
      expect([endpoint.isEjected, ejections]).toEqual([false, [kind, kind]]);
      expect(endpoint.report()).toMatchObject({ state: "healthy", reason: "", failuresInARow: 0 });
      bad();
      bad();
      expect(endpoint.isEjected).toBe(false);
    },
  );

  test("have the times of the settings", () => {
    const { clock, endpoint, respond } = setUpWith({
      statusesMax: 1,
      ejectionMinMs: 5_000,
      ejectionMaxMs: 7_000,
    });
    for (const ms of [5_000, 7_000, 7_000]) {
      respond(500);
      clock.advanceMs(ms - 1);
      expect(endpoint.isUsable).toBe(false);
      clock.advanceMs(1);
      expect(endpoint.isUsable).toBe(true);
    }
  });

  test("harm no upstream that judges otherwise, while all see who is busy", () => {
    const { registry, endpoint, respond } = setUpWith({ statusesMax: 1 });
    const other = registry.acquire(address);
    respond(500);
    expect([endpoint.isEjected, other.isEjected, other.report().outliers]).toEqual([true, false, ""]);
    endpoint.started();
    expect([endpoint.active, other.active]).toEqual([1, 1]);
    for (let i = 0; i < 3; i += 1) other.failed("refused");
    expect(other.isEjected).toBe(true);
    expect([registry.size, registry.ejected]).toEqual([2, 1]);
    registry.release(endpoint);
    endpoint.finished();
    registry.release(other);
    // One more holder: that of the set-up.
    expect(registry.size).toBe(1);
    expect(
      registry.acquire(address, { check: "", outliers: { ...defaultOutliers, statusesMax: 1 } }).isEjected,
    ).toBe(false);
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
    const { registry, ejections, endpoint, fail } = setUp();
    registry.acquire(address);
    fail(3);
    registry.release(endpoint);
    expect(registry.size).toBe(1);
    registry.release(endpoint);
    expect(registry.size).toBe(0);
    expect(ejections).toEqual(["failures"]);
    expect(registry.acquire(address)).not.toBe(endpoint);
    expect(registry.acquire(address).isUsable).toBe(true);
    // A late release of the old one does not touch the new one.
    registry.release(endpoint);
    expect(registry.size).toBe(1);
    expect(ejections).toEqual(["failures"]);
  });

  test.each([
    ["10.0.0.1", 80, "10.0.0.1:80"],
    ["fd00::1", 8080, "[fd00::1]:8080"],
  ])("knows %s port %i as %s", (host, port, key) => {
    expect(endpointKey(host, port)).toBe(key);
  });
});
