// Large content in both directions: every byte arrives as it was sent, however slowly it is taken, and what waits in
// between is bounded.
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { readBufferBytes } from "../../src/proxy/read-buffers.ts";
import { startBackend, startProxy, type Backend, type Harness, type HarnessOptions } from "./harness.ts";
import type { Peer } from "./peer.ts";

const mebibyte = 1024 * 1024;

/** Bytes of which no two places look alike: a buffer that is reused too early shows. */
function content(length: number): Buffer {
  const words = new Uint32Array(length / 4);
  let word = 1;
  for (let i = 0; i < words.length; i += 1) {
    word = (Math.imul(word, 1_664_525) + 1_013_904_223) >>> 0;
    words[i] = word;
  }
  return Buffer.from(words.buffer);
}

const sizes = [1, 100, 5_000, 16_384, 70_000, 200_000];

/** In chunks of very different sizes. */
function chunked(bytes: Buffer): Buffer {
  const pieces: Buffer[] = [];
  for (let at = 0, i = 0; at < bytes.length; i += 1) {
    const piece = bytes.subarray(at, at + (sizes[i % sizes.length] ?? 1));
    pieces.push(Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n"));
    at += piece.length;
  }
  return Buffer.concat([...pieces, Buffer.from("0\r\n\r\n")]);
}

type Framing = "a length" | "chunks";

function message(startLine: string, framing: Framing, bytes: Buffer): Buffer {
  return framing === "chunks"
    ? Buffer.concat([Buffer.from(`${startLine}\r\nTransfer-Encoding: chunked\r\n\r\n`), chunked(bytes)])
    : Buffer.concat([Buffer.from(`${startLine}\r\nContent-Length: ${bytes.length}\r\n\r\n`), bytes]);
}

function hash(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

/** Stops reading after each piece for some turns of the event loop, so that what is sent to it has to wait. */
function slowDown(peer: Peer): void {
  peer.socket.on("data", () => {
    peer.socket.pause();
    setImmediate(() => setImmediate(() => peer.socket.resume()));
  });
}

async function start(options: HarnessOptions = {}): Promise<{ proxy: Harness; backend: Backend }> {
  const backend = await startBackend();
  const proxy = await startProxy({ ...options, backends: [backend], settings: { contentMaxBytes: 0 } });
  return { proxy, backend };
}

const ways = (["plain", "TLS"] as const).flatMap((way) =>
  (["a length", "chunks"] as const).flatMap((framing) =>
    [32 * mebibyte, 2 * readBufferBytes, 0].map((bodyBuffersTotalMaxBytes) => ({
      way,
      framing,
      bodyBuffersTotalMaxBytes,
    })),
  ),
);

describe.each(ways)("over $way with $framing, body buffers of $bodyBuffersTotalMaxBytes bytes", (each) => {
  const { way, framing, bodyBuffersTotalMaxBytes } = each;
  const limits = { bodyBuffersTotalMaxBytes };
  const connect = (proxy: Harness): Promise<Peer> => (way === "TLS" ? proxy.tlsClient() : proxy.client());

  test("slow clients get every byte of a response", async () => {
    const { proxy, backend } = await start({ limits });
    const bytes = content(2 * mebibyte);
    const response = message("HTTP/1.1 200 OK", framing, bytes);
    backend.answer(() => response);
    const clients = await Promise.all([1, 2, 3].map(() => connect(proxy)));
    clients.forEach((client, i) => {
      if (i > 0) slowDown(client);
      client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    });
    const answers = await Promise.all(clients.map((client) => client.response()));
    expect(answers.map((answer) => hash(answer.content))).toEqual(answers.map(() => hash(bytes)));
    expect(answers[0]?.framing).toBe(framing === "chunks" ? "chunked" : "length");
    await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
  });

  test("a slow endpoint gets every byte of a request", async () => {
    const { proxy, backend } = await start({ limits });
    const bytes = content(2 * mebibyte);
    const client = await connect(proxy);
    client.write(message("PUT / HTTP/1.1\r\nHost: a.example", framing, bytes));
    const peer = await backend.connection();
    slowDown(peer);
    expect(hash((await peer.request()).content)).toBe(hash(bytes));
    peer.write("HTTP/1.1 204 No\r\n\r\n");
    expect((await client.response()).status).toBe(204);
    client.destroy();
    await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
  });
});

/** More than all the buffers of the system between two ends: four of at most 6 MiB. */
const endless = content(40 * mebibyte);
const endlessHash = hash(endless);

describe.each(["plain", "TLS"] as const)("over %s", (way) => {
  const connect = (proxy: Harness): Promise<Peer> => (way === "TLS" ? proxy.tlsClient() : proxy.client());

  test.each(["a length", "chunks"] as const)(
    "a client that takes nothing stops its endpoint, with %s",
    async (framing) => {
      const { proxy, backend } = await start();
      const client = await connect(proxy);
      client.socket.pause();
      client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
      const peer = await backend.connection();
      await peer.headOnly();
      const response = message("HTTP/1.1 200 OK", framing, endless);
      peer.write(response);
      const waiting = await proxy.still(() => peer.socket.writableLength);
      expect(waiting).toBeGreaterThan(0);
      // One that is being written, a second that made the socket full, and the one to read into next.
      expect(proxy.proxy.readBuffers.bodyBytes).toBeLessThanOrEqual(3 * readBufferBytes);
      client.socket.resume();
      expect(hash((await client.response()).content)).toBe(endlessHash);
    },
  );

  test.each(["a length", "chunks"] as const)(
    "an endpoint that takes nothing stops its client, with %s",
    async (framing) => {
      const { proxy, backend } = await start();
      const client = await connect(proxy);
      client.write(message("PUT / HTTP/1.1\r\nHost: a.example", framing, endless));
      const peer = await backend.connection();
      peer.socket.pause();
      const waiting = await proxy.still(() => client.socket.writableLength);
      expect(waiting).toBeGreaterThan(0);
      expect(proxy.proxy.readBuffers.bodyBytes).toBeLessThanOrEqual(3 * readBufferBytes);
      peer.socket.resume();
      expect(hash((await peer.request()).content)).toBe(endlessHash);
      peer.write("HTTP/1.1 204 No\r\n\r\n");
      expect((await client.response()).status).toBe(204);
    },
  );

  test.each(["Content-Length: 80000000", "Transfer-Encoding: chunked", "X-Framing: until the end"])(
    "an endpoint that dies within a response (%s) leaves a client that can tell",
    async (field) => {
      const { proxy, backend } = await start();
      const client = await connect(proxy);
      client.write(
        "GET / HTTP/1.0\r\nHost: a.example\r\n\r\n".replace("1.0", field.startsWith("X") ? "1.0" : "1.1"),
      );
      const peer = await backend.connection();
      await peer.headOnly();
      const size = field.startsWith("T") ? "200000\r\n" : "";
      peer.write(`HTTP/1.1 200 OK\r\n${field}\r\n\r\n${size}`);
      await peer.writeAll(content(mebibyte));
      await client.until("most of it", () => client.bytesReceived > mebibyte - readBufferBytes);
      peer.reset();
      const text = await client.toClose();
      // Neither all of a length nor a last chunk; without either, no orderly end.
      expect(text.length).toBeLessThan(2 * mebibyte);
      expect(text.endsWith("\r\n0\r\n\r\n")).toBe(false);
      if (field.startsWith("X")) expect(client.isEnded && way === "plain").toBe(false);
      await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
    },
  );

  test("a client that dies within its upload takes the endpoint's connection with it", async () => {
    const { proxy, backend } = await start();
    const client = await connect(proxy);
    client.write("PUT / HTTP/1.1\r\nHost: a.example\r\nContent-Length: 80000000\r\n\r\n");
    const peer = await backend.connection();
    peer.socket.pause();
    client.write(endless);
    await proxy.still(() => client.socket.writableLength);
    client.reset();
    peer.socket.resume();
    await peer.gone();
    await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
  });

  test("a client that dies while it takes nothing gives its buffers back", async () => {
    const { proxy, backend } = await start();
    const client = await connect(proxy);
    client.socket.pause();
    client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    const peer = await backend.connection();
    await peer.headOnly();
    peer.write(message("HTTP/1.1 200 OK", "a length", endless));
    await proxy.still(() => peer.socket.writableLength);
    client.reset();
    await peer.gone();
    await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
  });
});

test("many clients that take nothing share the bound of all body buffers", async () => {
  const bodyBuffersTotalMaxBytes = 8 * readBufferBytes;
  const { proxy, backend } = await start({ limits: { bodyBuffersTotalMaxBytes } });
  const response = message("HTTP/1.1 200 OK", "a length", endless);
  backend.answer(() => response);
  const clients = await Promise.all(Array.from({ length: 12 }, () => proxy.client()));
  for (const client of clients) {
    client.socket.pause();
    client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  }
  await proxy.until("all are answered", () => backend.connections.length === 12);
  await proxy.still(() => backend.connections.reduce((sum, each) => sum + each.socket.writableLength, 0));
  const { bodyBytes } = proxy.proxy.readBuffers;
  expect(bodyBytes).toBeGreaterThan(0);
  expect(bodyBytes).toBeLessThanOrEqual(bodyBuffersTotalMaxBytes);
  for (const client of clients) client.reset();
  await proxy.until("buffers are back", () => proxy.proxy.readBuffers.bodyBytes === 0);
});
