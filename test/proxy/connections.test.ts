import net from "node:net";
import tls from "node:tls";
import { describe, expect, test } from "vitest";
import { ok, startBackend, startProxy, type Backend, type Harness, type HarnessOptions } from "./harness.ts";
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

describe("a client that half-closes", () => {
  test("after a request still gets its response, and the ones pipelined before it", async () => {
    const { backend, client, proxy } = await start();
    client.end(get.repeat(3));
    const peer = await backend.connection();
    for (let i = 0; i < 3; i += 1) {
      await peer.request();
      await proxy.settle();
      peer.write(ok(`answer ${i}`));
      expect((await client.response()).content.toString()).toBe(`answer ${i}`);
    }
    expect(await client.toEnd()).toBe("");
    await proxy.until("it is closed", () => proxy.gauges["http"] === 0);
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
  });

  test("over TLS gets its response as well", async () => {
    const { backend, proxy } = await start();
    const client = await proxy.tlsClient();
    client.end(get);
    const peer = await backend.connection();
    await peer.request();
    await proxy.settle();
    peer.write(ok("x".repeat(200_000)));
    expect((await client.response()).content.length).toBe(200_000);
  });

  test("in the middle of a head is let go", async () => {
    const { client } = await start();
    client.end("GET / HT");
    expect(await client.toEnd()).toBe("");
  });

  test("without a request is let go", async () => {
    const { client } = await start();
    client.end();
    expect(await client.toEnd()).toBe("");
  });

  test.each(["Content-Length: 9\r\n\r\nabc", "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"])(
    "in the middle of content ends the request: the endpoint sees it broken: %j",
    async (rest) => {
      const { backend, client, proxy } = await start();
      client.write(post + rest);
      const peer = await backend.connection();
      await peer.through("\r\nabc");
      client.end();
      expect((await peer.toClose()).trim()).toBe("");
      await client.gone();
      expect(proxy.gauges).toMatchObject({ http: 0, upstreamActive: 0, upstreamIdle: 0 });
    },
  );
});

describe("a client that goes away takes its connection to the endpoint with it", () => {
  const states: readonly (readonly [string, (all: { client: Peer; peer: Peer }) => Promise<void>, string])[] =
    [
      ["while the endpoint thinks", async ({ peer }) => void (await peer.request()), get],
      [
        "while it sends content",
        async ({ peer }) => void (await peer.through("\r\nabc")),
        `${post}Content-Length: 9\r\n\r\nabc`,
      ],
      [
        "while content comes back",
        async ({ client, peer }) => {
          await peer.request();
          peer.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc");
          await client.through("abc");
        },
        get,
      ],
      [
        "in a tunnel",
        async ({ client, peer }) => {
          await peer.request();
          peer.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n");
          await client.response();
        },
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
      ],
    ];
  test.each(states)("%s", async (_, reach, text) => {
    for (const isTls of [false, true]) {
      const { backend, proxy } = await start();
      const client = await (isTls ? proxy.tlsClient() : proxy.client());
      client.write(text);
      const peer = await backend.connection();
      await reach({ client, peer });
      expect(proxy.gauges).toMatchObject({ upstreamActive: 1 });
      if (isTls) client.destroy();
      else client.reset();
      // Of a TLS client nothing but the end of its bytes is seen, which may be a half-close: what the endpoint does next
      // finds out that nobody is there any more.
      if (isTls && !peer.isEnded) peer.write(ok("x".repeat(9)));
      if (isTls) peer.end();
      await peer.gone();
      const left = (): number => proxy.gauges["https"]! + proxy.gauges["upstreamActive"]!;
      await proxy.until("nothing is left", () => left() === 0);
      expect(proxy.gauges["upstreamIdle"]).toBe(0);
    }
  });

  test("between requests: the endpoint's connection stays for others", async () => {
    const { backend, client, proxy } = await start();
    backend.answer(() => ok());
    client.write(get);
    await client.response();
    client.reset();
    await proxy.until("it is gone", () => proxy.gauges["http"] === 0);
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
    await proxy.roundTrip(get);
    expect(backend.connections.length).toBe(1);
  });

  test("with requests waiting behind: they never reach the endpoint", async () => {
    const { backend, client, proxy } = await start();
    client.write(get.repeat(3));
    const peer = await backend.connection();
    await peer.request();
    await proxy.settle();
    client.reset();
    await proxy.settle();
    peer.write(ok("x".repeat(100_000)));
    await proxy.until("it is gone", () => proxy.gauges["http"] === 0);
    expect(backend.connections.length).toBe(1);
    await proxy.settle();
    expect(peer.unread).not.toContain("GET");
  });
});

describe("back-pressure", () => {
  const size = 64_000_000;

  test.each([
    ["plain", "length"],
    ["plain", "chunked"],
    ["TLS", "length"],
  ])("over %s: a client that reads nothing stops the endpoint, with %s", async (transport, framing) => {
    const { backend, proxy } = await start();
    const client = await (transport === "TLS" ? proxy.tlsClient() : proxy.client());
    client.socket.pause();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    const fields = framing === "length" ? `Content-Length: ${size}` : "Transfer-Encoding: chunked";
    peer.write(`HTTP/1.1 200 OK\r\n${fields}\r\n\r\n`);
    if (framing === "chunked") peer.write(`${size.toString(16)}\r\n`);
    peer.write(Buffer.alloc(size, "x"));
    if (framing === "chunked") peer.write("\r\n0\r\n\r\n");
    const before = process.memoryUsage().external;
    const waiting = await proxy.still(() => peer.socket.writableLength);
    // What the kernel holds for two connections, and hardly anything of ours.
    expect(waiting).toBeGreaterThan(size / 2);
    expect(process.memoryUsage().external - before).toBeLessThan(16_000_000);
    client.socket.resume();
    expect((await client.response()).content.length).toBe(size);
  });

  test.each([
    ["plain", "length"],
    ["plain", "chunked"],
    ["TLS", "length"],
  ])("over %s: an endpoint that reads nothing stops the client, with %s", async (transport, framing) => {
    const { backend, proxy } = await start({ settings: { contentMaxBytes: 0 } });
    const client = await (transport === "TLS" ? proxy.tlsClient() : proxy.client());
    const fields = framing === "length" ? `Content-Length: ${size}` : "Transfer-Encoding: chunked";
    client.write(`${post}${fields}\r\n\r\n`);
    const peer = await backend.connection();
    await peer.headOnly().then((head) => expect(head.framing).toBe(framing));
    peer.socket.pause();
    if (framing === "chunked") client.write(`${size.toString(16)}\r\n`);
    client.write(Buffer.alloc(size, "x"));
    if (framing === "chunked") client.write("\r\n0\r\n\r\n");
    const waiting = await proxy.still(() => client.socket.writableLength);
    expect(waiting).toBeGreaterThan(size / 2);
    peer.socket.resume();
    await peer.until("the content", () => peer.bytesReceived > size);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("of one client does not hold up another", async () => {
    const { backend, client, proxy } = await start();
    client.socket.pause();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    peer.write(Buffer.alloc(size, "x"));
    await proxy.still(() => peer.socket.writableLength);
    const other = await proxy.client();
    other.write(get);
    const second = await backend.connection();
    await second.request();
    second.write(ok("x".repeat(1_000_000)));
    expect((await other.response()).content.length).toBe(1_000_000);
  });
});

test("content that ends with the connection is not cut short for a TLS client without it knowing", async () => {
  const { backend, proxy } = await start();
  const ended: number[] = [];
  for (const isBroken of [false, true]) {
    const raw = net.connect({ port: proxy.httpsPort, host: "127.0.0.1" });
    const client = new Peer(tls.connect({ socket: raw, rejectUnauthorized: false }), "TLS client");
    client.write("GET / HTTP/1.0\r\n\r\n");
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\n\r\nabc");
    await client.through("abc");
    await proxy.settle();
    const before = raw.bytesRead;
    if (isBroken) peer.reset();
    else peer.end();
    await client.gone();
    ended.push(raw.bytesRead - before);
    client.destroy();
  }
  // The closing alert of TLS (RFC 8446, 6.1) comes with the complete message only.
  expect(ended[0]).toBeGreaterThan(0);
  expect(ended[1]).toBe(0);
});

describe("a handshake", () => {
  test.each([
    ["garbage", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["nothing", ""],
    ["half a record", "\x16\x03\x01\x02\x00\x01"],
  ])("of %s ends and is counted", async (_, text) => {
    const proxy = await startProxy();
    const client = new Peer(net.connect({ port: proxy.httpsPort, host: "127.0.0.1" }), "a bad TLS client");
    client.end(text);
    await client.closed();
    await proxy.until("it is counted", () => proxy.metrics.tlsHandshakeFailures === 1);
    expect(proxy.proxy.connections).toBe(0);
  });

  test("that succeeded, followed by bytes that are no record, ends the connection only", async () => {
    const { backend, proxy } = await start();
    const raw = net.connect({ port: proxy.httpsPort, host: "127.0.0.1" });
    const client = new Peer(tls.connect({ socket: raw, rejectUnauthorized: false }), "TLS client");
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const peer = await backend.connection();
    await peer.request();
    raw.write("this is not TLS");
    await peer.gone();
    await client.gone();
    client.destroy();
    await proxy.until("nothing is left", () => proxy.gauges["https"] === 0);
    expect(proxy.gauges).toMatchObject({ upstreamActive: 0 });
  });
});
