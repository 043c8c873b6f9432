import { describe, expect, test } from "vitest";
import type { RouteSettings } from "../../src/proxy/filter.ts";
import { defaultRouteSettings } from "../../src/proxy/routing/compile-host.ts";
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
import type { Peer } from "./peer.ts";

interface Scene {
  readonly first: Backend;
  readonly second: Backend;
  readonly proxy: Harness;
  readonly client: Peer;
}

/** Content up to 100 bytes is read first. Requests begin at `first`. */
async function start(settings: Partial<RouteSettings> = {}, options: HarnessOptions = {}): Promise<Scene> {
  const first = await startBackend();
  const second = await startBackend();
  const ir = irTo([first, second], settingsFeature({ contentBufferMaxBytes: 100, ...settings }));
  const proxy = await startProxy({ ir, ...options });
  return { first, second, proxy, client: await proxy.client() };
}

const head = (framing: string, method = "PUT"): string =>
  `${method} / HTTP/1.1\r\nHost: a\r\n${framing}\r\n\r\n`;
/** Every byte value, CR, LF and NUL included. */
const bytes = (count: number): Buffer =>
  Buffer.from(Array.from({ length: count }, (_, i) => (i * 7 + 13) % 256));
const chunk = (content: Buffer): Buffer =>
  Buffer.concat([Buffer.from(`${content.length.toString(16)}\r\n`), content, Buffer.from("\r\n")]);

describe("small content", () => {
  test.each(["Content-Length: 100", "Transfer-Encoding: chunked"])(
    "with %s is read before an endpoint is contacted, however slowly it comes",
    async (framing) => {
      const { client, first, proxy } = await start();
      const content = bytes(100);
      client.write(head(framing));
      for (let at = 0; at < 100; at += 10) {
        expect(proxy.gauges["upstreamActive"]).toBe(0);
        const piece = content.subarray(at, at + 10);
        client.write(framing.startsWith("T") ? chunk(piece) : piece);
        await proxy.settle();
        proxy.clock.advanceMs(5_000);
      }
      if (framing.startsWith("T")) client.write("0\r\nTrailer: no\r\n\r\n");
      const peer = await first.connection();
      const request = await peer.request();
      expect(request.content.equals(content)).toBe(true);
      expect([request.framing, request.all("transfer-encoding")]).toEqual(["length", []]);
      peer.write(ok());
      expect((await client.response()).status).toBe(200);
    },
  );

  test("of no bytes in chunks becomes no content", async () => {
    const { client, first } = await start();
    client.write(`${head("Transfer-Encoding: chunked")}0\r\n\r\n`);
    const peer = await first.connection();
    expect((await peer.request()).field("content-length")).toBe("0");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("that stops coming is 408, and no endpoint hears of it", async () => {
    const { client, first, proxy } = await start();
    client.write(`${head("Content-Length: 9")}abc`);
    await proxy.settle();
    proxy.clock.advanceMs(60_000);
    const response = await client.response();
    expect([response.status, response.field("connection")]).toEqual([408, "close"]);
    expect(first.connections.length).toBe(0);
  });

  test("whose client leaves leaves nothing", async () => {
    const { client, first, proxy } = await start();
    client.write(`${head("Content-Length: 9")}abc`);
    await proxy.until("it is kept", () => proxy.proxy.contentBuffers.bytes === 3);
    client.reset();
    await proxy.until("it is dropped", () => proxy.proxy.contentBuffers.bytes === 0);
    expect(first.connections.length).toBe(0);
  });

  test("counts against the time of the whole request", async () => {
    const { client, proxy } = await start({ requestTimeoutMs: 5_000 });
    client.write(`${head("Content-Length: 9")}abc`);
    await proxy.settle();
    proxy.clock.advanceMs(5_000);
    expect((await client.response()).status).toBe(504);
  });

  test("is asked for by Fairway itself, and the endpoint hears of no expectation", async () => {
    const { client, first } = await start();
    client.write(head("Content-Length: 3\r\nExpect: 100-continue"));
    expect((await client.response()).status).toBe(100);
    expect(first.connections.length).toBe(0);
    client.write("abc");
    const peer = await first.connection();
    const request = await peer.request();
    expect([request.field("expect"), request.content.toString()]).toEqual([undefined, "abc"]);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("that is malformed is 400, and no endpoint hears of it", async () => {
    const { client, first } = await start();
    client.write(`${head("Transfer-Encoding: chunked")}3\r\nabcX\r\n`);
    expect((await client.response()).status).toBe(400);
    expect(first.connections.length).toBe(0);
  });

  test("that is too large for the route is 413, and no endpoint hears of it", async () => {
    const { client, first } = await start({ contentMaxBytes: 50 });
    client.write(head("Transfer-Encoding: chunked"));
    client.write(chunk(bytes(60)));
    expect((await client.response()).status).toBe(413);
    expect(first.connections.length).toBe(0);
  });

  test("of pipelined requests goes with its own request", async () => {
    const { client, first } = await start();
    client.write(`${head("Content-Length: 3")}abc${head("Content-Length: 4")}defg`);
    const peer = await first.connection();
    expect((await peer.request()).content.toString()).toBe("abc");
    peer.write(ok("1"));
    expect((await client.response()).content.toString()).toBe("1");
    first.answer(() => ok("2"));
  });

  test("without an endpoint to go to is 503, and the connection goes on", async () => {
    const { client, proxy, first } = await start();
    client.write(`${head("Content-Length: 3")}a`);
    await proxy.until("it is kept", () => proxy.proxy.contentBuffers.bytes === 1);
    proxy.proxy.publish(irTo([]));
    client.write("bc");
    const response = await client.response();
    expect([response.status, response.field("connection")]).toEqual([503, undefined]);
    proxy.proxy.publish(irTo([first]));
    client.write(`${head("Content-Length: 3")}def`);
    const peer = await first.connection();
    expect((await peer.request()).content.toString()).toBe("def");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });
});

describe("larger content", () => {
  test("that says so is passed on from the start", async () => {
    const { client, first } = await start();
    client.write(`${head("Content-Length: 101")}a`);
    const peer = await first.connection();
    await peer.through("\r\n\r\na");
    client.write("b".repeat(100));
    await peer.bytes(100);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("without a length is passed on once the buffer is full, every byte of it", async () => {
    const { client, first, proxy } = await start();
    const content = bytes(300_000);
    client.write(head("Transfer-Encoding: chunked"));
    client.write(chunk(content.subarray(0, 60)));
    await proxy.settle();
    expect(first.connections.length).toBe(0);
    client.write(chunk(content.subarray(60, 200)));
    const peer = await first.connection();
    const reading = peer.request();
    client.write(chunk(content.subarray(200)));
    client.write("0\r\n\r\n");
    const request = await reading;
    expect(request.framing).toBe("chunked");
    expect(request.content.equals(content)).toBe(true);
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("is passed on with its expectation, which the endpoint answers", async () => {
    const { client, first } = await start();
    client.write(head("Content-Length: 101\r\nExpect: 100-continue"));
    const peer = await first.connection();
    expect((await peer.headOnly()).field("expect")).toBe("100-continue");
    peer.write("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    expect((await client.response()).status).toBe(417);
  });
});

test("content is passed on as it comes while all exchanges together keep too much", async () => {
  const { client, first, proxy } = await start({}, { limits: { contentBuffersTotalMaxBytes: 50 } });
  client.write(`${head("Content-Length: 90")}${"a".repeat(40)}`);
  await proxy.until("it is kept", () => proxy.proxy.contentBuffers.bytes === 40);
  const other = await proxy.client();
  other.write(`${head("Content-Length: 90")}${"b".repeat(20)}`);
  const peer = await first.connection();
  await peer.through("b".repeat(20));
  const third = await proxy.client();
  third.write(head("Content-Length: 90"));
  await proxy.until("it is passed on", () => proxy.gauges["upstreamActive"] === 2);
  for (const each of [other, third, client]) each.reset();
  await proxy.until("all is over", () => proxy.gauges["upstreamActive"] === 0);
});

describe("a retry", () => {
  const failures: readonly (readonly [string, (peer: Peer) => void])[] = [
    ["a reset", (peer) => peer.reset()],
    ["503", (peer) => peer.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n")],
  ];
  const retries = { ...defaultRouteSettings.retries, statuses: [503] };

  test.each(
    failures.flatMap(([name, act]) =>
      ["PUT", "DELETE", "POST", "PATCH"].map((method) => ({ name, act, method })),
    ),
  )(
    "after $name sends the content of $method again, byte for byte, where it may",
    async ({ act, method }) => {
      for (const isNonIdempotentIncluded of [false, true]) {
        const { client, first, second } = await start({ retries: { ...retries, isNonIdempotentIncluded } });
        const content = bytes(100);
        client.write(head("Content-Length: 100", method));
        client.write(content);
        const peer = await first.connection();
        expect((await peer.request()).content.equals(content)).toBe(true);
        act(peer);
        if (!isNonIdempotentIncluded && method.startsWith("P") && method !== "PUT") {
          expect((await client.response()).status).toBeGreaterThanOrEqual(502);
          expect(second.connections.length).toBe(0);
          continue;
        }
        const other = await second.connection();
        const request = await other.request();
        expect(request.startLine).toBe(`${method} / HTTP/1.1`);
        expect(request.content.equals(content)).toBe(true);
        other.write(ok());
        expect((await client.response()).status).toBe(200);
      }
    },
  );

  test("sends the content of a stale connection's request again", async () => {
    const { client, first, proxy } = await start();
    proxy.proxy.publish(irTo([first], settingsFeature({ contentBufferMaxBytes: 100 })));
    client.write(`${head("Content-Length: 3")}abc`);
    const peer = await first.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    client.write(`${head("Content-Length: 3")}def`);
    await peer.request();
    peer.reset();
    const next = await first.connection();
    expect((await next.request()).content.toString()).toBe("def");
    next.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("replays a full buffer when nothing was passed on beyond it, and the rest follows", async () => {
    const { client, first, second, proxy } = await start();
    const content = bytes(150);
    client.write(head("Transfer-Encoding: chunked"));
    client.write(chunk(content));
    const peer = await first.connection();
    await peer.headOnly();
    await proxy.settle();
    peer.reset();
    const other = await second.connection();
    const reading = other.request();
    client.write(chunk(content));
    client.write("0\r\n\r\n");
    expect((await reading).content.equals(Buffer.concat([content, content]))).toBe(true);
    other.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("is 502 once content beyond the buffer was passed on", async () => {
    const { client, first, second } = await start();
    client.write(head("Transfer-Encoding: chunked"));
    client.write(chunk(bytes(150)));
    const peer = await first.connection();
    await peer.headOnly();
    client.write(chunk(Buffer.from("beyond")));
    await peer.through("beyond");
    peer.reset();
    expect((await client.response()).status).toBe(502);
    expect(second.connections.length).toBe(0);
  });

  test("has its time from the first try, not from the first byte of a slow upload", async () => {
    const { client, first, second, proxy } = await start({ retries: { ...retries, timeoutMs: 10_000 } });
    client.write(`${head("Content-Length: 3")}a`);
    await proxy.settle();
    proxy.clock.advanceMs(30_000);
    client.write("bc");
    const peer = await first.connection();
    await peer.request();
    proxy.clock.advanceMs(9_000);
    peer.reset();
    const other = await second.connection();
    await other.request();
    other.write(ok());
    expect((await client.response()).status).toBe(200);
  });
});

test("200 slow uploads hold no connection to an endpoint and little memory", async () => {
  const { proxy, first, second } = await start({ contentBufferMaxBytes: 8192 });
  const clients = await Promise.all(Array.from({ length: 200 }, async () => proxy.client()));
  for (const client of clients) client.write(`${head("Content-Length: 8000")}${"a".repeat(100)}`);
  await proxy.until("all are kept", () => proxy.proxy.contentBuffers.bytes === 20_000);
  expect([first.connections.length, second.connections.length]).toEqual([0, 0]);
  first.answer((request) => ok(String(request.content.length)));
  second.answer((request) => ok(String(request.content.length)));
  for (const client of clients) client.write("b".repeat(7_900));
  for (const client of clients) expect((await client.response()).content.toString()).toBe("8000");
});

test("a response frees what was kept of its request", async () => {
  const { client, first, proxy } = await start();
  client.write(`${head("Content-Length: 3")}abc`);
  const peer = await first.connection();
  await peer.request();
  expect(proxy.proxy.contentBuffers.bytes).toBe(3);
  peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n");
  await client.through("ab\r\n");
  expect(proxy.proxy.contentBuffers.bytes).toBe(0);
  peer.write("0\r\n\r\n");
  await client.through("0\r\n\r\n");
});
