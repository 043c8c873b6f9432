import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  LeaderElection,
  type LeaseApi,
  type LeaseRecord,
  type VersionedLease,
} from "../../../src/controller/publish/leader.ts";
import { ManualClock, type Cancel, type Clock } from "../../../src/util/clock.ts";

const ttlMs = 30_000;

/** The API server: one lease, with optimistic locking. */
class Server {
  lease: VersionedLease | null = null;
  writes = 0;
  #version = 0;

  put(record: LeaseRecord): VersionedLease {
    this.#version += 1;
    this.writes += 1;
    this.lease = { ...record, version: String(this.#version) };
    return this.lease;
  }
}

/** The clock of one machine: begun at another time, and stopped with its process. */
class MachineClock implements Clock {
  readonly #base: ManualClock;
  readonly #offsetMs: number;
  #isPaused = false;
  #missed: (() => void)[] = [];

  constructor(base: ManualClock, offsetMs: number) {
    this.#base = base;
    this.#offsetMs = offsetMs;
  }

  nowMs(): number {
    return this.#base.nowMs() + this.#offsetMs;
  }

  every(): Cancel {
    throw new Error("not used");
  }

  after(delayMs: number, callback: () => void): Cancel {
    let isCancelled = false;
    const run = (): void => {
      if (isCancelled) return;
      if (this.#isPaused) this.#missed.push(run);
      else callback();
    };
    const cancel = this.#base.after(delayMs, run);
    return () => {
      isCancelled = true;
      cancel();
    };
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    const missed = this.#missed;
    this.#missed = [];
    for (const run of missed) run();
  }
}

/** One replica with its way to the API server. */
class Replica implements LeaseApi {
  readonly clock: MachineClock;
  readonly election: LeaderElection;
  readonly told: string[] = [];
  readonly errors: unknown[] = [];
  isCut = false;
  latencyMs = 0;
  /** The server does what it is asked, and the answer is lost. */
  losesAnswers = false;
  readonly #server: Server;
  readonly #base: ManualClock;

  constructor(name: string, server: Server, base: ManualClock, { offsetMs = 0, skewMs = 0 } = {}) {
    this.#server = server;
    this.#base = base;
    this.clock = new MachineClock(base, offsetMs);
    this.election = new LeaderElection({
      api: this,
      identity: name,
      ttlMs,
      clock: this.clock,
      now: () => new Date(Date.UTC(2026, 0, 1) + base.nowMs() + skewMs),
      random: () => 0.5,
      onChange: (isLeader, holder) => this.told.push(`${isLeader ? "leads" : "follows"} ${holder}`),
      onError: (cause) => this.errors.push(cause),
    });
  }

  read(timeoutMs: number): Promise<VersionedLease | null> {
    return this.#ask(timeoutMs, () => this.#server.lease);
  }

  create(record: LeaseRecord, timeoutMs: number): Promise<VersionedLease | null> {
    return this.#ask(timeoutMs, () => (this.#server.lease === null ? this.#server.put(record) : null));
  }

  update(record: LeaseRecord, version: string, timeoutMs: number): Promise<VersionedLease | null> {
    return this.#ask(timeoutMs, () =>
      this.#server.lease?.version === version ? this.#server.put(record) : null,
    );
  }

  async #ask<T>(timeoutMs: number, answer: () => T): Promise<T> {
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    const cancel = this.#base.after(timeoutMs, () => reject(new Error("timeout")));
    if (!this.isCut) {
      this.#base.after(this.latencyMs / 2, () => {
        const result = answer();
        const isLost = this.losesAnswers;
        this.#base.after(this.latencyMs / 2, () => {
          if (!isLost) resolve(result);
        });
      });
    }
    try {
      return await promise;
    } finally {
      cancel();
    }
  }
}

async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}

class World {
  readonly base = new ManualClock();
  readonly server = new Server();

  replica(name: string, options?: { offsetMs?: number; skewMs?: number }): Replica {
    return new Replica(name, this.server, this.base, options);
  }

  /** In small steps, so that what was answered can be acted on. */
  async advance(ms: number, check: () => void = () => undefined): Promise<void> {
    for (let passed = 0; passed < ms; passed += 250) {
      await settle();
      check();
      this.base.advanceMs(Math.min(250, ms - passed));
    }
    await settle();
    check();
  }
}

describe("an election", () => {
  test("of one replica leads within a moment, and renews", async () => {
    const world = new World();
    const one = world.replica("one");
    one.election.start();
    await world.advance(1_000);
    expect(one.election.isLeader).toBe(true);
    expect(world.server.lease).toMatchObject({
      holder: "one",
      durationMs: ttlMs,
      transitions: 0,
      acquiredAt: expect.stringMatching(/^2026-01-01T00:00:00/),
    });
    await world.advance(10 * ttlMs, () => expect(one.election.isLeader).toBe(true));
    expect(world.server.lease?.acquiredAt).toMatch(/^2026-01-01T00:00:00/);
    // A quarter of the duration, a little less by the jitter: renewals do not storm.
    expect(world.server.writes).toBeLessThan(50);
    expect(one.told).toEqual(["leads one"]);
  });

  test("of two at once has one winner", async () => {
    const world = new World();
    const replicas = [world.replica("one"), world.replica("two")];
    for (const each of replicas) each.election.start();
    await world.advance(ttlMs);
    expect(replicas.filter(({ election }) => election.isLeader)).toHaveLength(1);
    expect(replicas.map(({ election }) => election.holder)).toEqual(["one", "one"]);
    expect(replicas.flatMap(({ errors }) => errors)).toEqual([]);
  });

  test("is won by another within the duration and one try, whenever the leader is killed", async () => {
    for (let round = 0; round < 64; round += 1) {
      // Where in the time between two tries the second begins, and the first ends.
      const [beginsAfterMs, endsAfterMs] = [
        250 + (round % 8) * 1_000,
        50_000 + Math.floor(round / 8) * 1_000,
      ];
      const world = new World();
      const [one, two] = [world.replica("one"), world.replica("two")];
      one.election.start();
      await world.advance(beginsAfterMs);
      two.election.start();
      await world.advance(endsAfterMs);
      one.clock.pause();
      // The other has seen the last renewal a try later at most, and looks at the moment that the lease is free.
      await world.advance(ttlMs * 1.25 + 500);
      expect(two.election.isLeader).toBe(true);
      expect(world.server.lease).toMatchObject({ holder: "two", transitions: 1 });
    }
  });

  test("a leader that is cut off steps down before another can start", async () => {
    const world = new World();
    const [one, two] = [world.replica("one"), world.replica("two")];
    one.election.start();
    await world.advance(250);
    two.election.start();
    await world.advance(ttlMs);
    one.isCut = true;
    let bothAt = "";
    await world.advance(ttlMs * 2, () => {
      if (one.election.isLeader && two.election.isLeader) bothAt = String(world.base.nowMs());
    });
    expect(bothAt).toBe("");
    expect(two.election.isLeader).toBe(true);
    expect(one.told).toEqual(["leads one", "follows one"]);
    expect(one.errors.length).toBeGreaterThan(1);
    one.isCut = false;
    await world.advance(ttlMs);
    expect(one.told.at(-1)).toBe("follows two");
  });

  test("clocks that differ by hours change nothing", async () => {
    const world = new World();
    const one = world.replica("one", { offsetMs: -1e6, skewMs: -7_200_000 });
    const two = world.replica("two", { offsetMs: 1e6, skewMs: 7_200_000 });
    one.election.start();
    await world.advance(250);
    two.election.start();
    await world.advance(10 * ttlMs, () => expect(two.election.isLeader).toBe(false));
    one.isCut = true;
    await world.advance(ttlMs * 1.5);
    expect([one, two].map(({ election }) => election.isLeader)).toEqual([false, true]);
  });

  test("a lease that is given back is taken at the next look", async () => {
    const world = new World();
    const [one, two] = [world.replica("one"), world.replica("two")];
    one.election.start();
    await world.advance(250);
    two.election.start();
    await world.advance(ttlMs);
    const stopped = one.election.stop();
    await world.advance(250);
    await stopped;
    expect(world.server.lease?.holder).toBe("");
    expect(one.told).toEqual(["leads one", "follows one"]);
    await world.advance(ttlMs / 4);
    expect(two.election.isLeader).toBe(true);
  });

  test("a follower that stops leaves the lease alone", async () => {
    const world = new World();
    const [one, two] = [world.replica("one"), world.replica("two")];
    one.election.start();
    await world.advance(250);
    two.election.start();
    await world.advance(ttlMs);
    const { writes } = world.server;
    const stopped = two.election.stop();
    await world.advance(0);
    await stopped;
    expect(world.server.writes).toBe(writes);
    expect(world.server.lease?.holder).toBe("one");
  });

  test("a process that was stopped does not lead when it goes on", async () => {
    const world = new World();
    const [one, two] = [world.replica("one"), world.replica("two")];
    one.election.start();
    await world.advance(250);
    two.election.start();
    await world.advance(ttlMs);
    one.clock.pause();
    await world.advance(2 * ttlMs);
    // Nothing of it has run yet, and it is asked first.
    expect(one.election.isLeader).toBe(false);
    one.clock.resume();
    await world.advance(ttlMs);
    expect([one, two].map(({ election }) => election.isLeader)).toEqual([false, true]);
  });
});

test("there are never two leaders, and there is one again when all is well", async () => {
  const event = fc.record({
    replica: fc.nat(2),
    what: fc.constantFrom("cut", "mend", "slow", "quick", "pause", "resume", "loses", "keeps"),
    waitMs: fc.integer({ min: 0, max: 20_000 }),
  });
  await fc.assert(
    fc.asyncProperty(fc.array(event, { maxLength: 30, size: "max" }), async (events) => {
      const world = new World();
      const replicas = ["a", "b", "c"].map((name, index) =>
        world.replica(name, { offsetMs: index * 1e7, skewMs: index * -1e7 }),
      );
      const leaders = (): string[] =>
        replicas.flatMap((each, index) => (each.election.isLeader ? [String(index)] : []));
      const check = (): void => expect(leaders().length).toBeLessThanOrEqual(1);
      for (const each of replicas) each.election.start();
      for (const { replica, what, waitMs } of events) {
        const target = replicas[replica]!;
        if (what === "cut" || what === "mend") target.isCut = what === "cut";
        else if (what === "slow" || what === "quick") target.latencyMs = what === "slow" ? 6_000 : 0;
        else if (what === "loses" || what === "keeps") target.losesAnswers = what === "loses";
        else target.clock[what]();
        await world.advance(waitMs, check);
      }
      for (const each of replicas) {
        each.isCut = false;
        each.losesAnswers = false;
        each.latencyMs = 0;
        each.clock.resume();
      }
      await world.advance(3 * ttlMs, check);
      expect(leaders()).toHaveLength(1);
    }),
    { numRuns: 60 },
  );
});
