import { describe, expect, test } from "vitest";
import { proxyErrors, type ErrorCode } from "../../src/proxy/errors.ts";
import { irTo, ok, startBackend, startProxy } from "./harness.ts";

const host = "Host: a\r\n";
const post = `POST / HTTP/1.1\r\n${host}`;

/** What a client sends, and the row of the table that answers it. Nothing of any of them reaches an endpoint. */
const refused: readonly (readonly [ErrorCode, string])[] = [
  ["requestLineInvalid", `GET /\r\n${host}\r\n`],
  ["requestLineInvalid", `GET  / HTTP/1.1\r\n${host}\r\n`],
  ["requestLineInvalid", `GET / x HTTP/1.1\r\n${host}\r\n`],
  ["requestLineInvalid", `G(T / HTTP/1.1\r\n${host}\r\n`],
  ["requestLineInvalid", `\r\n\r\nGET / HTTP/1.1\r\n${host}\r\n`],
  ["requestLineInvalid", `GET / HTTP/1.1\n${host}\r\n`],
  ["requestLineInvalid", "\x16\x03\x01\x02\x00"],
  ["requestLineTooLong", `GET /${"a".repeat(9000)} HTTP/1.1\r\n${host}\r\n`],
  ["requestLineTooLong", `GET /${"a".repeat(9000)}`],
  ["targetInvalid", `GET a HTTP/1.1\r\n${host}\r\n`],
  ["targetInvalid", `GET * HTTP/1.1\r\n${host}\r\n`],
  ["targetInvalid", `GET /a#b HTTP/1.1\r\n${host}\r\n`],
  ["targetInvalid", `GET /%00 HTTP/1.1\r\n${host}\r\n`],
  ["targetInvalid", `GET /../x HTTP/1.1\r\n${host}\r\n`],
  ["targetInvalid", `GET ftp://a/ HTTP/1.1\r\n${host}\r\n`],
  ["versionUnsupported", `GET / HTTP/2.0\r\n${host}\r\n`],
  ["connectRefused", `CONNECT a:443 HTTP/1.1\r\n${host}\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}A : 1\r\n\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}A: 1\r\n folded\r\n\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}A: 1\rB: 2\r\n\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}A: 1\nB: 2\r\n\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}A: \0\r\n\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n ${host}\r\n`],
  ["fieldInvalid", `GET / HTTP/1.1\r\n${host}: x\r\n\r\n`],
  ["headTooLarge", `GET / HTTP/1.1\r\n${host}A: ${"a".repeat(9000)}\r\n\r\n`],
  ["headTooLarge", `GET / HTTP/1.1\r\n${host}${`A: ${"a".repeat(8000)}\r\n`.repeat(5)}\r\n`],
  ["tooManyFields", `GET / HTTP/1.1\r\n${host}${"A: 1\r\n".repeat(128)}\r\n`],
  ["hostInvalid", "GET / HTTP/1.1\r\n\r\n"],
  ["hostInvalid", `GET / HTTP/1.1\r\n${host}${host}\r\n`],
  ["hostInvalid", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"],
  ["hostInvalid", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"],
  ["hostInvalid", `GET http://u@a/ HTTP/1.1\r\n${host}\r\n`],
  ["expectationFailed", `${post}Content-Length: 1\r\nExpect: magic\r\n\r\n`],
  ["framingInvalid", `${post}Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["framingInvalid", `${post}Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc`],
  ["framingInvalid", `${post}Content-Length: +3\r\n\r\nabc`],
  ["framingInvalid", `${post}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`],
  ["framingInvalid", `${post}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["framingInvalid", `POST / HTTP/1.0\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`],
  ["codingUnsupported", `${post}Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n`],
  ["contentTooLarge", `${post}Content-Length: 1048577\r\n\r\n`],
];

test.each(refused)("%s: %j", async (code, text) => {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend] });
  backend.answer(() => ok());
  const client = await proxy.client();
  // What follows must not be taken for a request of its own.
  client.write(text + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
  const response = await client.response();
  const { status, closes } = proxyErrors[code];
  expect(response.status).toBe(status);
  expect(closes).toBe(true);
  expect(response.field("connection")).toBe("close");
  expect(response.field("content-type")).toBe("text/html");
  expect(response.content.toString()).toContain(String(status));
  expect(await client.toEnd()).toBe("");
  expect(proxy.metrics.refused.get(code)).toBe(1);
  expect(backend.connections.length).toBe(0);
});

describe("refusals that leave the connection open", () => {
  test("notReady: before the first table every request is 503 with Retry-After", async () => {
    const proxy = await startProxy({ ir: null });
    const client = await proxy.client();
    for (let i = 0; i < 2; i += 1) {
      client.write(`GET / HTTP/1.1\r\n${host}\r\n`);
      const response = await client.response();
      expect(response.status).toBe(503);
      expect(response.field("retry-after")).toBe("5");
      expect(response.field("connection")).toBeUndefined();
    }
    expect(proxy.metrics.refused.get("notReady")).toBe(2);
  });

  test("notFound, noEndpoints, routeDenied", async () => {
    const backend = await startBackend();
    const ir = irTo([], [], "empty");
    const route = { ...ir.virtualHosts[1]!.routes[0]!, denied: "broken" };
    const denied = { ...ir.virtualHosts[1]!, host: "denied", routes: [route] };
    const proxy = await startProxy({ ir: { ...ir, virtualHosts: [...ir.virtualHosts, denied] } });
    const client = await proxy.client();
    for (const [name, status, code] of [
      ["none", 404, "notFound"],
      ["empty", 503, "noEndpoints"],
      ["denied", 503, "routeDenied"],
    ] as const) {
      client.write(`HEAD / HTTP/1.1\r\nHost: ${name}\r\n\r\nGET / HTTP/1.1\r\nHost: ${name}\r\n\r\n`);
      const head = await client.response("HEAD");
      expect(head.status).toBe(status);
      const response = await client.response();
      expect(response.status).toBe(status);
      // A HEAD is told what a GET would get.
      expect(head.field("content-length")).toBe(String(response.content.length));
      expect(response.field("retry-after")).toBe(status === 503 ? "5" : undefined);
      expect(proxy.metrics.refused.get(code)).toBe(2);
    }
    expect(backend.connections.length).toBe(0);
  });
});

describe("refusals in the middle of content", () => {
  test("contentTooLarge: chunks are counted, and the endpoint sees a broken request", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend], settings: { contentMaxBytes: 10 } });
    const client = await proxy.client();
    client.write(`${post}Transfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n`);
    const peer = await backend.connection();
    await peer.through("12345678");
    client.write("3\r\nabc\r\n0\r\n\r\n");
    expect((await client.response()).status).toBe(413);
    expect(await client.toEnd()).toBe("");
    expect(await peer.toClose()).toBe("\r\n");
  });

  test.each([
    "x\r\n",
    "-1\r\n",
    "0x1\r\na\r\n",
    "1 \r\na\r\n",
    "1\na\r\n",
    "1\r\nab\r\n",
    `1;${"e".repeat(300)}\r\na\r\n`,
    "fffffffffffffffff\r\n",
    "0\r\nbad trailer\r\n\r\n",
    "0\r\na: 1\n\r\n",
  ])("chunkInvalid: %j breaks the request to the endpoint as well", async (chunk) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.client();
    client.write(`${post}Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n`);
    const peer = await backend.connection();
    await peer.through("abc\r\n");
    client.write(chunk + "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    expect((await client.response()).status).toBe(400);
    expect(await client.toEnd()).toBe("");
    expect(await peer.toClose()).not.toContain("0\r\n\r\n");
    expect(proxy.metrics.refused.get("chunkInvalid")).toBe(1);
    expect(backend.connections.length).toBe(1);
  });
});

describe("a client that is still sending when it is refused", () => {
  test("gets the answer and no reset, within what is lingered over", async () => {
    const proxy = await startProxy();
    const client = await proxy.client();
    client.write(`POST /%00 HTTP/1.1\r\n${host}Content-Length: 60000\r\n\r\n`);
    const response = await client.response();
    expect(response.status).toBe(400);
    for (let i = 0; i < 6; i += 1) {
      await client.writeAll("x".repeat(10_000));
      await proxy.settle();
    }
    expect(client.error).toBe("");
    expect(await client.toEnd()).toBe("");
    client.end();
    await client.closed();
    expect(client.error).toBe("");
  });

  test("is cut when it sends more than that, or for longer", async () => {
    const proxy = await startProxy();
    const loud = await proxy.client();
    loud.write(`POST /%00 HTTP/1.1\r\n${host}Content-Length: 9000000\r\n\r\n`);
    await loud.response();
    loud.write("x".repeat(1_000_000));
    await proxy.until("the loud one is cut", () => proxy.gauges["http"] === 0);
    loud.mayEnd = true;
    const slow = await proxy.client();
    slow.write("\0");
    await slow.response();
    expect(proxy.gauges).toMatchObject({ http: 1 });
    proxy.clock.advanceMs(2_000);
    expect(proxy.gauges).toMatchObject({ http: 0 });
  });

  test("keeps its connection when the rest is little and the refusal is not its fault", async () => {
    const proxy = await startProxy({ ir: irTo([], [], "empty") });
    const client = await proxy.client();
    client.write("POST / HTTP/1.1\r\nHost: empty\r\nContent-Length: 5\r\n\r\nab");
    const response = await client.response();
    expect(response.status).toBe(503);
    expect(response.field("connection")).toBeUndefined();
    client.write("cdeGET / HTTP/1.1\r\nHost: empty\r\n\r\n");
    expect((await client.response()).status).toBe(503);
    // Chunks have no known end: they are not waited for.
    client.write("POST / HTTP/1.1\r\nHost: empty\r\nTransfer-Encoding: chunked\r\n\r\n");
    expect((await client.response()).field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
  });
});

test("a slow client gets the whole of a response that ends its connection", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({
    backends: [backend],
    limits: { requestsPerConnectionMax: 100_000, downstreamStallTimeoutMs: 600_000 },
  });
  const content = "x".repeat(30_000);
  backend.answer(() => ok(content));
  const get = `GET / HTTP/1.1\r\n${host}\r\n`;
  // How many responses it takes to fill the kernel's buffers and the proxy's own; more or less, so that fewer are tried
  // until the last one, which ends the connection, has been given to the proxy and waits there.
  const probe = await proxy.client();
  probe.socket.pause();
  probe.write(get.repeat(1000));
  let count = await proxy.still(() => backend.requests.length);
  probe.destroy();
  let client = probe;
  for (let answered = 0; answered < count;) {
    client.destroy();
    if (answered > 0) count -= 1;
    client = await proxy.client();
    client.socket.pause();
    const before = backend.requests.length;
    client.write(`${get.repeat(count - 1)}GET / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`);
    answered = (await proxy.still(() => backend.requests.length)) - before;
  }
  for (let i = 0; i < 10; i += 1) {
    proxy.clock.advanceMs(3_000);
    await proxy.settle();
  }
  client.socket.resume();
  for (let i = 0; i < count; i += 1) expect((await client.response()).content.length).toBe(30_000);
  expect(await client.toEnd()).toBe("");
  expect(client.error).toBe("");
});
