// Attacks that exist only where there is TLS. What HTTP is inside of it is judged by the other files, over TLS as well.
import { X509Certificate } from "node:crypto";
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "../../../certs/make.ts";
import type { CertificateIr, RoutingIr } from "../../../src/ir/routing.ts";
import { irTo, ok, startBackend, startProxy, type Backend, type Harness } from "../../proxy/harness.ts";
import { Peer } from "../../proxy/peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

let certificate: CertificateIr;

beforeAll(async () => {
  const names = ["a.example"];
  const pair = await makeCertificate({ names });
  const { fingerprint256, validToDate } = new X509Certificate(pair.chain);
  certificate = {
    ...pair,
    id: fingerprint256,
    secret: { kind: "Secret", namespace: "default", name: "web" },
    keyType: "ec",
    names,
    notAfter: validToDate.toISOString(),
  };
});

/** `a.example` has a certificate and one endpoint, everything else another endpoint and the default certificate. */
function twoHosts(secured: Backend, other: Backend): RoutingIr {
  const ir = irTo([other]);
  const [catchAll] = ir.virtualHosts;
  const [route] = catchAll!.routes;
  const upstream = "default/secured/80";
  const backend = { kind: "upstream", upstream } as const;
  return {
    ...ir,
    virtualHosts: [
      catchAll!,
      {
        host: "a.example",
        isTls: true,
        certificates: [certificate.id],
        routes: [{ ...route!, backend }],
      },
    ],
    upstreams: [...ir.upstreams, { id: upstream, namespace: "default", service: "secured", port: "80" }],
    endpoints: [
      ...ir.endpoints,
      { upstream, addresses: [{ address: "127.0.0.1", port: secured.port, weight: 1 }], dns: null },
    ],
    certificates: [certificate],
  };
}

async function startTwoHosts(): Promise<Harness> {
  const [secured, other] = [await startBackend(), await startBackend()];
  secured.answer(() => ok("secured"));
  other.answer(() => ok("other"));
  return startProxy({ ir: twoHosts(secured, other) });
}

/** A vector of TLS: its length in `lengthBytes`, then itself. */
function vector(lengthBytes: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = Buffer.alloc(lengthBytes);
  length.writeUIntBE(body.length, 0, lengthBytes);
  return Buffer.concat([length, body]);
}

const hex = (text: string): Buffer => Buffer.from(text, "hex");

/** A ClientHello of TLS 1.2, whose answer shows the certificate in the clear, with any bytes as server name. */
function clientHello(serverName: Buffer): Buffer {
  const extension = (type: string, body: Buffer): Buffer => Buffer.concat([hex(type), vector(2, body)]);
  const extensions = [
    extension("0000", vector(2, hex("00"), vector(2, serverName))),
    extension("000a", vector(2, hex("001d0017"))),
    extension("000b", vector(1, hex("00"))),
    extension("000d", vector(2, hex("0403080404010503"))),
  ];
  const body = Buffer.concat([
    hex("0303"),
    Buffer.alloc(32, 7),
    vector(1),
    vector(2, hex("c02bc02f")),
    vector(1, hex("00")),
    vector(2, ...extensions),
  ]);
  return Buffer.concat([hex("160301"), vector(2, hex("01"), vector(3, body))]);
}

async function rawClient(port: number): Promise<Peer> {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  await once(socket, "connect");
  return new Peer(socket, "a raw client");
}

/** What becomes of a handshake with this server name: which certificate, or "refused". */
async function certificateFor(proxy: Harness, serverName: string): Promise<string> {
  const client = await rawClient(proxy.httpsPort);
  client.write(clientHello(Buffer.from(serverName, "latin1")));
  const serverHelloDone = Buffer.from("0e000000", "hex").toString("latin1");
  await client.until("an answer", () => client.unread.includes(serverHelloDone) || client.isEnded);
  const received = client.unread;
  client.destroy();
  await client.closed();
  if (!received.includes(serverHelloDone)) return "refused";
  const own = new X509Certificate(certificate.chain).raw.toString("latin1");
  return received.includes(own) ? "own" : "default";
}

describe("a server name", () => {
  test.each([
    ["a.example", "own"],
    ["A.EXAMPLE", "own"],
    ["a.example.", "own"],
    ["a.example..", "default"],
    [".a.example", "default"],
    ["b.a.example", "default"],
    ["a.example:443", "default"],
    [" a.example", "default"],
    ["a.example\r\n", "default"],
    ["", "default"],
    ["127.0.0.1", "default"],
    ["::1", "default"],
    ["[::1]", "default"],
    ["*.example", "default"],
    ["*", "default"],
    [".", "default"],
    ["__proto__", "default"],
    ["constructor", "default"],
    ["\xe4.example", "default"],
    ["a".repeat(255), "default"],
    [".".repeat(255), "default"],
    ["a.example\0", "refused"],
    ["a.example\0.evil", "refused"],
    ["\0", "refused"],
    ["a".repeat(256), "refused"],
    ["a".repeat(16_000), "refused"],
  ])("%j gets the certificate: %s", async (serverName, expected) => {
    const proxy = await startTwoHosts();
    expect(await certificateFor(proxy, serverName)).toBe(expected);
    await proxy.until("it is counted", () => proxy.metrics.tlsHandshakeFailures === 1);
    // Nobody else is concerned.
    const client = await proxy.recordClient({ servername: "a.example" });
    client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    expect(String((await client.response()).content)).toBe("secured");
    client.destroy();
  });

  test.each([
    ["a.example", "a.example", "secured"],
    ["a.example", "b.example", "other"],
    ["b.example", "a.example", "secured"],
    ["", "a.example", "secured"],
    ["", "b.example", "other"],
  ])("%j with Host %s is answered by the host's endpoint: %s", async (servername, host, expected) => {
    const proxy = await startTwoHosts();
    const client = await proxy.recordClient({ servername });
    // One connection after the other host's request is no different.
    for (const each of [host, "c.example", host]) {
      client.write(`GET / HTTP/1.1\r\nHost: ${each}\r\n\r\n`);
      const { status, content } = await client.response();
      expect([status, String(content)]).toEqual([200, each === "c.example" ? "other" : expected]);
    }
    client.destroy();
  });
});

describe("plain HTTP on the HTTPS port", () => {
  test.each([
    ["GET", get],
    ["HEAD", "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"],
    ["POST with content", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"],
    ["two requests", get + get],
    ["PUT", "PUT / HTTP/1.0\r\n\r\n"],
  ])("gets 400 and the end: %s", async (_, request) => {
    const backend = await startBackend();
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.rawTlsClient();
    client.write(request);
    const answer = await client.toEnd();
    expect(answer).toMatch(/^HTTP\/1\.1 400 Bad Request\r\n/);
    expect(answer).toContain("\r\nConnection: close\r\n");
    expect(answer.endsWith("\r\n\r\nThe plain HTTP request was sent to HTTPS port\n")).toBe(true);
    await proxy.until("it is counted", () => proxy.metrics.tlsHandshakeFailures === 1);
    expect(backend.connections.length).toBe(0);
  });

  test("after a handshake is no request and gets no answer", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const proxy = await startProxy({ backends: [backend] });
    const client = await proxy.recordClient();
    client.write(get);
    await client.response();
    client.writeRaw(Buffer.from(get.replace("/", "/smuggled"), "latin1"));
    await client.gone();
    expect(client.unread).toBe("");
    expect(backend.requests.map(({ startLine }) => startLine)).toEqual(["GET / HTTP/1.1"]);
  });
});

test("a ClientHello on the HTTP port is refused as the request it is not", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend] });
  const client = await proxy.client();
  client.write(clientHello(Buffer.from("a.example")));
  expect(await client.toEnd()).toMatch(/^HTTP\/1\.1 400 /);
  expect(backend.connections.length).toBe(0);
});

describe("a handshake that stops", () => {
  const whole = clientHello(Buffer.from("a.example"));
  test.each([
    ["before its first byte", 0],
    ["in the header of a record", 3],
    ["in the ClientHello", 40],
    ["after the ClientHello", whole.length],
  ])("%s is cut after ten seconds", async (_, bytes) => {
    const proxy = await startTwoHosts();
    const client = await proxy.rawTlsClient();
    client.write(whole.subarray(0, bytes));
    await proxy.settle();
    // A byte now and then does not buy more time.
    proxy.clock.advanceMs(9_900);
    await proxy.settle();
    expect(client.isEnded || client.isClosed).toBe(false);
    if (bytes < whole.length) client.write(whole.subarray(bytes, bytes + 1));
    await proxy.settle();
    proxy.clock.advanceMs(200);
    await client.gone();
    expect(proxy.metrics.tlsHandshakeFailures).toBe(1);
    expect(proxy.proxy.connections).toBe(0);
  });
});

test("renegotiation is declined, and no request comes of it", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({ backends: [backend] });
  const raw = net.connect({ port: proxy.httpsPort, host: "127.0.0.1" });
  const socket = tls.connect({ socket: raw, rejectUnauthorized: false, maxVersion: "TLSv1.2" });
  const client = new Peer(socket, "a client that renegotiates");
  await once(socket, "secureConnect");
  const declined = await new Promise<Error | null>((resolve) => {
    socket.once("error", resolve);
    socket.renegotiate({}, resolve);
    socket.once("close", () => resolve(null));
  });
  expect(declined?.message).toMatch(/no renegotiation/i);
  client.destroy();
  await client.closed();
  await proxy.until("it is gone", () => proxy.gauges["https"] === 0);
  expect(backend.connections.length).toBe(0);
});

describe("content that is cut below TLS", () => {
  const chunked = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  const sized = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc";

  /** The endpoint's view: what came, and whether the message had its end. */
  async function cut(begun: string, rest: string, spoil: (records: Buffer) => Buffer): Promise<string> {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irTo([backend]) });
    const client = await proxy.recordClient();
    client.write(begun);
    const peer = await backend.connection();
    // All of it: an end by a reset may take with it what was not read.
    await peer.through(begun === chunked ? "abc\r\n" : "abc");
    client.writeRaw(spoil(await client.recordsOf(rest)));
    client.cut();
    await peer.gone();
    await client.gone();
    expect(client.unread).toBe("");
    // Nobody else gets this connection.
    expect(proxy.gauges["pooled"]).toBe(0);
    return peer.unread;
  }

  test.each([
    ["a FIN without the closing alert, chunks", chunked, "0\r\n\r\n", () => Buffer.alloc(0)],
    ["a FIN without the closing alert, a length", sized, "def", () => Buffer.alloc(0)],
    ["half of the last record, chunks", chunked, "0\r\n\r\n", (all: Buffer) => all.subarray(0, -1)],
    ["half of the last record, a length", sized, "def", (all: Buffer) => all.subarray(0, 7)],
    ["a record that was changed, chunks", chunked, "0\r\n\r\n", flip],
    ["a record that was changed, a length", sized, "def", flip],
    ["an alert in the clear", sized, "def", () => hex("15030300020100")],
    ["bytes that are no record", chunked, "0\r\n\r\n", () => Buffer.from("0\r\n\r\n0\r\n\r\n")],
    [
      "a record that is too long",
      chunked,
      "0\r\n\r\n",
      () => Buffer.concat([hex("170303ffff"), Buffer.alloc(70_000)]),
    ],
  ])("%s: the endpoint sees no end of it", async (_, begun, rest, spoil) => {
    expect(await cut(begun, rest, spoil)).toBe("");
  });

  test("the last record, when it is whole, counts: the request was complete", async () => {
    const backend = await startBackend();
    backend.answer(() => ok("served"));
    const proxy = await startProxy({ ir: irTo([backend]) });
    const client = await proxy.recordClient();
    client.write(chunked);
    client.writeRaw(await client.recordsOf("0\r\n\r\n"));
    client.cut();
    expect(String((await client.response()).content)).toBe("served");
  });
});

/** The last bit of the tag. */
function flip(records: Buffer): Buffer {
  const changed = Buffer.from(records);
  changed[changed.length - 1]! ^= 1;
  return changed;
}

test("a head in records of one byte is read as one in a single record", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({ backends: [backend] });
  const client = await proxy.recordClient();
  for (const byte of get) await client.writeAll(byte);
  expect((await client.response()).status).toBe(200);
  expect(backend.requests.length).toBe(1);
});
