import { expect, test } from "vitest";
import { irTo, ok, startBackend, startProxy, type Backend, type Harness } from "./harness.ts";
import type { Message } from "./peer.ts";

const id = "X-Request-ID: 0123\r\n";

async function start(): Promise<{ backend: Backend; proxy: Harness }> {
  const backend = await startBackend();
  return { backend, proxy: await startProxy({ backends: [backend] }) };
}

/** The head that reaches the endpoint for a request without content. */
async function headAtBackend(request: string): Promise<Message> {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const response = await proxy.roundTrip(request);
  expect(response.status).toBe(200);
  return backend.requests[0]!;
}

/** The response that reaches the client for what the endpoint sends. */
async function headAtClient(
  response: string,
  request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
): Promise<Message> {
  const { backend, proxy } = await start();
  backend.answer((_, peer) => {
    if (!/^content-length|^transfer-encoding/im.test(response)) peer.end(response);
    return peer.socket.writable ? response : null;
  });
  return proxy.roundTrip(request);
}

/** The lines that Fairway adds for a client on loopback. */
function ours(proxy: Harness, host: string): string {
  return (
    `X-Forwarded-Host: ${host}\r\nX-Real-IP: 127.0.0.1\r\nX-Forwarded-For: 127.0.0.1\r\n` +
    `X-Forwarded-Port: ${proxy.httpPort}\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Scheme: http\r\nX-Scheme: http\r\n`
  );
}

test("a request reaches the endpoint with its own fields in order and spelling, and with ours after them", async () => {
  const { backend, proxy } = await start();
  const client = await proxy.client();
  client.write(
    `GET /a%2Fb/../c?x=1&y HTTP/1.1\r\nuser-AGENT: me\r\nHost: A.example:8080\r\n${id}Accept:\t a,  b \r\nX: \xe9\r\nAccept: c\r\n\r\n`,
  );
  const peer = await backend.connection();
  const request = await peer.request();
  expect(request.head).toBe(
    "GET /a%2Fb/../c?x=1&y HTTP/1.1\r\nHost: A.example:8080\r\nuser-AGENT: me\r\n" +
      `${id}Accept:\t a,  b \r\nX: \xe9\r\nAccept: c\r\n${ours(proxy, "A.example:8080")}\r\n`,
  );
  peer.write(ok());
  await client.response();
});

test("over TLS the scheme is https and the port 443", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const client = await proxy.tlsClient();
  client.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
  await client.response();
  const request = backend.requests[0]!;
  expect(request.field("x-forwarded-proto")).toBe("https");
  expect(request.field("x-forwarded-scheme")).toBe("https");
  expect(request.field("x-scheme")).toBe("https");
  expect(request.field("x-forwarded-port")).toBe("443");
});

test("a request without X-Request-ID gets one of 32 hexadecimal digits, another for each request", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const client = await proxy.client();
  client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
  await client.response();
  await client.response();
  const ids = backend.requests.map((each) => each.field("x-request-id"));
  expect(ids[0]).toMatch(/^[0-9a-f]{32}$/);
  expect(ids[1]).toMatch(/^[0-9a-f]{32}$/);
  expect(ids[0]).not.toBe(ids[1]);
});

test("what the endpoint is told follows each request of a connection, whatever the one before was for", async () => {
  const { backend, proxy } = await start();
  backend.answer(() => ok());
  const client = await proxy.client();
  const hosts = ["a.example", "a.example", "B.example:81", "a.example"];
  for (const host of hosts) {
    client.write(`GET / HTTP/1.1\r\nHost: ${host}\r\n${id}\r\n`);
    await client.response();
  }
  client.write(`GET http://c.example/ HTTP/1.1\r\nHost: a.example\r\n${id}\r\n`);
  await client.response();
  expect(backend.requests.map(({ head }) => head)).toEqual(
    [...hosts, "c.example"].map((host) => `GET / HTTP/1.1\r\nHost: ${host}\r\n${id}${ours(proxy, host)}\r\n`),
  );
});

test("an empty X-Request-ID counts as none", async () => {
  const request = await headAtBackend("GET / HTTP/1.1\r\nHost: a\r\nX-Request-ID: \r\n\r\n");
  expect(request.field("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
});

test("what a client says of itself in forwarding fields is replaced, and kept as X-Original-* where that is known", async () => {
  const request = await headAtBackend(
    "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.1.1.1\r\nx-forwarded-for: 2.2.2.2\r\nX-Forwarded-Host: evil\r\n" +
      "X-FORWARDED-PORT: 1\r\nX-Forwarded-Proto: gopher\r\nX-Forwarded-Scheme: gopher\r\nX-Forwarded-Prefix: /p\r\n" +
      "X-Forwarded-Server: s\r\nX-Real-IP: 3.3.3.3\r\nX-Scheme: gopher\r\nForwarded: for=4.4.4.4\r\n" +
      "X-Original-Forwarded-For: 5.5.5.5\r\nX-Original-Forwarded-Host: evil2\r\nX-Original-URI: /evil\r\n" +
      "X-Original-URL: /evil\r\nX-Original-Method: EVIL\r\nssl-client-verify: SUCCESS\r\nSSL-Client-Subject-DN: CN=root\r\n" +
      "Proxy: http://evil/\r\nX_Real_IP: 6.6.6.6\r\nany_thing: 7\r\nKept: yes\r\n\r\n",
  );
  expect(request.all("x-original-forwarded-for")).toEqual(["1.1.1.1", "2.2.2.2"]);
  expect(request.all("x-original-forwarded-host")).toEqual(["evil"]);
  expect(request.field("x-forwarded-for")).toBe("127.0.0.1");
  expect(request.field("x-forwarded-host")).toBe("a");
  expect(request.field("x-forwarded-proto")).toBe("http");
  expect(request.field("x-forwarded-scheme")).toBe("http");
  expect(request.field("x-real-ip")).toBe("127.0.0.1");
  expect(request.field("x-scheme")).toBe("http");
  expect(request.field("kept")).toBe("yes");
  const names = request.lines.map((line) => line.slice(0, line.indexOf(":")).toLowerCase()).sort();
  expect(names).toEqual([
    "host",
    "kept",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-scheme",
    "x-original-forwarded-for",
    "x-original-forwarded-for",
    "x-original-forwarded-host",
    "x-real-ip",
    "x-request-id",
    "x-scheme",
  ]);
});

test("hop-by-hop fields and those that Connection names end at the proxy", async () => {
  const request = await headAtBackend(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Secret,,\tother\r\nconnection: third\r\nKeep-Alive: timeout=9\r\n" +
      "Proxy-Connection: keep-alive\r\nTE: gzip\r\nUpgrade: websocket\r\nProxy-Authorization: Basic eA==\r\n" +
      "Proxy-Authenticate: x\r\nHTTP2-Settings: AAMAAABkAAQ\r\nsecret: 1\r\nSECRET: 2\r\nOther: 3\r\nThird: 4\r\nFourth: 5\r\n\r\n",
  );
  expect(request.head).not.toMatch(/^(connection|keep-alive|proxy-|te|upgrade|http2|secret|other|third)/im);
  expect(request.field("fourth")).toBe("5");
});

test("Connection cannot take away what Fairway sets", async () => {
  const { backend, proxy } = await start();
  const client = await proxy.client();
  client.write(
    "POST / HTTP/1.1\r\nHost: a\r\nConnection: host, content-length, transfer-encoding, x-real-ip, x-forwarded-for, " +
      "x-forwarded-host, x-forwarded-proto, x-request-id, x-scheme, cookie\r\nX-Request-ID: mine\r\nCookie: s=1\r\n" +
      "Content-Length: 3\r\n\r\nabc",
  );
  const peer = await backend.connection();
  const request = await peer.request();
  expect(request.field("host")).toBe("a");
  expect(request.field("content-length")).toBe("3");
  expect(request.content.toString()).toBe("abc");
  expect(request.field("x-real-ip")).toBe("127.0.0.1");
  expect(request.field("x-forwarded-for")).toBe("127.0.0.1");
  expect(request.field("x-forwarded-host")).toBe("a");
  expect(request.field("x-forwarded-proto")).toBe("http");
  expect(request.field("x-scheme")).toBe("http");
  // The client's own id was named as hop-by-hop; the endpoint gets one all the same.
  expect(request.field("x-request-id")).toMatch(/^[0-9a-f]{32}$/);
  expect(request.field("cookie")).toBeUndefined();
  peer.write(ok());
  await client.response();
});

test("TE: trailers is passed on as this connection's own, other transfer codings are not", async () => {
  const request = await headAtBackend(
    "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: gzip, Trailers\r\n\r\n",
  );
  expect(request.field("te")).toBe("trailers");
  expect(request.field("connection")).toBe("te");
});

test.each([
  ["GET http://b.example:81/x?y HTTP/1.1", "GET /x?y HTTP/1.1", "b.example:81"],
  ["GET HTTPS://b.example HTTP/1.1", "GET / HTTP/1.1", "b.example"],
  ["GET http://b.example?q HTTP/1.1", "GET /?q HTTP/1.1", "b.example"],
  // RFC 9112, 3.2.4: an empty path of OPTIONS means the server as a whole.
  ["OPTIONS http://b.example HTTP/1.1", "OPTIONS * HTTP/1.1", "b.example"],
  ["OPTIONS http://b.example/ HTTP/1.1", "OPTIONS / HTTP/1.1", "b.example"],
])("of an absolute target the authority replaces Host: %s", async (line, expected, host) => {
  const request = await headAtBackend(`${line}\r\nHost: a\r\n\r\n`);
  expect(request.startLine).toBe(expected);
  expect(request.field("host")).toBe(host);
  expect(request.field("x-forwarded-host")).toBe(host);
});

test("an absolute target is routed by its own host", async () => {
  const backend = await startBackend();
  const proxy = await startProxy({ ir: irTo([backend], [], "b.example") });
  backend.answer(() => ok());
  expect((await proxy.roundTrip("GET http://a.example/ HTTP/1.1\r\nHost: b.example\r\n\r\n")).status).toBe(
    404,
  );
  expect((await proxy.roundTrip("GET http://B.example./ HTTP/1.1\r\nHost: a.example\r\n\r\n")).status).toBe(
    200,
  );
  expect(backend.requests.length).toBe(1);
});

test("OPTIONS * goes on as it is", async () => {
  const request = await headAtBackend("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n");
  expect(request.startLine).toBe("OPTIONS * HTTP/1.1");
});

test("unknown methods go on as they are", async () => {
  expect((await headAtBackend("BREW /x HTTP/1.1\r\nHost: a\r\n\r\n")).startLine).toBe("BREW /x HTTP/1.1");
});

test("an HTTP/1.0 request becomes HTTP/1.1 with its Host, or with an empty one", async () => {
  const withHost = await headAtBackend("GET / HTTP/1.0\r\nHost: a\r\n\r\n");
  expect(withHost.startLine).toBe("GET / HTTP/1.1");
  expect(withHost.field("host")).toBe("a");
  const without = await headAtBackend("GET / HTTP/1.0\r\n\r\n");
  expect(without.field("host")).toBe("");
  expect(without.field("connection")).toBeUndefined();
});

test.each([
  ["POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "0"],
  ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", undefined],
])("a request without content keeps its length, and gets none when it had none", async (text, length) => {
  const request = await headAtBackend(text);
  expect(request.field("content-length")).toBe(length);
  expect(request.field("transfer-encoding")).toBeUndefined();
});

test("a response keeps its fields in order and spelling and loses those of the hop", async () => {
  const response = await headAtClient(
    "HTTP/1.1 299 All  is Well\xe9\r\nserver: apache\r\nX-First: 1\r\nConnection: x-hop, keep-alive\r\nKeep-Alive: timeout=5\r\n" +
      "X-Hop: 1\r\nx-SECOND:2\r\nX-Accel-Redirect: /etc\r\nX-Accel-Buffering: no\r\nProxy-Authenticate: x\r\n" +
      "Upgrade: h2c\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\nX_Under: kept\r\nTE: x\r\nContent-Length: 2\r\n\r\nok",
  );
  expect(response.head).toBe(
    "HTTP/1.1 299 All  is Well\xe9\r\nX-First: 1\r\nx-SECOND:2\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nDate: then\r\n" +
      "X_Under: kept\r\nContent-Length: 2\r\n\r\n",
  );
  expect(response.content.toString()).toBe("ok");
});

test("Date is added where it lacks", async () => {
  const response = await headAtClient("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
  expect(Math.abs(Date.parse(response.field("date")!) - Date.now())).toBeLessThan(60_000);
});

test("a response without reason phrase keeps the blank before it", async () => {
  expect((await headAtClient("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")).startLine).toBe("HTTP/1.1 200 ");
  expect((await headAtClient("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n")).startLine).toBe("HTTP/1.1 200 ");
});

test("an HTTP/1.0 answer becomes HTTP/1.1", async () => {
  const response = await headAtClient("HTTP/1.0 200 OK\r\n\r\nall of it");
  expect(response.startLine).toBe("HTTP/1.1 200 OK");
  expect(response.framing).toBe("chunked");
  expect(response.content.toString()).toBe("all of it");
});

test("fields of the route replace the endpoint's, on responses of both, some of them over TLS only", async () => {
  const backend = await startBackend();
  const features = [
    {
      feature: "fields",
      config: [
        { name: "strict-transport-security", value: "max-age=1", onlyOverTls: true },
        { name: "x-frame-options", value: "DENY", onlyOverTls: false },
      ],
    },
  ];
  const proxy = await startProxy({ ir: irTo([backend], features) });
  backend.answer((request) =>
    request.startLine.includes("/bad")
      ? "HTTP/1.1 OK\r\n\r\n"
      : ok("ok", "Strict-Transport-Security: max-age=9\r\nX-Frame-Options: ALLOW\r\nx-other: 1\r\n"),
  );
  const plain = await proxy.client();
  plain.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
  const response = await plain.response();
  expect(response.field("strict-transport-security")).toBe("max-age=9");
  expect(response.field("x-frame-options")).toBe("DENY");
  const secured = await proxy.tlsClient();
  secured.write("GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n");
  expect((await secured.response()).field("strict-transport-security")).toBe("max-age=1");
  const generated = await secured.response();
  expect(generated.status).toBe(502);
  expect(generated.field("strict-transport-security")).toBe("max-age=1");
  expect(generated.field("x-frame-options")).toBe("DENY");
});

test("listening on all addresses, IPv4 clients are known by their IPv4 address, IPv6 clients by theirs", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const proxy = await startProxy({ backends: [backend], addresses: [] });
  for (const address of ["127.0.0.1", "::1"]) {
    const client = await proxy.client(address);
    client.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.response();
    const request = backend.requests.at(-1)!;
    expect(request.field("x-real-ip")).toBe(address);
    expect(request.field("x-forwarded-for")).toBe(address);
  }
});
