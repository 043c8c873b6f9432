import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { ProxyMetrics } from "../../src/metrics/proxy-metrics.ts";
import { RequestMetrics } from "../../src/metrics/request-metrics.ts";
import { defaultLimits } from "../../src/proxy/limits.ts";
import { Proxy } from "../../src/proxy/proxy.ts";
import { TlsContexts } from "../../src/proxy/tls-contexts.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { makeCertificate } from "../../certs/make.ts";
import { ok, startBackend, startProxy, type Backend, type Harness } from "./harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function start(): Promise<{ backend: Backend; proxy: Harness }> {
  const backend = await startBackend();
  return { backend, proxy: await startProxy({ backends: [backend] }) };
}

test("from the start of a drain responses end their connections, and new connections are still served", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const kept = await proxy.client();
  kept.write(get);
  expect((await kept.response()).field("connection")).toBeUndefined();
  proxy.proxy.startDraining();
  await proxy.settle();
  expect(kept.isEnded).toBe(false);
  for (const client of [kept, await proxy.client()]) {
    client.write(get.repeat(2));
    expect((await client.response()).field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
  }
});

test("a drain closes idle connections, lets running requests end, and counts none as cut", async () => {
  const { backend, proxy } = await start();
  const [idle, busy, sending, starting] = [
    await proxy.client(),
    await proxy.client(),
    await proxy.client(),
    await proxy.client(),
  ];
  idle.write(get);
  const first = await backend.connection();
  await first.request();
  first.write(ok());
  await idle.response();
  busy.write(get);
  await first.request();
  sending.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
  const second = await backend.connection();
  await second.through("abc");
  starting.write("GET / HT");
  await proxy.settle();
  const drained = proxy.proxy.drain(60_000);
  await idle.gone();
  idle.end();
  await proxy.until("it is closed", () => proxy.gauges["http"] === 3);
  first.write(ok("busy"));
  const response = await busy.response();
  expect(response.field("connection")).toBe("close");
  expect(response.content.toString()).toBe("busy");
  sending.write("def");
  await second.through("def");
  second.write(ok("sent"));
  expect((await sending.response()).content.toString()).toBe("sent");
  starting.write("TP/1.1\r\nHost: a\r\n\r\n");
  // The connection used last is used first.
  await second.request();
  second.write(ok("started"));
  expect((await starting.response()).content.toString()).toBe("started");
  for (const each of [busy, sending, starting, idle]) each.destroy();
  await proxy.until("all are gone", () => proxy.gauges["http"] === 0);
  proxy.clock.advanceMs(50);
  expect(await drained).toBe(0);
});

test("a drain serves connections that were made before it, one request each, and waits for them 2 seconds at most", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const [accepted, silent] = [await proxy.client(), await proxy.client()];
  await proxy.settle();
  // Established by the kernel, but not yet accepted when the drain begins.
  const early = proxy.client();
  await new Promise<void>((resolve) => {
    process.nextTick(resolve);
  });
  const drained = proxy.proxy.drain(60_000);
  const queued = await early;
  for (const client of [accepted, queued]) {
    client.write(get);
    const response = await client.response();
    expect(response.status).toBe(200);
    expect(response.field("connection")).toBe("close");
    client.end();
    await client.closed();
  }
  expect(proxy.gauges["http"]).toBe(1);
  await proxy.proxy.stopAccepting();
  proxy.clock.advanceMs(2_000);
  await silent.gone();
  proxy.clock.advanceMs(100);
  expect(await drained).toBe(0);
});

test("a drain does not take away responses that a slow client has still to read", async () => {
  const { backend, proxy } = await start();
  const content = "x".repeat(30_000);
  backend.answer(() => ok(content));
  const client = await proxy.client();
  client.socket.pause();
  client.write(get.repeat(900));
  const count = await proxy.still(() => backend.requests.length);
  const drained = proxy.proxy.drain(60_000);
  await proxy.settle();
  proxy.clock.advanceMs(10_000);
  client.socket.resume();
  for (let i = 0; i < count; i += 1) expect((await client.response()).content.length).toBe(content.length);
  expect(await client.toEnd()).toBe("");
  client.end();
  await proxy.until("it is closed", () => proxy.gauges["http"] === 0);
  proxy.clock.advanceMs(100);
  expect(await drained).toBe(0);
});

test("a drain cuts what is left at its deadline, tunnels included, and says how many", async () => {
  const { backend, proxy } = await start();
  const [slow, tunnel] = [await proxy.client(), await proxy.client()];
  slow.write(get);
  const peer = await backend.connection();
  await peer.request();
  tunnel.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
  const other = await backend.connection();
  await other.request();
  other.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
  await tunnel.response();
  const drained = proxy.proxy.drain(10_000);
  await proxy.settle();
  proxy.clock.advanceMs(9_900);
  await proxy.settle();
  expect(proxy.gauges["http"]).toBe(2);
  proxy.clock.advanceMs(100);
  expect(await drained).toBe(2);
  await slow.gone();
  await tunnel.gone();
  await peer.gone();
  await other.gone();
});

test("connections that come while the listening sockets close are served or refused, never reset", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  proxy.proxy.startDraining();
  // Their handshakes are made before the proxy looks again.
  const stopped = proxy.proxy.stopAccepting();
  const outcomes = await Promise.all(
    Array.from({ length: 50 }, async () => {
      const socket = net.connect({ port: proxy.httpPort, host: "127.0.0.1" });
      socket.write(get);
      let text = "";
      let code = "";
      socket.on("data", (chunk: Buffer) => {
        text += chunk.toString("latin1");
      });
      socket.on("error", (error: NodeJS.ErrnoException) => {
        code = error.code ?? "";
      });
      await new Promise<void>((resolve) => void socket.on("close", () => resolve()));
      return text.startsWith("HTTP/1.1 200") ? "served" : code;
    }),
  );
  await stopped;
  expect(outcomes.filter((each) => each !== "served" && each !== "ECONNREFUSED")).toEqual([]);
  expect(outcomes).toContain("served");
});

test("a drain without connections ends at once", async () => {
  const { proxy } = await start();
  expect(await proxy.proxy.drain(10_000)).toBe(0);
  const refused = net.connect({ port: proxy.httpPort, host: "127.0.0.1" });
  const [error] = (await once(refused, "error")) as [NodeJS.ErrnoException];
  expect(error.code).toBe("ECONNREFUSED");
});

test.each([
  ["httpPort", "--http-port"],
  ["httpsPort", "--https-port"],
])("a busy %s is an error that names %s, and leaves nothing bound", async (option, flag) => {
  const taken = net.createServer().listen(0, "127.0.0.1");
  await once(taken, "listening");
  onTestFinished(() => void taken.close());
  const { port } = taken.address() as AddressInfo;
  const clock = new ManualClock();
  const proxy = new Proxy({
    httpPort: 0,
    httpsPort: 0,
    [option]: port,
    addresses: ["127.0.0.1"],
    runtimes: new Map(),
    tls: new TlsContexts(await makeCertificate({ names: ["fallback.example"] }), clock),
    limits: defaultLimits,
    clock,
    random: () => 0,
    allowsLoopback: true,
    metrics: new ProxyMetrics(),
    requestMetrics: new RequestMetrics(),
    onBug: (error) => expect(error).toBeUndefined(),
  });
  await expect(proxy.listen()).rejects.toThrow(`127.0.0.1 port ${port} is in use`);
  await expect(proxy.listen()).rejects.toThrow(flag);
  expect(proxy.connections).toBe(0);
});
