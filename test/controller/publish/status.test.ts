import { describe, expect, test } from "vitest";
import type { ObservedIngress } from "../../../src/controller/publish/observed.ts";
import { ObservedObjects } from "../../../src/controller/publish/observed.ts";
import { StatusWriter, type StatusMode } from "../../../src/controller/publish/status.ts";
import {
  addressesText,
  publishedAddress,
  type Addresses,
} from "../../../src/controller/publish/addresses.ts";
import { ApiError, ApiUnreachable } from "../../../src/kube-api/errors.ts";
import { RequestLimit } from "../../../src/kube-api/request-limit.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { settled } from "./settled.ts";

function list(...texts: readonly string[]): Addresses {
  return texts.flatMap((text) => publishedAddress(text) ?? []);
}

interface Object {
  metadata: { uid: string; resourceVersion: string };
  status: { loadBalancer: { ingress: { ip?: string; hostname?: string }[] } };
}

/** A cluster with an API server that answers at once, and one writer. */
class Bench {
  readonly clock = new ManualClock();
  readonly observed = new ObservedObjects("");
  readonly objects = new Map<string, Object>();
  readonly writes: string[] = [];
  readonly failures: string[] = [];
  readonly differences: number[] = [];
  addresses: Addresses | null | Error = list("203.0.113.1");
  isLeader = true;
  inFlight = 0;
  inFlightMost = 0;
  /** Throws to refuse a write. */
  refuse: (key: string) => void = () => {};
  #version = 0;
  readonly writer: StatusWriter;

  constructor(mode: StatusMode = "own", perSecond = 1_000_000) {
    this.writer = new StatusWriter({
      mode,
      clock: this.clock,
      random: () => 1,
      limit: new RequestLimit(perSecond, perSecond, this.clock),
      readAddresses: () =>
        this.addresses instanceof Error ? Promise.reject(this.addresses) : Promise.resolve(this.addresses),
      refreshEveryMs: 60_000,
      ingresses: {
        ours: () => this.objects.keys(),
        find: (key): ObservedIngress | null => this.observed.ingress(key),
        observe: (key, value) => this.observed.observe("Ingress", key, value),
      },
      isLeader: () => this.isLeader,
      write: (key, uid, addresses) => this.#write(key, uid, addresses),
      listener: {
        written: () => undefined,
        failed: (key) => void this.failures.push(key),
        addresses: () => undefined,
        addressesFailed: () => void this.failures.push("addresses"),
        differences: (count) => void this.differences.push(count),
      },
    });
    this.observed.onIngress = () => this.writer.touch();
  }

  /** As it is in the cluster, and told by the watch. */
  put(key: string, ...ips: readonly string[]): void {
    const object = this.#object(`uid of ${key}`, list(...ips));
    this.objects.set(key, object);
    this.observed.observe("Ingress", key, object);
  }

  status(key: string): string {
    const { ingress } = this.objects.get(key)!.status.loadBalancer;
    return ingress.map(({ ip = "", hostname = "" }) => ip + hostname).join(", ");
  }

  /** In small steps, so that what follows from a timer is done before the next. */
  async run(ms: number): Promise<void> {
    for (let passed = 0; passed < ms; passed += 50) {
      await settled();
      this.clock.advanceMs(50);
    }
    await settled();
  }

  async #write(key: string, uid: string, addresses: Addresses): Promise<unknown> {
    this.inFlight += 1;
    this.inFlightMost = Math.max(this.inFlightMost, this.inFlight);
    await Promise.resolve();
    this.inFlight -= 1;
    this.writes.push(`${key} ${addressesText(addresses)}`);
    this.refuse(key);
    const object = this.#object(uid, addresses);
    this.objects.set(key, object);
    return object;
  }

  #object(uid: string, addresses: Addresses): Object {
    this.#version += 1;
    const ingress = addresses.map(({ ip, hostname }) => (ip === "" ? { hostname } : { ip }));
    return {
      metadata: { uid, resourceVersion: String(this.#version) },
      status: { loadBalancer: { ingress } },
    };
  }
}

describe("the leader", () => {
  test("writes what differs, once, and nothing else", async () => {
    const bench = new Bench();
    bench.put("a/new");
    bench.put("a/right", "203.0.113.1");
    bench.put("a/wrong", "198.51.100.1");
    bench.writer.start();
    await bench.run(1_000);
    expect(bench.writes.sort()).toEqual(["a/new 203.0.113.1", "a/wrong 203.0.113.1"]);
    await bench.run(200_000);
    expect(bench.writes).toHaveLength(2);
    expect(bench.differences.at(-1)).toBe(0);
  });

  test("puts right what somebody else has changed, and writes to what comes later", async () => {
    const bench = new Bench();
    bench.writer.start();
    bench.put("a/web", "203.0.113.1");
    await bench.run(1_000);
    bench.put("a/web", "198.51.100.1");
    bench.put("a/late");
    await bench.run(1_000);
    expect([bench.status("a/web"), bench.status("a/late")]).toEqual(["203.0.113.1", "203.0.113.1"]);
  });

  test("follows its addresses, at the interval and when told", async () => {
    const bench = new Bench();
    bench.put("a/web");
    bench.writer.start();
    await bench.run(1_000);
    bench.addresses = list("203.0.113.2");
    await bench.run(60_000);
    expect(bench.status("a/web")).toBe("203.0.113.2");
    bench.addresses = list("lb.example");
    bench.writer.refresh();
    await bench.run(500);
    expect(bench.status("a/web")).toBe("lb.example");
  });

  test("leaves everything as it is while the addresses are not known", async () => {
    const bench = new Bench();
    bench.put("a/web", "198.51.100.1");
    bench.addresses = new Error("the API server is away");
    bench.writer.start();
    await bench.run(1_000);
    bench.addresses = null;
    await bench.run(60_000);
    expect(bench.writes).toEqual([]);
    expect(bench.failures).toEqual(["addresses"]);
  });

  test("keeps to its limits with 1,000 Ingresses", async () => {
    const bench = new Bench("own", 100);
    for (let index = 0; index < 1_000; index += 1) bench.put(`a/${index}`);
    bench.writer.start();
    await bench.run(5_000);
    // A burst, and as many a second.
    expect(bench.writes.length).toBeGreaterThan(500);
    expect(bench.writes.length).toBeLessThanOrEqual(610);
    await bench.run(6_000);
    expect(bench.writes).toHaveLength(1_000);
    expect(new Set(bench.writes).size).toBe(1_000);
    expect(bench.inFlightMost).toBeLessThanOrEqual(8);
  });

  test("is not held up by one that is refused, and tries it less and less often", async () => {
    const bench = new Bench();
    for (const name of ["bad", "good", "fine"]) bench.put(`a/${name}`);
    bench.refuse = (key) => {
      if (key === "a/bad") throw new ApiError(500, "InternalError", "failed calling webhook");
    };
    bench.writer.start();
    await bench.run(900);
    expect([bench.status("a/good"), bench.status("a/fine")]).toEqual(["203.0.113.1", "203.0.113.1"]);
    const tries = async (ms: number): Promise<number> => {
      const before = bench.failures.length;
      await bench.run(ms);
      return bench.failures.length - before;
    };
    const early = await tries(10_000);
    await bench.run(400_000);
    expect(early).toBeGreaterThanOrEqual(3);
    expect(await tries(140_000)).toBeLessThanOrEqual(1);
    bench.refuse = () => {};
    await bench.run(160_000);
    expect(bench.status("a/bad")).toBe("203.0.113.1");
  });

  test("tries all again as soon as one is not refused any more", async () => {
    const bench = new Bench();
    bench.put("a/old");
    bench.refuse = () => {
      throw new ApiError(403, "Forbidden", "no right");
    };
    bench.writer.start();
    // By now the next try is minutes away.
    await bench.run(400_000);
    bench.put("a/new");
    await bench.run(500);
    bench.refuse = () => {};
    await bench.run(2_000);
    expect([bench.status("a/new"), bench.status("a/old")]).toEqual(["203.0.113.1", "203.0.113.1"]);
  });

  test("asks an API server that is away rarely, however many writes wait", async () => {
    const bench = new Bench();
    for (let index = 0; index < 500; index += 1) bench.put(`a/${index}`);
    bench.refuse = () => {
      throw new ApiUnreachable("connection refused");
    };
    bench.writer.start();
    await bench.run(60_000);
    expect(bench.failures.length).toBeLessThan(100);
    bench.refuse = () => {};
    await bench.run(160_000);
    expect(bench.differences.at(-1)).toBe(0);
  });

  test("stops writing at the moment that it is none any more", async () => {
    const bench = new Bench("own", 10);
    for (let index = 0; index < 100; index += 1) bench.put(`a/${index}`);
    bench.writer.start();
    await bench.run(1_000);
    const { length } = bench.writes;
    bench.isLeader = false;
    await bench.run(20_000);
    expect(bench.writes).toHaveLength(length);
  });

  test("is not misled by a watch that tells what was before its write", async () => {
    const bench = new Bench();
    bench.put("a/web");
    const before = bench.objects.get("a/web")!;
    bench.writer.start();
    await bench.run(1_000);
    bench.observed.observe("Ingress", "a/web", before);
    await bench.run(1_000);
    expect(bench.writes).toHaveLength(1);
  });
});

describe("shutdown", () => {
  test("takes away what we have written, and only that", async () => {
    const bench = new Bench();
    bench.put("a/ours");
    bench.writer.start();
    await bench.run(1_000);
    bench.put("a/foreign", "198.51.100.1");
    await bench.writer.stop();
    expect(await bench.writer.remove()).toBe(1);
    expect([bench.status("a/ours"), bench.status("a/foreign")]).toEqual(["", "198.51.100.1"]);
    bench.put("a/late");
    await bench.run(10_000);
    expect(bench.status("a/late")).toBe("");
  });

  test("leaves several addresses, of which others are somebody's", async () => {
    const bench = new Bench();
    bench.addresses = list("203.0.113.1", "203.0.113.2");
    bench.put("a/web");
    bench.writer.start();
    await bench.run(1_000);
    await bench.writer.stop();
    expect(await bench.writer.remove()).toBe(0);
    expect(bench.status("a/web")).toBe("203.0.113.1, 203.0.113.2");
  });
});

test.each(["observe", "off"] as const)("%s writes nothing, at the end either", async (mode) => {
  const bench = new Bench(mode);
  bench.isLeader = false;
  bench.put("a/web");
  bench.put("a/right", "203.0.113.1");
  bench.writer.start();
  await bench.run(70_000);
  await bench.writer.stop();
  expect(await bench.writer.remove()).toBe(0);
  expect(bench.writes).toEqual([]);
  expect(bench.differences).toEqual(mode === "observe" ? [1] : []);
  expect(bench.writer.listDifferences(10)).toEqual(
    mode === "observe" ? [{ ingress: "a/web", found: "" }] : [],
  );
});
