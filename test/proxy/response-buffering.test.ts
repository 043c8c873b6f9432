// Reading a response ahead of a client that takes nothing: the endpoint is free early, what is kept is bounded, and
// every byte arrives.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import type { RouteSettings } from "../../src/proxy/filter.ts";
import type { ProxyLimits } from "../../src/proxy/limits.ts";
import { ok, startBackend, startProxy, type Backend, type Harness } from "./harness.ts";
import type { Peer } from "./peer.ts";

const mebibyte = 1024 * 1024;
const get = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
/** More than the buffers of the system on the client's side take. */
const beyondSystem = 16 * mebibyte;
const readAheadMaxBytes = 40 * mebibyte;

interface Scene {
  readonly proxy: Harness;
  readonly backend: Backend;
  readonly client: Peer;
  readonly peer: Peer;
}

/** A request whose client reads nothing. */
async function start(
  settings: Partial<RouteSettings>,
  { limits = {}, isTls = false }: { limits?: Partial<ProxyLimits>; isTls?: boolean } = {},
): Promise<Scene> {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], settings, limits });
  const client = isTls ? await proxy.tlsClient() : await proxy.client();
  client.socket.pause();
  client.write(get);
  const peer = await backend.connection();
  await peer.headOnly();
  return { proxy, backend, client, peer };
}

function pattern(length: number): Buffer {
  const bytes = Buffer.alloc(length);
  for (let i = 0; i < length; i += 4) bytes.writeUInt32LE((i * 2_654_435_761) % 4_294_967_296, i);
  return bytes;
}

const content = pattern(beyondSystem);
const contentHash = hash(content);

function hash(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function withLength(bytes: Buffer, fields = ""): Buffer {
  const head = `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${bytes.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), bytes]);
}

function inChunks(bytes: Buffer, trailers = ""): Buffer {
  const pieces: Buffer[] = [Buffer.from("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")];
  for (let at = 0; at < bytes.length; at += 100_000) {
    const piece = bytes.subarray(at, at + 100_000);
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
  }
  return Buffer.concat([...pieces, Buffer.from(`0\r\n${trailers}\r\n`)]);
}

const on = { readsAhead: true, readAheadMaxBytes };

describe.each([false, true])("with a client that takes nothing (TLS: %s)", (isTls) => {
  test.each([
    ["a length", (bytes: Buffer) => withLength(bytes)],
    ["chunks", (bytes: Buffer) => inChunks(bytes)],
  ] as const)("a response with %s frees its endpoint, and arrives whole", async (_name, make) => {
    const { proxy, client, peer } = await start(on, { isTls });
    peer.write(make(content));
    await proxy.until("the endpoint is free", () => proxy.gauges["upstreamIdle"] === 1);
    const kept = proxy.proxy.contentBuffers.bytes;
    expect(kept).toBeGreaterThan(0);
    expect(kept).toBeLessThanOrEqual(beyondSystem);
    client.socket.resume();
    expect(hash((await client.response()).content)).toBe(contentHash);
    expect(proxy.proxy.contentBuffers.bytes).toBe(0);
    // The connection goes on.
    client.write(get);
    await peer.headOnly();
    peer.write(ok("next"));
    expect((await client.response()).content.toString()).toBe("next");
  });

  test("another request uses the endpoint's connection meanwhile", async () => {
    const { proxy, client, peer, backend } = await start(on, { isTls });
    peer.write(withLength(content));
    await proxy.until("the endpoint is free", () => proxy.gauges["upstreamIdle"] === 1);
    const other = await proxy.client();
    other.write(get);
    await peer.headOnly();
    peer.write(ok("other"));
    expect((await other.response()).content.toString()).toBe("other");
    expect(backend.connections.length).toBe(1);
    client.reset();
    await proxy.until("nothing is kept", () => proxy.proxy.contentBuffers.bytes === 0);
  });
});

test("what is kept of one response is bounded, and its endpoint waits beyond", async () => {
  const { proxy, client, peer } = await start({ readsAhead: true, readAheadMaxBytes: mebibyte });
  peer.write(withLength(content));
  expect(await proxy.still(() => proxy.proxy.contentBuffers.bytes)).toBeGreaterThanOrEqual(mebibyte);
  // One read more than the limit.
  expect(proxy.proxy.contentBuffers.bytes).toBeLessThanOrEqual(mebibyte + 64 * 1024);
  expect(proxy.gauges["upstreamActive"]).toBe(1);
  client.socket.resume();
  expect(hash((await client.response()).content)).toBe(contentHash);
});

test("what is kept of all responses is bounded", async () => {
  const total = mebibyte;
  const limits = { contentBuffersTotalMaxBytes: total };
  const { proxy, backend, client, peer } = await start(on, { limits });
  peer.write(withLength(content));
  await proxy.still(() => proxy.proxy.contentBuffers.bytes);
  const other = await proxy.client();
  other.socket.pause();
  other.write(get);
  const second = await backend.connection();
  await second.headOnly();
  second.write(withLength(content));
  await proxy.still(() => proxy.proxy.contentBuffers.bytes);
  expect(proxy.proxy.contentBuffers.bytes).toBeGreaterThanOrEqual(total);
  // The read that reached the bound, and none of the second response, which is not read ahead any more.
  expect(proxy.proxy.contentBuffers.bytes).toBeLessThanOrEqual(total + 2 * 64 * 1024);
  expect(proxy.gauges["upstreamActive"]).toBe(2);
  for (const each of [client, other]) {
    each.socket.resume();
    expect(hash((await each.response()).content)).toBe(contentHash);
  }
});

describe("X-Accel-Buffering", () => {
  const cases = [
    { isOn: false, value: "yes", isReadAhead: true },
    { isOn: false, value: "no", isReadAhead: false },
    { isOn: false, value: "maybe", isReadAhead: false },
    { isOn: true, value: "NO", isReadAhead: false },
    { isOn: true, value: "Yes", isReadAhead: true },
    { isOn: true, value: "maybe", isReadAhead: true },
    { isOn: true, value: "", isReadAhead: true },
    { isOn: false, value: "", isReadAhead: false },
  ];

  test.each(cases)("$value with buffering $isOn: read ahead $isReadAhead", async (each) => {
    const { proxy, client, peer } = await start({ readsAhead: each.isOn, readAheadMaxBytes });
    const field = each.value === "" ? "" : `X-Accel-Buffering: ${each.value}\r\n`;
    peer.write(withLength(content, field));
    if (each.isReadAhead) {
      await proxy.until("the endpoint is free", () => proxy.gauges["upstreamIdle"] === 1);
    } else {
      await proxy.still(() => peer.socket.writableLength);
      expect(proxy.gauges["upstreamActive"]).toBe(1);
      expect(proxy.proxy.contentBuffers.bytes).toBe(0);
    }
    client.socket.resume();
    const response = await client.response();
    expect(hash(response.content)).toBe(contentHash);
    expect(response.field("x-accel-buffering")).toBeUndefined();
  });

  test("is about one response, not the next on the connection", async () => {
    const { proxy, client, peer } = await start({ readAheadMaxBytes });
    client.socket.resume();
    peer.write(`HTTP/1.1 200 OK\r\nX-Accel-Buffering: yes\r\nContent-Length: 2\r\n\r\nok`);
    await client.response();
    client.socket.pause();
    client.write(get);
    await peer.headOnly();
    peer.write(withLength(content));
    await proxy.still(() => peer.socket.writableLength);
    expect(proxy.proxy.contentBuffers.bytes).toBe(0);
    client.reset();
  });
});

test("trailers come after what was read ahead", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], settings: on });
  const client = await proxy.client();
  client.socket.pause();
  client.write("GET / HTTP/1.1\r\nHost: a.example\r\nTE: trailers\r\nConnection: te\r\n\r\n");
  const peer = await backend.connection();
  await peer.headOnly();
  peer.write(inChunks(content, "X-Checksum: 1\r\n"));
  await proxy.until("the endpoint is free", () => proxy.gauges["upstreamIdle"] === 1);
  client.socket.resume();
  const response = await client.response();
  expect(response.trailers).toEqual(["X-Checksum: 1"]);
  expect(hash(response.content)).toBe(contentHash);
});

test("a response that passes fast is sent as it comes, piece by piece", async () => {
  const { client, peer } = await start(on);
  client.socket.resume();
  peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n");
  await client.through("first\r\n");
  peer.write("6\r\nsecond\r\n0\r\n\r\n");
  await client.through("second\r\n0\r\n\r\n");
});

test("an endpoint that dies within its response leaves a client that can tell", async () => {
  const { proxy, client, peer } = await start(on);
  peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${2 * beyondSystem}\r\n\r\n`);
  peer.write(content);
  await proxy.until("all is kept", () => peer.socket.writableLength === 0);
  await proxy.still(() => proxy.proxy.contentBuffers.bytes);
  peer.reset();
  await proxy.until("nothing is kept", () => proxy.proxy.contentBuffers.bytes === 0);
  client.socket.resume();
  expect((await client.toClose()).length).toBeLessThan(2 * beyondSystem);
});

test("a client that takes nothing for too long loses its response", async () => {
  const { proxy, client, peer } = await start(on);
  peer.write(withLength(content));
  await proxy.until("the endpoint is free", () => proxy.gauges["upstreamIdle"] === 1);
  proxy.clock.advanceMs(61_000);
  await proxy.until("nothing is kept", () => proxy.proxy.contentBuffers.bytes === 0);
  client.socket.resume();
  await client.gone();
});
