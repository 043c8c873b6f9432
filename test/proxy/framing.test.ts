import { createHash, randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  irTo,
  ok,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
  type HarnessOptions,
} from "./harness.ts";
import type { Peer } from "./peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function start(
  options: HarnessOptions = {},
): Promise<{ backend: Backend; proxy: Harness; client: Peer }> {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], ...options });
  return { backend, proxy, client: await proxy.client() };
}

const sha = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Cut into chunks of many sizes, none of them a power of two. */
function chunked(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0, size = 1; at < bytes.length; size = (size * 7 + 3) % 150_001) {
    const piece = bytes.subarray(at, at + size + 1);
    pieces.push(Buffer.from(`${piece.length.toString(16)};ext="v"\r\n`), piece, Buffer.from("\r\n"));
    at += piece.length;
  }
  return Buffer.concat([...pieces, Buffer.from("0\r\n\r\n")]);
}

describe("large content arrives byte for byte", () => {
  const content = randomBytes(24 * 1024 * 1024);
  test.each([
    ["plain", "length", "length"],
    ["plain", "chunked", "chunked"],
    ["TLS", "length", "chunked"],
    ["TLS", "chunked", "length"],
  ])("over %s: request with %s, response with %s", async (transport, up, down) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend], settings: { contentMaxBytes: 0 } });
    const client = await (transport === "TLS" ? proxy.tlsClient() : proxy.client());
    const framed = (how: string): Buffer[] =>
      how === "length"
        ? [Buffer.from(`Content-Length: ${content.length}\r\n\r\n`), content]
        : [Buffer.from("Transfer-Encoding: chunked\r\n\r\n"), chunked(content)];
    client.write("POST / HTTP/1.1\r\nHost: a\r\n");
    for (const each of framed(up)) client.write(each);
    const peer = await backend.connection();
    const request = await peer.request();
    expect(request.framing).toBe(up);
    expect(sha(request.content)).toBe(sha(content));
    peer.write("HTTP/1.1 200 OK\r\n");
    for (const each of framed(down)) peer.write(each);
    const response = await client.response();
    expect(response.framing).toBe(down);
    expect(sha(response.content)).toBe(sha(content));
    client.write(get);
    expect((await peer.request()).startLine).toBe("GET / HTTP/1.1");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });
});

test("each piece of request content reaches the endpoint before the next one is sent", async () => {
  const { backend, client } = await start();
  client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  const peer = await backend.connection();
  await peer.headOnly();
  client.write("3\r\nabc\r\n");
  await peer.through("3\r\nabc\r\n");
  client.write("2\r\nde");
  await peer.through("2\r\nde\r\n");
  client.write("\r\n0\r\n\r\n");
  await peer.through("0\r\n\r\n");
  peer.write(ok());
  await client.response();
  client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab");
  await peer.through("\r\n\r\nab");
  client.write("cd");
  await peer.through("cd");
  peer.write(ok());
  await client.response();
});

test("each piece of response content reaches the client before the next one is sent", async () => {
  const { backend, client } = await start();
  client.write(get);
  const peer = await backend.connection();
  await peer.request();
  peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
  await client.headOnly();
  peer.write("3\r\nabc\r\n");
  await client.through("3\r\nabc\r\n");
  peer.write("3\r\nde");
  await client.through("2\r\nde\r\n");
  peer.write("f\r\n0\r\n\r\n");
  await client.through("1\r\nf\r\n0\r\n\r\n");
});

test("an HTTP/1.0 client gets chunks as content that ends with the connection", async () => {
  const { backend, client } = await start();
  backend.answer(
    () => "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\nT: 1\r\n\r\n",
  );
  client.write("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  const response = await client.response();
  expect(response.framing).toBe("close");
  expect(response.field("connection")).toBe("close");
  expect(response.content.toString()).toBe("abcd");
});

test("an HTTP/1.0 client that asks for it keeps its connection when the length is known", async () => {
  const { backend, client } = await start();
  backend.answer(() => ok("abc"));
  for (let i = 0; i < 2; i += 1) {
    client.write("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    const response = await client.response();
    expect(response.field("connection")).toBe("keep-alive");
    expect(response.content.toString()).toBe("abc");
  }
  client.write("GET / HTTP/1.0\r\n\r\n");
  expect((await client.response()).field("connection")).toBe("close");
  expect(await client.toEnd()).toBe("");
});

test("content that ends with the endpoint's connection becomes chunks", async () => {
  const { backend, client } = await start();
  client.write(get);
  const peer = await backend.connection();
  await peer.request();
  peer.write("HTTP/1.1 200 OK\r\n\r\nabc");
  await client.through("3\r\nabc\r\n");
  peer.end("d");
  await client.through("1\r\nd\r\n0\r\n\r\n");
  client.write(get);
  const second = await backend.connection();
  await second.request();
  second.write(ok());
  await client.response();
});

test.each([
  ["HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"],
  ["HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", undefined],
  ["HEAD", "HTTP/1.1 200 OK\r\n\r\n", undefined],
  ["GET", "HTTP/1.1 204 No Content\r\n\r\n", undefined],
  ["GET", "HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", undefined],
  ["GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n", "5"],
  ["GET", "HTTP/1.1 304 Not Modified\r\n\r\n", undefined],
])("to %s, %j has no content whatever its fields say", async (method, text, length) => {
  const { backend, client } = await start();
  client.write(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`.repeat(2));
  const peer = await backend.connection();
  for (let i = 0; i < 2; i += 1) {
    await peer.request();
    peer.write(text);
    const response = await client.response(method);
    expect(response.field("content-length")).toBe(length);
    expect(response.field("transfer-encoding")).toBeUndefined();
  }
  expect(client.unread).toBe("");
  expect(backend.connections.length).toBe(1);
});

describe("trailers", () => {
  const answer =
    "HTTP/1.1 200 OK\r\nTrailer: Checksum\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nChecksum: 1\r\n" +
    "Content-Length: 9\r\nX-Forwarded-For: x\r\nSet-Cookie: a=b\r\nb_ad: 1\r\n\r\n";

  test("of a response go to a client that takes them, without those that frame or route", async () => {
    const { backend, client } = await start();
    backend.answer(() => answer);
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n");
    expect((await client.response()).trailers).toEqual(["Checksum: 1"]);
  });

  test("of a response end at the proxy when the client does not take them", async () => {
    const { backend, client } = await start();
    backend.answer(() => answer);
    client.write(get);
    expect((await client.response()).trailers).toEqual([]);
  });

  test("of a request do not go on", async () => {
    const { backend, client } = await start();
    backend.answer(() => ok());
    client.write(
      "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nSum: 1\r\nHost: evil\r\nX-Real-IP: 1\r\n\r\n",
    );
    await client.response();
    expect(backend.requests[0]!.trailers).toEqual([]);
    expect(backend.requests[0]!.content.toString()).toBe("a");
  });
});

describe("interim responses", () => {
  test("go to the client in order, without hop-by-hop fields", async () => {
    const { backend, client } = await start();
    backend.answer(
      () =>
        "HTTP/1.1 102 Processing\r\nConnection: x\r\nX: 1\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n" +
        ok(),
    );
    client.write(get);
    expect((await client.response()).head).toBe("HTTP/1.1 102 \r\n\r\n");
    const hints = await client.response();
    expect(hints.status).toBe(103);
    expect(hints.all("link")).toEqual(["</a>", "</b>"]);
    expect((await client.response()).status).toBe(200);
  });

  test("end at the proxy for an HTTP/1.0 client", async () => {
    const { backend, client } = await start();
    backend.answer(() => "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok());
    client.write("GET / HTTP/1.0\r\n\r\n");
    expect((await client.response()).status).toBe(200);
  });

  test("of status 100 that nobody asked for are dropped", async () => {
    const { backend, client } = await start();
    backend.answer(() => "HTTP/1.1 100 Continue\r\n\r\n" + ok());
    client.write(get);
    expect((await client.response()).status).toBe(200);
  });

  test("ten are accepted, an eleventh is a broken answer", async () => {
    const { backend, client, proxy } = await start();
    const hint = "HTTP/1.1 103 Early Hints\r\n\r\n";
    backend.answer((request) => hint.repeat(request.startLine.includes("10") ? 10 : 11) + ok());
    client.write("GET /10 HTTP/1.1\r\nHost: a\r\n\r\nGET /11 HTTP/1.1\r\nHost: a\r\n\r\n");
    for (let i = 0; i < 10; i += 1) expect((await client.response()).status).toBe(103);
    expect((await client.response()).status).toBe(200);
    for (let i = 0; i < 10; i += 1) expect((await client.response()).status).toBe(103);
    expect((await client.response()).status).toBe(502);
    expect(proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 0 });
  });
});

describe("Expect: 100-continue", () => {
  const head = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n";

  test("is passed on, and the endpoint's 100 comes back", async () => {
    const { backend, client } = await start();
    client.write(head);
    const peer = await backend.connection();
    expect((await peer.headOnly()).field("expect")).toBe("100-continue");
    peer.write("HTTP/1.1 100 Continue\r\n\r\n");
    expect((await client.response()).head).toBe("HTTP/1.1 100 Continue\r\n\r\n");
    client.write("abc");
    expect((await peer.bytes(3)).toString()).toBe("abc");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
    client.write(get);
    await peer.request();
    peer.write(ok());
    await client.response();
  });

  test("is answered by Fairway when the endpoint is silent for a second", async () => {
    const { backend, client, proxy } = await start();
    client.write(head);
    const peer = await backend.connection();
    await peer.headOnly();
    proxy.clock.advanceMs(900);
    await proxy.settle();
    expect(client.unread).toBe("");
    proxy.clock.advanceMs(200);
    expect((await client.response()).status).toBe(100);
    client.write("abc");
    await peer.bytes(3);
    peer.write("HTTP/1.1 100 Continue\r\n\r\n" + ok());
    // The second 100 would have no request to belong to.
    expect((await client.response()).status).toBe(200);
  });

  test("a final answer comes instead of it, and the connection ends since the content never comes", async () => {
    const { backend, client } = await start();
    client.write(head);
    const peer = await backend.connection();
    await peer.headOnly();
    peer.write("HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    const response = await client.response();
    expect(response.status).toBe(417);
    expect(response.field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
    await peer.gone();
  });

  test("content that comes without waiting goes on", async () => {
    const { backend, client, proxy } = await start();
    client.write(head + "abc");
    const peer = await backend.connection();
    expect((await peer.request()).content.toString()).toBe("abc");
    proxy.clock.advanceMs(2_000);
    await proxy.settle();
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("a refusal comes without a 100, and with close", async () => {
    const { client } = await start({ settings: { contentMaxBytes: 2 } });
    client.write(head);
    const response = await client.response();
    expect(response.status).toBe(413);
    expect(await client.toEnd()).toBe("");
  });
});

describe("pipelined requests", () => {
  test("are answered in order, whatever their content and outcome", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend], settings: { contentMaxBytes: 100 } });
    backend.answer((request) => ok(`${request.startLine} ${request.content.toString()}`));
    const client = await proxy.client();
    const rest = "Host: a\r\n";
    client.write(
      `GET /1 HTTP/1.1\r\n${rest}\r\n` +
        `POST /2 HTTP/1.1\r\n${rest}Content-Length: 3\r\n\r\nabc` +
        `POST /3 HTTP/1.1\r\n${rest}Transfer-Encoding: chunked\r\n\r\n2\r\nde\r\n1\r\nf\r\n0\r\n\r\n` +
        `HEAD /4 HTTP/1.1\r\n${rest}\r\n` +
        `GET /%00 HTTP/1.1\r\n${rest}\r\n`,
    );
    expect((await client.response()).content.toString()).toBe("GET /1 HTTP/1.1 ");
    expect((await client.response()).content.toString()).toBe("POST /2 HTTP/1.1 abc");
    expect((await client.response()).content.toString()).toBe("POST /3 HTTP/1.1 def");
    expect((await client.response("HEAD")).status).toBe(200);
    expect((await client.response()).status).toBe(400);
    expect(await client.toEnd()).toBe("");
    expect(backend.connections.length).toBe(1);
  });

  test("of which some have no route are answered in order, and their content is skipped", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irTo([backend], [], "a") });
    backend.answer((request) => ok(request.startLine));
    const client = await proxy.client();
    client.write(
      "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n" +
        "POST /2 HTTP/1.1\r\nHost: none\r\nContent-Length: 31\r\n\r\nGET /evil HTTP/1.1\r\nHost: a\r\n\r\n" +
        "GET /3 HTTP/1.1\r\nHost: none\r\n\r\n" +
        "GET /4 HTTP/1.1\r\nHost: a\r\n\r\n",
    );
    const statuses = [];
    for (let i = 0; i < 4; i += 1) statuses.push((await client.response()).status);
    expect(statuses).toEqual([200, 404, 404, 200]);
    expect(backend.requests.map(({ startLine }) => startLine)).toEqual([
      "GET /1 HTTP/1.1",
      "GET /4 HTTP/1.1",
    ]);
  });

  test.each([
    ["forwarded", "a"],
    ["refused", "none"],
  ])("a thousand in one write are all %s, without growing the stack", async (_, host) => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irTo([backend], [], "a") });
    backend.answer((request) => ok(request.startLine));
    const client = await proxy.client();
    client.write(
      Array.from({ length: 1000 }, (_, i) => `GET /${i} HTTP/1.1\r\nHost: ${host}\r\n\r\n`).join(""),
    );
    for (let i = 0; i < 1000; i += 1) {
      const response = await client.response();
      if (host === "none") expect(response.status).toBe(404);
      else expect(response.content.toString()).toBe(`GET /${i} HTTP/1.1`);
      // The limit of requests per connection is 1000.
      expect(response.field("connection")).toBe(i === 999 ? "close" : undefined);
    }
    expect(await client.toEnd()).toBe("");
    expect(backend.connections.length).toBe(host === "none" ? 0 : 1);
  });

  test("a client that takes no responses is not read on: what waits for it stays bounded", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend], limits: { requestsPerConnectionMax: 100_000 } });
    const content = "x".repeat(48_000);
    backend.answer(() => ok(content));
    const client = await proxy.client();
    client.socket.pause();
    client.write(get.repeat(2000));
    const answered = await proxy.still(() => backend.requests.length);
    // What two socket buffers hold, not the 96 MB that were asked for.
    expect(answered * content.length).toBeLessThan(24_000_000);
    client.socket.resume();
    for (let i = 0; i < 2000; i += 1) expect((await client.response()).content.length).toBe(content.length);
  });
});

describe("keep-alive", () => {
  test("serves every request of a connection over one connection to the endpoint", async () => {
    const { backend, client, proxy } = await start();
    backend.answer(() => ok());
    for (let i = 0; i < 20; i += 1) {
      client.write(get);
      expect((await client.response()).field("connection")).toBeUndefined();
    }
    expect(backend.connections.length).toBe(1);
    expect(proxy.gauges).toMatchObject({ http: 1, upstreamActive: 0, upstreamIdle: 1, pooled: 1 });
    proxy.clock.advanceMs(60_000);
    await backend.connections[0]!.gone();
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 0, pooled: 0 });
    proxy.clock.advanceMs(15_100);
    expect(await client.toEnd()).toBe("");
  });

  test("clients share connections to the endpoint one after the other", async () => {
    const { backend, proxy } = await start();
    backend.answer(() => ok());
    for (let i = 0; i < 5; i += 1) await proxy.roundTrip(get);
    expect(backend.connections.length).toBe(1);
  });

  test("ends with the last request that a connection may carry", async () => {
    const { backend, client } = await start({ limits: { requestsPerConnectionMax: 2 } });
    backend.answer(() => ok());
    client.write(get.repeat(3));
    expect((await client.response()).field("connection")).toBeUndefined();
    expect((await client.response()).field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
    expect(backend.requests.length).toBe(2);
  });

  test("ends when the client says so, and the endpoint's connection stays", async () => {
    const { backend, client, proxy } = await start();
    backend.answer(() => ok());
    client.write("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n" + get);
    expect((await client.response()).field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
    expect(backend.requests.length).toBe(1);
    expect(backend.requests[0]!.field("connection")).toBeUndefined();
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
  });

  test("goes on for the client when the endpoint says close", async () => {
    const { backend, client, proxy } = await start();
    backend.answer(() => ok("ok", "Connection: close\r\n"));
    for (let i = 1; i <= 3; i += 1) {
      client.write(get);
      expect((await client.response()).field("connection")).toBeUndefined();
      expect(backend.connections.length).toBe(i);
      expect(proxy.gauges).toMatchObject({ upstreamIdle: 0 });
    }
  });

  test("an endpoint's connection carries no more than its limit, and ends by age and by the endpoint's own timeout", async () => {
    const { backend, client, proxy } = await start({ limits: { requestsPerUpstreamConnectionMax: 2 } });
    backend.answer(() => ok("ok", "Keep-Alive: timeout=5\r\n"));
    for (let i = 0; i < 3; i += 1) {
      client.write(get);
      await client.response();
    }
    expect(backend.connections.length).toBe(2);
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
    proxy.clock.advanceMs(4_000);
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 0 });
  });

  test("idle connections to endpoints are bounded in all", async () => {
    const { backend, proxy } = await start({ limits: { idleUpstreamMax: 2 } });
    const clients = [await proxy.client(), await proxy.client(), await proxy.client()];
    const peers = [];
    for (const each of clients) {
      each.write(get);
      const peer = await backend.connection();
      await peer.request();
      peers.push(peer);
    }
    for (const peer of peers) peer.write(ok());
    for (const each of clients) await each.response();
    expect(proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 2, pooled: 2 });
  });
});
