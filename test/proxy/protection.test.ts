// What protects the proxy from its clients, its endpoints and its own configuration.
import { describe, expect, test } from "vitest";
import { connectionsForDescriptors, isOwnAddress, openFilesLimit } from "../../src/proxy/machine.ts";
import { deadlineTickMs } from "../../src/proxy/deadlines.ts";
import { irTo, ok, startBackend, startProxy } from "./harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

describe("connections of clients", () => {
  test("beyond the limit are refused and counted; one that ends makes room", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const proxy = await startProxy({ backends: [backend], limits: { connectionsMax: 2 } });
    const first = await proxy.client();
    const second = await proxy.tlsClient();
    const third = await proxy.client();
    third.write(get);
    expect((await third.response()).status).toBe(503);
    expect(await third.toEnd()).toBe("");
    expect(proxy.metrics.connectionsRefused.get("total")).toBe(1);
    second.destroy();
    await proxy.until("there is room", () => proxy.metrics.downstreamActive === 1);
    expect((await proxy.roundTrip(get)).status).toBe(200);
    first.write(get);
    expect((await first.response()).status).toBe(200);
  });

  test("are counted during their handshake", async () => {
    const proxy = await startProxy();
    const client = await proxy.rawTlsClient();
    await proxy.until("it is counted", () => proxy.gauges["https"] === 1);
    client.destroy();
    await proxy.until("it is gone", () => proxy.gauges["https"] === 0);
  });

  test("leave descriptors for endpoints", () => {
    expect(connectionsForDescriptors(1024)).toBe(409);
    expect(connectionsForDescriptors(1)).toBe(1);
    expect(connectionsForDescriptors(Infinity)).toBe(Infinity);
    expect(openFilesLimit()).toBeGreaterThan(0);
  });

  test("that are reset while a pipelined request waits are noticed at once", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.client();
    client.write(`${get}G`);
    const peer = await backend.connection();
    await peer.request();
    client.reset();
    await peer.gone();
    await proxy.until("nothing is left", () => proxy.metrics.downstreamActive === 0);
  });
});

test("a route to our own port answers 508, and no connection is made", async () => {
  const proxy = await startProxy({ ir: null });
  proxy.proxy.publish(irTo([proxy.httpPort]));
  expect((await proxy.roundTrip(get)).status).toBe(508);
  expect(proxy.metrics.upstreamOpened).toBe(0);
  expect(proxy.metrics.refused.get("loopDetected")).toBe(1);
});

test("addresses of this machine are known", () => {
  expect(isOwnAddress("127.0.0.1")).toBe(true);
  expect(isOwnAddress("::1")).toBe(true);
  expect(isOwnAddress("203.0.113.9")).toBe(false);
});

test("an endpoint that takes connections and ends them without an answer is ejected, and comes back", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend] });
  for (let i = 0; i < 3; i += 1) {
    const answer = proxy.roundTrip(get);
    const peer = await backend.connection();
    await peer.request();
    peer.reset();
    expect((await answer).status).toBe(502);
  }
  expect(proxy.proxy.health.reports()[0]).toMatchObject({ state: "ejected", failuresInARow: 3 });
  backend.answer(() => ok());
  proxy.clock.advanceMs(1_000 + deadlineTickMs);
  expect((await proxy.roundTrip(get)).status).toBe(200);
  expect(proxy.proxy.health.reports()[0]).toMatchObject({ state: "healthy", failuresInARow: 0 });
});

test("fields that speak for a proxy in front go no further, whatever they are called", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({ backends: [backend] });
  const forged = ["X-Original-Host", "X-Original-Foo", "X-Forwarded-Ssl", "X-Original-Forwarded-Proto"];
  await proxy.roundTrip(
    get.replace("Host: a", `Host: a\r\n${forged.map((name) => `${name}: x`).join("\r\n")}`),
  );
  for (const name of forged) expect(backend.requests[0]!.all(name.toLowerCase())).toEqual([]);
});

test("an endpoint that switches to a protocol that nobody offered is not believed", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend] });
  backend.answer(() => "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: other\r\n\r\n");
  const response = await proxy.roundTrip(
    get.replace("Host: a", "Host: a\r\nConnection: upgrade\r\nUpgrade: websocket"),
  );
  expect(response.status).toBe(502);
});
