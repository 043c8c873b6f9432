import { Worker } from "node:worker_threads";
import { once } from "node:events";
import { describe, expect, test } from "vitest";
import { ConnectionTotal } from "../../../src/proxy/across-workers/connection-total.ts";
import {
  EndpointDirectory,
  makeDirectoryBuffers,
} from "../../../src/proxy/across-workers/endpoint-directory.ts";
import { makeSharedBuffers, SharedState } from "../../../src/proxy/across-workers/shared-state.ts";
import { defaultOutliers } from "../../../src/proxy/filter.ts";
import { HealthRegistry, verdictKey } from "../../../src/proxy/upstream/health.ts";
import { ManualClock } from "../../../src/util/clock.ts";

const address = { address: "10.0.0.1", port: 80 };

describe("connections of clients", () => {
  test("are counted together, up to the limit", () => {
    const buffer = new SharedArrayBuffer(8);
    const [first, second] = [new ConnectionTotal(buffer, 0), new ConnectionTotal(buffer, 1)];
    expect([first.tryOpen(2), second.tryOpen(2), first.tryOpen(2), second.tryOpen(2)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    first.close();
    expect(second.tryOpen(2)).toBe(true);
    expect([second.total, second.of(0), second.of(1)]).toEqual([2, 0, 2]);
    first.clear(1);
    expect(first.total).toBe(0);
  });
});

/** The registries of two workers and the state of the thread that owns them. */
function twoWorkers() {
  const clock = new ManualClock();
  const buffers = makeSharedBuffers(2);
  const states = [0, 1, 2].map((worker) => new SharedState(buffers, worker));
  const ejections: string[] = [];
  const [first, second] = states
    .slice(0, 2)
    .map((state) => new HealthRegistry(clock, state.endpoints, (reason) => ejections.push(reason)));
  return { clock, first: first!, second: second!, owner: states[2]!, ejections };
}

const checkedBy = (check: string) => ({ check, outliers: defaultOutliers });

describe("an endpoint of two workers", () => {
  test("is ejected for both by failures of both", () => {
    const { clock, first, second, ejections } = twoWorkers();
    const [a, b] = [first.acquire(address), second.acquire(address)];
    a.failed("refused");
    b.failed("refused");
    expect([a.isUsable, b.isUsable]).toEqual([true, true]);
    a.failed("refused");
    expect([a.isUsable, b.isUsable]).toEqual([false, false]);
    expect(ejections).toEqual(["failures"]);
    clock.advanceMs(1_000);
    b.started();
    // The trial of one is the trial of all.
    expect([a.isUsable, b.isUsable]).toEqual([false, false]);
    b.succeeded();
    expect([a.isUsable, b.isUsable]).toEqual([true, true]);
    expect(a.report()).toMatchObject({ state: "healthy", reason: "", ejectionsTotal: 1 });
  });

  test("has the requests of both, and loses those of one that dies", () => {
    const { first, second, owner } = twoWorkers();
    const [a, b] = [first.acquire(address), second.acquire(address)];
    a.started();
    b.started();
    b.started();
    expect([a.active, b.active]).toEqual([3, 3]);
    b.finished();
    owner.clear(0);
    expect(b.active).toBe(1);
  });

  test("is known to a worker that comes later, as long as one has it", () => {
    const { first, second, owner } = twoWorkers();
    const a = first.acquire(address);
    for (let i = 0; i < 3; i += 1) a.failed("refused");
    const b = second.acquire(address);
    expect(b.isUsable).toBe(false);
    first.release(a);
    second.release(b);
    expect(owner.endpoints.size).toBe(0);
    expect(second.acquire(address).isUsable).toBe(true);
  });

  test("that is in no table any more keeps its place until its last request has ended", () => {
    const { first, owner } = twoWorkers();
    const a = first.acquire(address);
    a.started();
    first.release(a);
    expect(owner.endpoints.size).toBe(1);
    a.finished();
    expect(owner.endpoints.size).toBe(0);
    a.started();
    expect(a.active).toBe(1);
    a.finished();
    a.failed("refused");
    expect(first.acquire(address).report().failuresInARow).toBe(0);
  });
});

describe("a failed check", () => {
  const verdictOn = (owner: SharedState, check: string) =>
    owner.endpoints.acquire(verdictKey("10.0.0.1:80", check), 0);

  test("keeps an endpoint from being used, by every worker, until it passes", () => {
    const { first, second, owner } = twoWorkers();
    const [a, b] = [first.acquire(address, checkedBy("check")), second.acquire(address, checkedBy("check"))];
    expect([a.isUsable, b.isUsable]).toEqual([true, true]);
    const { cells } = verdictOn(owner, "check");
    cells.failedCheck = true;
    expect([a.isUsable, b.isUsable]).toEqual([false, false]);
    expect(a.report()).toMatchObject({ check: "check", failedCheck: true, state: "healthy" });
    cells.failedCheck = false;
    expect([a.isUsable, b.isUsable]).toEqual([true, true]);
  });

  test("is there for a worker that comes later", () => {
    const { second, owner } = twoWorkers();
    verdictOn(owner, "check").cells.failedCheck = true;
    expect(second.acquire(address, checkedBy("check")).isUsable).toBe(false);
  });

  test("does not concern upstreams with another check, or without one", () => {
    const { first, owner } = twoWorkers();
    const [a, b, c] = [
      first.acquire(address),
      first.acquire(address, checkedBy("check")),
      first.acquire(address, checkedBy("c2")),
    ];
    verdictOn(owner, "check").cells.failedCheck = true;
    expect([a.isUsable, b.isUsable, c.isUsable]).toEqual([true, false, true]);
  });

  test("leaves connection failures what they are: those of all upstreams count", () => {
    const { first } = twoWorkers();
    const [a, b] = [first.acquire(address), first.acquire(address, checkedBy("check"))];
    a.failed("refused");
    b.failed("refused");
    a.failed("refused");
    expect([a.isUsable, b.isUsable]).toEqual([false, false]);
  });

  test("is forgotten when nobody has the endpoint any more", () => {
    const { first, owner } = twoWorkers();
    const a = first.acquire(address, checkedBy("check"));
    const verdict = verdictOn(owner, "check");
    verdict.cells.failedCheck = true;
    first.release(a);
    verdict.release();
    expect(owner.endpoints.size).toBe(0);
    expect([a.isUsable, first.acquire(address, checkedBy("check")).isUsable]).toEqual([true, true]);
  });
});

describe("the directory of endpoints", () => {
  test("holds thousands, and takes none from another", () => {
    const directory = new EndpointDirectory(makeDirectoryBuffers(1), 1, 0);
    const all = Array.from({ length: 10_000 }, (_, i) => directory.acquire(`10.0.0.1:${i}`, i));
    expect(directory.size).toBe(10_000);
    expect(all.every(({ cells }, i) => cells.sinceMs === i)).toBe(true);
    for (const { release } of all) release();
    expect(directory.size).toBe(0);
  });

  test("is opened again when a worker dies inside it", async () => {
    const buffers = makeDirectoryBuffers(3);
    // A thread that ends while it holds the lock.
    const code = `const { workerData } = require("node:worker_threads");
      Atomics.store(new Int32Array(workerData), 0, 1);`;
    const worker = new Worker(code, { eval: true, workerData: buffers.counts });
    await once(worker, "exit");
    new EndpointDirectory(buffers, 3, 2).clear(0);
    const { cells } = new EndpointDirectory(buffers, 3, 1).acquire("10.0.0.1:80", 7);
    expect(cells.sinceMs).toBe(7);
  });
});
