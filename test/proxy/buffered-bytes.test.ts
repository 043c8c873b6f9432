// What connections may hold of bytes that wait, each by itself and all together.
import { describe, expect, test } from "vitest";
import { BufferedBytes, HeldBytes } from "../../src/proxy/buffered-bytes.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { ok, startBackend, startProxy, type Backend, type Harness } from "./harness.ts";
import type { Peer } from "./peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const pipelined = 100_000;
const large = "x".repeat(8 * 1024 * 1024);

describe("a client that pipelines 100,000 requests and reads nothing", () => {
  test("has a few of them answered, and costs two socket buffers", async () => {
    const backend = await startBackend();
    backend.answer(() => ok("x".repeat(2_000)));
    const limits = { requestsPerConnectionMax: 10 * pipelined };
    const proxy = await startProxy({ backends: [backend], limits });
    const client = await proxy.client();
    client.socket.pause();
    client.write(get.repeat(pipelined));
    const answered = await proxy.still(() => backend.requests.length);
    expect(answered).toBeGreaterThan(10);
    expect(answered).toBeLessThan(pipelined / 2);
    expect(proxy.proxy.buffered.bytes).toBeGreaterThan(0);
    expect(proxy.proxy.buffered.bytes).toBeLessThan(256 * 1024);
    client.destroy();
  });

  test("has one read and a little of them kept while the first is under way", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.client();
    client.write(get.repeat(pipelined));
    const peer = await backend.connection();
    await peer.request();
    const held = await proxy.still(() => proxy.proxy.buffered.bytes);
    expect(held).toBeGreaterThan(4096);
    expect(held).toBeLessThanOrEqual(64 * 1024 + 4096);
    expect(backend.connections).toHaveLength(1);
    client.destroy();
  });
});

test("a head that comes slowly is counted until it is complete", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({ backends: [backend] });
  const client = await proxy.client();
  client.write(`GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(5_000)}`);
  await proxy.until("it is counted", () => proxy.proxy.buffered.bytes > 5_000);
  client.write("\r\n\r\n");
  expect((await client.response()).status).toBe(200);
  await proxy.until("it is not any more", () => proxy.proxy.buffered.bytes === 0);
});

/** Clients that ask for much and read nothing, until each of them has as much waiting as it may. */
async function askAndWait(proxy: Harness, count: number): Promise<Peer[]> {
  const clients: Peer[] = [];
  for (let i = 0; i < count; i += 1) {
    const client = await proxy.client();
    client.socket.pause();
    client.write(get);
    clients.push(client);
    await proxy.still(() => proxy.proxy.buffered.bytes);
  }
  return clients;
}

async function startLarge(limits: { bufferedTotalMaxBytes: number; overloadConnectionsMin: number }) {
  const backend: Backend = await startBackend();
  backend.answer((request) => (request.startLine.includes("small") ? ok() : ok(large)));
  return startProxy({ backends: [backend], limits });
}

describe("bytes that wait in all connections together", () => {
  test("are bounded: who has made no progress for the longest is closed", async () => {
    const bufferedTotalMaxBytes = 300 * 1024;
    const proxy = await startLarge({ bufferedTotalMaxBytes, overloadConnectionsMin: 1_000 });
    const clients = await askAndWait(proxy, 8);
    expect(proxy.proxy.buffered.bytes).toBeLessThanOrEqual(bufferedTotalMaxBytes);
    const closed = proxy.metrics.refused.get("buffersFull");
    expect(closed).toBeGreaterThan(0);
    expect(closed).toBeLessThan(8);
    expect(proxy.gauges["http"]).toBe(8 - closed);
    // Those that came first, and are the first not to read.
    for (const [index, client] of clients.entries()) {
      client.mayEnd = true;
      client.socket.resume();
      await client.until(
        "all or the end",
        () => client.isClosed || client.isEnded || client.bytesReceived > large.length,
      );
      expect([index, client.bytesReceived > large.length]).toEqual([index, index >= closed]);
    }
    await proxy.until("nothing waits any more", () => proxy.proxy.buffered.bytes === 0);
  });

  test("are a reason to refuse new connections before those that exist have to end", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const limits = { bufferedTotalMaxBytes: 1_000, overloadConnectionsMin: 0 };
    const proxy = await startProxy({ backends: [backend], limits });
    const existing = await proxy.client();
    existing.write(get);
    await existing.response();
    let waiting = 901;
    const owner = { onBuffersFull: () => expect.unreachable() };
    const held = new HeldBytes(proxy.proxy.buffered, owner, () => waiting);
    held.refresh();
    const refused = await proxy.client();
    refused.write(get);
    expect((await refused.response()).status).toBe(503);
    expect(proxy.metrics.connectionsRefused.get("buffers")).toBe(1);
    existing.write(get);
    expect((await existing.response()).status).toBe(200);
    waiting = 0;
    proxy.clock.advanceMs(100);
    expect((await proxy.roundTrip(get)).status).toBe(200);
  });
});

test("content that an endpoint does not take counts, and its request ends when there is too much", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({
    backends: [backend],
    settings: { contentMaxBytes: 0 },
    limits: { bufferedTotalMaxBytes: 16 * 1024, overloadConnectionsMin: 1_000 },
  });
  const client = await proxy.client();
  client.mayEnd = true;
  client.write(`POST / HTTP/1.1\r\nHost: a\r\nContent-Length: ${large.length}\r\n\r\n`);
  const peer = await backend.connection();
  peer.socket.pause();
  client.write(large);
  await proxy.until("it is closed", () => proxy.metrics.refused.get("buffersFull") === 1);
  expect(proxy.gauges["upstreamActive"]).toBe(0);
  // Our shortage is not the endpoint's failure.
  expect(proxy.proxy.health.reports()[0]).toMatchObject({ state: "healthy", failuresInARow: 0 });
  peer.destroy();
});

describe("the order in which connections end", () => {
  test("is that of their last progress, and more bytes are none", () => {
    const clock = new ManualClock();
    const metrics = { bufferedBytes: 0 };
    const all = new BufferedBytes(100, { clock, metrics, onBug: (error) => expect(error).toBeUndefined() });
    const ended: string[] = [];
    const sizes: Record<string, number> = { a: 0, b: 0, c: 0 };
    const held = Object.keys(sizes).map((name) => {
      const each: HeldBytes = new HeldBytes(
        all,
        {
          onBuffersFull: () => {
            ended.push(name);
            each.update(0);
          },
        },
        () => sizes[name] ?? 0,
      );
      return each;
    });
    const set = (index: number, bytes: number): void => {
      sizes["abc".charAt(index)] = bytes;
      held[index]!.update(bytes);
    };
    set(0, 30);
    set(1, 30);
    set(2, 30);
    // `a` has made progress, which is noticed at the next look; `b` has only got more.
    sizes["a"] = 25;
    clock.advanceMs(100);
    expect(all.bytes).toBe(85);
    set(1, 40);
    expect(metrics.bufferedBytes).toBe(95);
    set(2, 40);
    return Promise.resolve().then(() => {
      expect(ended).toEqual(["b"]);
      expect([all.bytes, metrics.bufferedBytes]).toEqual([65, 65]);
      all.close();
    });
  });
});
