import { describe, expect, test } from "vitest";
import type { EndpointsIr, RoutingIr } from "../../../src/ir/routing.ts";
import { Resolution, resolveIntervalMs, type Lookup } from "../../../src/proxy/upstream/resolver.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { irTo, ok, startBackend, startProxy, type Harness, type HarnessOptions } from "../harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/** A resolver whose answers the test decides on. */
class Names {
  readonly asked: string[] = [];
  answer: readonly string[] | Error = [];
  /** What every answer waits for. */
  gate: Promise<void> = Promise.resolve();

  readonly lookup: Lookup = async (hostname) => {
    this.asked.push(hostname);
    await this.gate;
    if (this.answer instanceof Error) throw this.answer;
    return this.answer.map((address) => ({ address, family: address.includes(":") ? 6 : 4 }));
  };
}

function named(hostname: string, port: number): RoutingIr {
  const ir = irTo([]);
  return { ...ir, endpoints: [{ ...ir.endpoints[0]!, dns: { hostname, port } }] };
}

function endpoints(hostname: string, port: number): EndpointsIr {
  return named(hostname, port).endpoints[0]!;
}

/** Lets pending promises go on. */
async function turn(): Promise<void> {
  await new Promise(setImmediate);
}

/** What a resolution with these answers, one after the other, hands over. */
async function handedOver(
  answers: readonly (readonly string[] | Error)[],
  allowsLoopback = false,
): Promise<{ given: string[]; failures: string[] }> {
  const clock = new ManualClock();
  const names = new Names();
  const given: string[] = [];
  const failures: string[] = [];
  names.answer = answers[0]!;
  const resolution = new Resolution(
    { hostname: "x.example", port: 80 },
    { clock, lookup: names.lookup, allowsLoopback },
    (found) => given.push(found.map(({ address, port }) => `${address}:${port}`).join(" ")),
  );
  await turn();
  failures.push(resolution.failure);
  for (const answer of answers.slice(1)) {
    names.answer = answer;
    clock.advanceMs(resolveIntervalMs);
    await turn();
    failures.push(resolution.failure);
  }
  resolution.close();
  clock.advanceMs(10 * resolveIntervalMs);
  await turn();
  expect(names.asked.length).toBe(answers.length);
  return { given, failures };
}

describe("addresses of a name", () => {
  test("are handed over when they change, sorted and once each, IPv4 before IPv6", async () => {
    const { given } = await handedOver([
      ["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"],
      ["10.0.0.1", "10.0.0.2"],
      ["fd00::2", "fd00::1"],
    ]);
    expect(given).toEqual(["10.0.0.1:80 10.0.0.2:80", "fd00::1:80 fd00::2:80"]);
  });

  test.each([
    "127.0.0.1",
    "127.9.9.9",
    "0.0.0.0",
    "169.254.169.254",
    "::1",
    "::",
    "fe80::1",
    "::ffff:127.0.0.1",
    "::ffff:169.254.169.254",
  ])("%s is refused", async (address) => {
    const { given, failures } = await handedOver([[address]]);
    // Empty, once: there is nothing to be had under this name yet.
    expect(given).toEqual([""]);
    expect(failures[0]).toContain(address);
  });

  test("that are refused do not take others with them", async () => {
    const { given, failures } = await handedOver([["169.254.169.254", "10.0.0.1"]]);
    expect(given).toEqual(["10.0.0.1:80"]);
    expect(failures).toEqual([""]);
  });

  test("of loopback are allowed where the options say so, those of metadata services never", async () => {
    expect((await handedOver([["127.0.0.1"]], true)).given).toEqual(["127.0.0.1:80"]);
    expect((await handedOver([["::1"]], true)).given).toEqual(["::1:80"]);
    expect((await handedOver([["169.254.169.254"]], true)).given).toEqual([""]);
  });

  test("stay while resolution fails, gives nothing, or only what is refused", async () => {
    const { given, failures } = await handedOver([
      ["10.0.0.1"],
      new Error("SERVFAIL"),
      [],
      ["127.0.0.1"],
      ["10.0.0.1"],
    ]);
    expect(given).toEqual(["10.0.0.1:80"]);
    expect(failures).toEqual(["", "SERVFAIL", "no addresses", "refused addresses: 127.0.0.1", ""]);
  });

  test("are asked for again only when the last lookup has ended, so that no old answer follows a new one", async () => {
    const clock = new ManualClock();
    const pending: ((addresses: readonly string[]) => void)[] = [];
    const lookup: Lookup = async () => {
      const addresses = await new Promise<readonly string[]>((resolve) => void pending.push(resolve));
      return addresses.map((address) => ({ address, family: 4 }));
    };
    const given: string[] = [];
    const resolution = new Resolution(
      { hostname: "x.example", port: 80 },
      { clock, lookup, allowsLoopback: false },
      (found) => given.push(found.map(({ address }) => address).join(" ")),
    );
    clock.advanceMs(3 * resolveIntervalMs);
    // One at a time: a resolver that hangs is not asked again and again.
    expect(pending.length).toBe(1);
    pending[0]!(["10.0.0.1"]);
    await turn();
    clock.advanceMs(resolveIntervalMs);
    pending[1]!(["10.0.0.2"]);
    await turn();
    expect(given).toEqual(["10.0.0.1", "10.0.0.2"]);
    resolution.close();
  });
});

describe("an upstream with a name", () => {
  async function start(
    names: Names,
    port: number,
    options: HarnessOptions = {},
  ): Promise<{ proxy: Harness; statusNow: () => Promise<number> }> {
    const proxy = await startProxy({ ir: named("x.example", port), lookup: names.lookup, ...options });
    await turn();
    return { proxy, statusNow: async () => (await proxy.roundTrip(get)).status };
  }

  test("is 503 until the name has an address, and goes on with the last good one", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const names = new Names();
    names.answer = new Error("ENOTFOUND");
    const { proxy, statusNow } = await start(names, backend.port);
    expect(await statusNow()).toBe(503);
    expect(proxy.proxy.upstreams.resolutionFailure("default/web/80")).toBe("ENOTFOUND");
    names.answer = ["127.0.0.1"];
    proxy.clock.advanceMs(resolveIntervalMs);
    await turn();
    expect(await statusNow()).toBe(200);
    names.answer = new Error("ENOTFOUND");
    proxy.clock.advanceMs(resolveIntervalMs);
    await turn();
    expect(await statusNow()).toBe(200);
  });

  test("never leads to this machine unless that is allowed", async () => {
    const backend = await startBackend();
    const names = new Names();
    names.answer = ["127.0.0.1"];
    const { statusNow } = await start(names, backend.port, { allowsLoopback: false });
    expect(await statusNow()).toBe(503);
    expect(backend.connections.length).toBe(0);
  });

  test("keeps its resolution through new tables with the same name, and starts over with another", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const names = new Names();
    names.answer = ["127.0.0.1"];
    const { proxy, statusNow } = await start(names, backend.port);
    proxy.proxy.publish(named("x.example", backend.port));
    proxy.proxy.publishEndpoints([endpoints("x.example", backend.port)]);
    await turn();
    expect(names.asked).toEqual(["x.example"]);
    expect(await statusNow()).toBe(200);
    proxy.proxy.publishEndpoints([endpoints("y.example", backend.port)]);
    await turn();
    expect(names.asked).toEqual(["x.example", "y.example"]);
    expect(await statusNow()).toBe(200);
  });

  test("serves from its old addresses until another name is resolved, and from none when that fails", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const names = new Names();
    names.answer = ["127.0.0.1"];
    const { proxy, statusNow } = await start(names, backend.port);
    let open = (): void => undefined;
    names.gate = new Promise((resolve) => void (open = resolve));
    names.answer = new Error("ENOTFOUND");
    proxy.proxy.publishEndpoints([endpoints("y.example", backend.port)]);
    expect(await statusNow()).toBe(200);
    open();
    await turn();
    expect(await statusNow()).toBe(503);
  });

  test("moves to a new address, and lets the connections to the old one go", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const names = new Names();
    names.answer = ["127.0.0.1"];
    const { proxy, statusNow } = await start(names, backend.port);
    expect(await statusNow()).toBe(200);
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
    names.answer = ["127.0.0.2"];
    proxy.clock.advanceMs(resolveIntervalMs);
    await turn();
    // The endpoint is in no table any more.
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 0, pooled: 0 });
    expect([...proxy.proxy.pools]).toEqual([]);
    expect(proxy.proxy.health.reports().map(({ key }) => key)).toEqual([`127.0.0.2:${backend.port}`]);
  });
});
