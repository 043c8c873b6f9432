import net from "node:net";
import { describe, expect, test } from "vitest";
import {
  irTo,
  ok,
  settingsFeature,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
  type HarnessOptions,
} from "./harness.ts";
import { Peer } from "./peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a\r\n";

async function start(
  options: HarnessOptions = {},
): Promise<{ backend: Backend; proxy: Harness; client: Peer }> {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], ...options });
  return { backend, proxy, client: await proxy.client() };
}

describe("the head of a request", () => {
  test("has 60 seconds from the start of the connection; bytes do not give it more", async () => {
    const { client, proxy, backend } = await start();
    client.write("GET / HTTP/1.1\r\nHost: a");
    for (let i = 0; i < 5; i += 1) {
      await proxy.settle();
      proxy.clock.advanceMs(11_900);
      client.write("a");
    }
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(500);
    const response = await client.response();
    expect(response.status).toBe(408);
    expect(await client.toEnd()).toBe("");
    expect(proxy.metrics.refused.get("headTimeout")).toBe(1);
    expect(backend.connections.length).toBe(0);
  });

  test("that never begins ends the connection without an answer", async () => {
    const { client, proxy } = await start();
    await proxy.settle();
    proxy.clock.advanceMs(60_000);
    expect(await client.toEnd()).toBe("");
    expect(proxy.metrics.refused.get("headTimeout")).toBe(0);
  });

  test("of a later request has its 60 seconds from its first byte, after up to 75 of silence", async () => {
    const { client, proxy, backend } = await start();
    backend.answer(() => ok());
    client.write(get);
    await client.response();
    proxy.clock.advanceMs(74_000);
    client.write("G");
    await proxy.settle();
    proxy.clock.advanceMs(59_000);
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(1_000);
    expect((await client.response()).status).toBe(408);
  });

  test("a kept connection without a request ends after 75 seconds, silently", async () => {
    const { client, proxy, backend } = await start();
    backend.answer(() => ok());
    client.write(get);
    await client.response();
    proxy.clock.advanceMs(74_900);
    await proxy.settle();
    expect(client.isEnded).toBe(false);
    proxy.clock.advanceMs(200);
    expect(await client.toEnd()).toBe("");
  });

  test("an ended connection is gone within the time it is lingered over, though the client stays", async () => {
    const { client, proxy } = await start();
    await proxy.settle();
    client.write("\0");
    await client.response();
    expect(proxy.gauges["http"]).toBe(1);
    proxy.clock.advanceMs(2_000);
    expect(proxy.gauges["http"]).toBe(0);
  });
});

describe("the content of a request", () => {
  test("that stops coming is 408, whoever's connection is older", async () => {
    const { client, proxy, backend } = await start();
    // A kept connection to the endpoint: its deadline would be looked at before the new client's.
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    const second = await proxy.client();
    second.write(`${post}Content-Length: 5\r\n\r\nab`);
    await peer.through("\r\n\r\nab");
    proxy.clock.advanceMs(60_000);
    const response = await second.response();
    expect(response.status).toBe(408);
    expect(response.field("connection")).toBe("close");
    expect(proxy.metrics.refused.get("contentTimeout")).toBe(1);
    await peer.gone();
  });

  test("may come more slowly than the endpoint's time to answer", async () => {
    const { client, proxy, backend } = await start({ settings: { readTimeoutMs: 1_000 } });
    client.write(`${post}Content-Length: 4\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly();
    for (const each of ["a", "b", "c", "d"]) {
      proxy.clock.advanceMs(5_000);
      client.write(each);
      await peer.through(each);
    }
    proxy.clock.advanceMs(900);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("that trickles below 240 bytes a second is 408 after a minute", async () => {
    const { client, proxy, backend } = await start();
    client.write(`${post}Content-Length: 100000\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly();
    for (let i = 0; i < 7; i += 1) {
      client.write("x".repeat(2_000));
      await proxy.settle();
      proxy.clock.advanceMs(10_000);
    }
    client.write("x");
    expect((await client.response()).status).toBe(408);
    expect(proxy.metrics.refused.get("contentTimeout")).toBe(1);
  });

  test("that is slow but above that goes on", async () => {
    const { client, proxy, backend } = await start();
    client.write(`${post}Content-Length: 60000\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly();
    for (let i = 0; i < 20; i += 1) {
      client.write("x".repeat(3_000));
      await proxy.settle();
      proxy.clock.advanceMs(10_000);
    }
    await peer.bytes(60_000);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("that nobody wants any more has a minute as well", async () => {
    const proxy = await startProxy({ ir: null });
    const client = await proxy.client();
    client.write(`${post}Content-Length: 5\r\n\r\nab`);
    expect((await client.response()).status).toBe(503);
    proxy.clock.advanceMs(60_000);
    await client.gone();
  });
});

describe("an endpoint", () => {
  test("that takes no request content for 60 seconds is 504, and the client is not to blame", async () => {
    const { client, proxy, backend } = await start({ settings: { contentMaxBytes: 0 } });
    client.write(`${post}Content-Length: 50000000\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly();
    peer.socket.pause();
    client.write(Buffer.alloc(50_000_000));
    await proxy.still(() => client.socket.writableLength);
    proxy.clock.advanceMs(59_000);
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(1_100);
    expect((await client.response()).status).toBe(504);
    expect(proxy.metrics.refused.get("upstreamSendTimeout")).toBe(1);
    peer.socket.resume();
    await peer.gone();
  });

  test("that does not answer in 60 seconds is 504, and not asked again", async () => {
    const { client, proxy, backend } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    proxy.clock.advanceMs(59_900);
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(200);
    const response = await client.response();
    expect(response.status).toBe(504);
    expect(response.field("connection")).toBeUndefined();
    await peer.gone();
    expect(backend.connections.length).toBe(1);
    expect(proxy.metrics.refused.get("upstreamReadTimeout")).toBe(1);
  });

  test("has its time anew with every read, interim responses included", async () => {
    const { client, proxy, backend } = await start({ settings: { readTimeoutMs: 1_000 } });
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    const pieces = [
      "HTTP/1.1 103 Hints\r\n\r\n",
      "HTTP/1.1 200 OK\r\n",
      "Content-Length: 4\r\n\r\n",
      "ab",
      "cd",
    ];
    for (const piece of pieces) {
      proxy.clock.advanceMs(900);
      peer.write(piece);
      await proxy.settle();
    }
    expect((await client.response()).status).toBe(103);
    expect((await client.response()).content.toString()).toBe("abcd");
  });

  test("that stops in the middle of its content leaves a broken message", async () => {
    const { client, proxy, backend } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    await client.through("abc\r\n");
    proxy.clock.advanceMs(60_000);
    expect(await client.toEnd()).toBe("");
    await peer.gone();
  });

  test("is not timed while the client takes nothing", async () => {
    const { client, proxy, backend } = await start({
      settings: { readTimeoutMs: 1_000 },
      limits: { downstreamStallTimeoutMs: 600_000 },
    });
    client.socket.pause();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    const content = Buffer.alloc(30_000_000, "x");
    peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n`);
    peer.write(content);
    await proxy.still(() => peer.socket.writableLength);
    proxy.clock.advanceMs(30_000);
    client.socket.resume();
    expect((await client.response()).content.length).toBe(content.length);
  });
});

describe("the time of a whole request", () => {
  const settings = { requestTimeoutMs: 10_000 };

  test("ends with 504 while the endpoint has not answered, and it is let go of", async () => {
    const { client, proxy, backend } = await start({ settings });
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n");
    expect((await client.response()).status).toBe(103);
    proxy.clock.advanceMs(9_900);
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(100);
    const response = await client.response();
    expect(response.status).toBe(504);
    expect(response.field("connection")).toBeUndefined();
    expect(proxy.metrics.refused.get("requestTimeout")).toBe(1);
    await peer.gone();
    client.write(get);
    const second = await backend.connection();
    await second.request();
    second.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("counts the time of all tries", async () => {
    const first = await startBackend();
    const second = await startBackend();
    const ir = irTo([first, second], settingsFeature({ ...settings, readTimeoutMs: 6_000 }));
    const { client, proxy } = await start({ ir });
    client.write(get);
    await (await first.connection()).request();
    proxy.clock.advanceMs(6_000);
    const peer = await second.connection();
    await peer.request();
    proxy.clock.advanceMs(4_000);
    expect((await client.response()).status).toBe(504);
    await peer.gone();
  });

  test("does not cut a response that has begun, nor a tunnel", async () => {
    const { client, proxy, backend } = await start({ settings });
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab");
    await client.through("ab");
    proxy.clock.advanceMs(30_000);
    peer.write("cd");
    await client.through("cd");
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    await peer.request();
    peer.write("HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n");
    expect((await client.response()).status).toBe(101);
    proxy.clock.advanceMs(30_000);
    client.write("hello");
    await peer.through("hello");
    peer.end();
    await client.toEnd();
    client.end();
  });

  test("goes on while a client is asked for its content", async () => {
    const { client, proxy, backend } = await start({ settings });
    client.write(`${post}Content-Length: 2\r\nExpect: 100-continue\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly();
    proxy.clock.advanceMs(1_000);
    expect((await client.response()).status).toBe(100);
    client.write("ab");
    await peer.through("ab");
    proxy.clock.advanceMs(8_900);
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(100);
    expect((await client.response()).status).toBe(504);
  });
});

describe("a client that takes nothing of its response", () => {
  async function stall(
    text: string,
    response: string,
  ): Promise<{ proxy: Harness; client: Peer; peer: Peer }> {
    const { client, proxy, backend } = await start();
    client.socket.pause();
    client.write(text);
    const peer = await backend.connection();
    await peer.request();
    peer.write(response);
    peer.write(Buffer.alloc(40_000_000));
    await proxy.still(() => peer.socket.writableLength);
    return { proxy, client, peer };
  }

  test("is cut after a minute, and the endpoint with it", async () => {
    const { proxy, client, peer } = await stall(get, "HTTP/1.1 200 OK\r\nContent-Length: 40000000\r\n\r\n");
    proxy.clock.advanceMs(59_000);
    expect(proxy.gauges).toMatchObject({ http: 1, upstreamActive: 1 });
    proxy.clock.advanceMs(1_100);
    expect(proxy.gauges).toMatchObject({ http: 0, upstreamActive: 0 });
    expect(proxy.metrics.refused.get("downstreamStalled")).toBe(1);
    client.socket.resume();
    await client.gone();
    await peer.gone();
  });

  test("is cut although it has half-closed and its response is complete", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend], limits: { requestsPerConnectionMax: 100_000 } });
    const content = "x".repeat(30_000);
    backend.answer(() => ok(content));
    const client = await proxy.client();
    client.socket.pause();
    client.write(get.repeat(1000));
    await proxy.still(() => backend.requests.length);
    client.socket.end();
    await proxy.settle();
    expect(proxy.gauges["http"]).toBe(1);
    proxy.clock.advanceMs(60_100);
    expect(proxy.gauges["http"]).toBe(0);
    client.socket.resume();
    await client.gone();
  });

  test("is cut in a tunnel as well", async () => {
    const { proxy, client, peer } = await stall(
      "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
      "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    );
    proxy.clock.advanceMs(60_100);
    expect(proxy.gauges).toMatchObject({ http: 0, upstreamActive: 0 });
    client.socket.resume();
    await client.gone();
    await peer.gone();
  });
});

test("a handshake has ten seconds", async () => {
  const proxy = await startProxy({ ir: null });
  const raw = new Peer(
    net.connect({ port: proxy.httpsPort, host: "127.0.0.1" }),
    "a client without handshake",
  );
  await proxy.until("it is accepted", () => proxy.proxy.connections > 0);
  proxy.clock.advanceMs(10_000);
  await raw.gone();
  expect(proxy.metrics.tlsHandshakeFailures).toBe(1);
  raw.destroy();
});
