import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { ok, startBackend, startProxy, type Backend, type Harness, type HarnessOptions } from "./harness.ts";
import type { Peer } from "./peer.ts";

const upgrade =
  "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nX: 1\r\n\r\n";
const switched =
  "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nX: 2\r\n\r\n";

interface Tunnel {
  readonly backend: Backend;
  readonly proxy: Harness;
  readonly client: Peer;
  readonly peer: Peer;
}

async function open(options: HarnessOptions = {}, isTls = false): Promise<Tunnel> {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], ...options });
  const client = await (isTls ? proxy.tlsClient() : proxy.client());
  client.write(upgrade);
  const peer = await backend.connection();
  await peer.request();
  peer.write(switched);
  expect((await client.response()).status).toBe(101);
  return { backend, proxy, client, peer };
}

const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

describe("switching protocols", () => {
  test("is offered to the endpoint and taken by it, with fields of the connection made anew on both sides", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.client();
    client.write(upgrade);
    const peer = await backend.connection();
    const request = await peer.request();
    expect(request.field("connection")).toBe("upgrade");
    expect(request.field("upgrade")).toBe("websocket");
    peer.write(switched);
    const response = await client.response();
    expect(response.startLine).toBe("HTTP/1.1 101 Switching Protocols");
    expect(response.field("connection")).toBe("upgrade");
    expect(response.field("upgrade")).toBe("websocket");
    expect(response.field("x")).toBe("2");
    expect(response.field("content-length")).toBeUndefined();
    expect(proxy.gauges).toMatchObject({ http: 1, upstreamActive: 1, upstreamIdle: 0 });
  });

  test("that the endpoint declines leaves ordinary connections", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    backend.answer((request) => ok(request.field("upgrade") ?? "none"));
    const client = await proxy.client();
    client.write(upgrade + "GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    expect((await client.response()).content.toString()).toBe("websocket");
    expect((await client.response()).content.toString()).toBe("none");
    expect(backend.connections.length).toBe(1);
  });

  test.each([
    ["h2c", "HTTP2-Settings: AAMAAABkAAQ\r\n", undefined],
    ["H2C", "", undefined],
    ["h2", "", undefined],
    ["h2c, websocket", "", "websocket"],
  ])("to %s is never offered as such", async (value, more, offered) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.client();
    client.write(
      `GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: ${value}\r\n${more}\r\n`,
    );
    const peer = await backend.connection();
    const request = await peer.request();
    expect(request.field("upgrade")).toBe(offered);
    expect(request.field("http2-settings")).toBeUndefined();
    expect(request.field("connection")).toBe(offered === undefined ? undefined : "upgrade");
    // An endpoint that switches all the same has no say.
    if (offered === undefined) peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n");
    else peer.write(ok());
    expect((await client.response()).status).toBe(offered === undefined ? 502 : 200);
  });

  test.each([
    [
      "HTTP/1.0",
      "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade, keep-alive\r\nUpgrade: websocket\r\n\r\n",
    ],
    ["no Connection option", "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n"],
    [
      "content",
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    ],
  ])("is not offered with %s", async (_, text) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    backend.answer((request) => ok(request.field("upgrade") ?? "none"));
    const client = await proxy.client();
    client.write(text);
    expect((await client.response()).content.toString()).toBe("none");
  });
});

describe("a tunnel", () => {
  test.each([
    ["plain", false],
    ["TLS", true],
  ])("carries bytes both ways, those that come early included, over %s", async (_, isTls) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await (isTls ? proxy.tlsClient() : proxy.client());
    // Before the endpoint has agreed, and in one read with its agreement.
    client.write(upgrade + "early from the client;");
    const peer = await backend.connection();
    await peer.request();
    await proxy.settle();
    expect(peer.unread).toBe("");
    peer.write(switched + "early from the endpoint;");
    await client.response();
    await client.through("early from the endpoint;");
    await peer.through("early from the client;");
    const [up, down] = [randomBytes(8_000_000), randomBytes(8_000_000)];
    client.write(up);
    peer.write(down);
    const [gotUp, gotDown] = await Promise.all([peer.bytes(up.length), client.bytes(down.length)]);
    expect(sha(gotUp)).toBe(sha(up));
    expect(sha(gotDown)).toBe(sha(down));
    // Whatever they look like.
    client.write("GET /smuggled HTTP/1.1\r\n\r\n");
    await peer.through("GET /smuggled HTTP/1.1\r\n\r\n");
  });

  test("closed by the client for writing still carries what the endpoint sends, and the other way round", async () => {
    for (const isClientFirst of [true, false]) {
      const { client, peer, proxy } = await open();
      const [first, second] = isClientFirst ? [client, peer] : [peer, client];
      first.end("bye");
      expect(await second.toEnd()).toBe("bye");
      second.write("one more");
      await first.through("one more");
      expect(proxy.gauges).toMatchObject({ http: 1, upstreamActive: 1 });
      second.end("and bye");
      expect(await first.toEnd()).toBe("and bye");
      await proxy.until(
        "all is closed",
        () => proxy.gauges["http"] === 0 && proxy.gauges["upstreamActive"] === 0,
      );
      // An orderly end is no failure.
      expect(proxy.metrics.refused.get("upstreamReset")).toBe(0);
    }
  });

  test.each([
    ["the client", true],
    ["the endpoint", false],
  ])("closed by both loses nothing for a slow reader: %s", async (_, isClientSlow) => {
    const { client, peer, proxy } = await open();
    const [slow, fast] = isClientSlow ? [client, peer] : [peer, client];
    slow.socket.pause();
    slow.end();
    const bytes = Buffer.alloc(20_000_000, "x");
    fast.write(bytes);
    fast.end();
    await proxy.still(() => fast.socket.writableLength);
    slow.socket.resume();
    const received = await slow.toEnd();
    expect(received.length).toBe(bytes.length);
    await fast.gone();
    await proxy.until(
      "all is closed",
      () => proxy.gauges["http"] === 0 && proxy.gauges["upstreamActive"] === 0,
    );
  });

  test.each([
    ["the client", true],
    ["the endpoint", false],
  ])("reset by %s ends for the other", async (_, isClient) => {
    const { client, peer, proxy } = await open();
    (isClient ? client : peer).reset();
    await (isClient ? peer : client).gone();
    if (!isClient) client.end();
    await proxy.until(
      "all is closed",
      () => proxy.gauges["http"] === 0 && proxy.gauges["upstreamActive"] === 0,
    );
  });

  test("in which nothing is said for the endpoint's read timeout ends", async () => {
    const { client, peer, proxy } = await open();
    proxy.clock.advanceMs(40_000);
    client.write("ping");
    await peer.through("ping");
    proxy.clock.advanceMs(40_000);
    peer.write("pong");
    await client.through("pong");
    proxy.clock.advanceMs(60_000);
    await client.gone();
    await peer.gone();
  });

  test.each([
    ["client", true],
    ["endpoint", false],
  ])("does not read on what a stalled %s does not take", async (_, isClient) => {
    const { client, peer, proxy } = await open();
    const [stalled, sender] = isClient ? [client, peer] : [peer, client];
    stalled.socket.pause();
    const bytes = Buffer.alloc(60_000_000, "x");
    sender.write(bytes);
    const waiting = await proxy.still(() => sender.socket.writableLength);
    expect(waiting).toBeGreaterThan(30_000_000);
    // The other direction is not held up.
    stalled.write("still here");
    await sender.through("still here");
    stalled.socket.resume();
    await stalled.bytes(bytes.length);
  });
});
