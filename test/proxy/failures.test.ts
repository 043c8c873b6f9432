import { Worker } from "node:worker_threads";
import net from "node:net";
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { defaultRouteSettings } from "../../src/proxy/routing/compile-host.ts";
import { RequestMetrics } from "../../src/metrics/request-metrics.ts";
import {
  irTo,
  ok,
  refusingPort,
  settingsFeature,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
} from "./harness.ts";
import type { Peer } from "./peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function start(): Promise<{ backend: Backend; proxy: Harness; client: Peer }> {
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend] });
  return { backend, proxy, client: await proxy.client() };
}

/** A port whose connections are never established: nobody accepts them, and the queue of those that wait is full. */
async function stuckPort(): Promise<number> {
  const source = `
    const { parentPort } = require("node:worker_threads");
    const server = require("node:net").createServer();
    server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
      parentPort.postMessage(server.address().port);
      // From here on this thread's event loop stands still, so nothing is ever accepted.
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
    });`;
  const worker = new Worker(source, { eval: true });
  onTestFinished(async () => void (await worker.terminate()));
  const [port] = (await once(worker, "message")) as [number];
  for (let i = 0; i < 3; i += 1) {
    const filler = net.connect({ port, host: "127.0.0.1" });
    filler.on("error", () => undefined);
    onTestFinished(() => void filler.destroy());
    if (i < 2) await once(filler, "connect");
  }
  return port;
}

describe("an endpoint that cannot be reached", () => {
  test("is passed over for the next one, with any method, and with the content intact", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irTo([await refusingPort(), backend.port]) });
    const client = await proxy.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
    const peer = await backend.connection();
    expect((await peer.request()).content.toString()).toBe("abc");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
    expect(proxy.metrics.retries.get("upstreamConnectFailed")).toBe(1);
    expect(proxy.metrics.upstreamConnectFailures).toBe(1);
  });

  test("is answered for with 502 when all are like that, after three tries, and the connection goes on", async () => {
    const ports = [await refusingPort(), await refusingPort(), await refusingPort(), await refusingPort()];
    const proxy = await startProxy({ ir: irTo(ports) });
    const client = await proxy.client();
    for (let i = 1; i <= 2; i += 1) {
      client.write(get);
      const response = await client.response();
      expect(response.status).toBe(502);
      expect(response.field("connection")).toBeUndefined();
      expect(proxy.metrics.upstreamConnectFailures).toBe(3 * i);
    }
  });

  test("times out, and after the last try is answered for with 504", async () => {
    const port = await stuckPort();
    const retries = { ...defaultRouteSettings.retries, triesMax: 2 };
    const proxy = await startProxy({ ir: irTo([port], settingsFeature({ retries })) });
    const client = await proxy.client();
    client.write(get);
    await proxy.until("the first try", () => proxy.metrics.upstreamOpened === 1);
    proxy.clock.advanceMs(4_900);
    expect(proxy.metrics.upstreamOpened).toBe(1);
    proxy.clock.advanceMs(100);
    expect(proxy.metrics.upstreamOpened).toBe(2);
    proxy.clock.advanceMs(5_000);
    expect((await client.response()).status).toBe(504);
    expect(proxy.metrics.retries.get("upstreamConnectTimeout")).toBe(1);
  });

  test("times out, and the next endpoint answers, content held back meanwhile", async () => {
    const port = await stuckPort();
    const backend = await startBackend();
    backend.answer((request) => ok(request.content.toString()));
    const ir = irTo([port, backend.port], settingsFeature({ connectTimeoutMs: 1_000 }));
    const proxy = await startProxy({ ir });
    const client = await proxy.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    await proxy.until("the first try", () => proxy.metrics.upstreamOpened === 1);
    client.write("def");
    await proxy.settle();
    proxy.clock.advanceMs(1_000);
    expect((await client.response()).content.toString()).toBe("abcdef");
  });

  test("is given up when the client leaves while it is being connected to", async () => {
    const proxy = await startProxy({ ir: irTo([await stuckPort()]) });
    const client = await proxy.client();
    client.write(get);
    await proxy.until("the try", () => proxy.gauges["upstreamActive"] === 1);
    client.reset();
    await proxy.until("it is given up", () => proxy.gauges["upstreamActive"] === 0);
    expect(proxy.gauges).toMatchObject({ http: 0, upstreamIdle: 0 });
  });

  test("is ejected after repeated failures, and takes requests again once it is back", async () => {
    const good = await startBackend();
    const bad = await startBackend();
    good.answer(() => ok("good"));
    bad.answer(() => ok("bad"));
    const { port } = bad;
    await bad.close();
    const proxy = await startProxy({ ir: irTo([port, good.port]) });
    const client = await proxy.client();
    for (let i = 0; i < 20; i += 1) {
      client.write(get);
      expect((await client.response()).content.toString()).toBe("good");
    }
    // Three failures in a row eject it: no further request pays for a try.
    expect(proxy.metrics.upstreamConnectFailures).toBe(3);
    expect(proxy.proxy.health.reports().filter(({ state }) => state === "ejected")).toHaveLength(1);
    await bad.listen(port);
    proxy.clock.advanceMs(1_000);
    const seen = new Set<string>();
    for (let i = 0; i < 6; i += 1) {
      client.write(get);
      seen.add((await client.response()).content.toString());
    }
    expect(seen).toEqual(new Set(["good", "bad"]));
    expect(proxy.proxy.health.reports().every(({ state }) => state === "healthy")).toBe(true);
  });
});

describe("a kept connection that the endpoint closes while a request is written to it", () => {
  /** The endpoint resets the second request of the first connection, unanswered. */
  async function stale(request: string): Promise<{ backend: Backend; proxy: Harness; client: Peer }> {
    const all = await start();
    const { backend, client } = all;
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok("first"));
    await client.response();
    client.write(request);
    await peer.through("\r\n\r\n");
    peer.reset();
    return all;
  }

  test.each(["GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"])(
    "is tried again for %s, on a new one",
    async (method) => {
      const { backend, client, proxy } = await stale(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      const peer = await backend.connection();
      expect((await peer.request()).startLine).toBe(`${method} / HTTP/1.1`);
      peer.write("HTTP/1.1 204 No Content\r\n\r\n");
      expect((await client.response()).status).toBe(204);
      expect(proxy.metrics.retries.get("upstreamReset")).toBe(1);
      expect(proxy.metrics.upstreamConnectFailures).toBe(0);
    },
  );

  test.each(["POST", "PATCH", "BREW"])("is 502 for %s", async (method) => {
    const { backend, client } = await stale(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
    expect((await client.response()).status).toBe(502);
    expect(backend.connections.length).toBe(1);
  });

  test("is tried again for an empty chunked request, which ends there too", async () => {
    const { backend, client } = await stale(
      "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    const peer = await backend.connection();
    expect((await peer.request()).framing).toBe("chunked");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("is tried again with the content when none of it had come", async () => {
    const { backend, client } = await stale("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    const peer = await backend.connection();
    await peer.headOnly();
    client.write("abc");
    expect((await peer.bytes(3)).toString()).toBe("abc");
    peer.write(ok());
    expect((await client.response()).status).toBe(200);
  });

  test("is 502 when content had already been taken", async () => {
    const { backend, client } = await stale("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    const response = await client.response();
    expect(response.status).toBe(502);
    expect(backend.connections.length).toBe(1);
  });

  test("is 502 when a part of the answer had come", async () => {
    const { backend, client } = await start();
    client.write(get.repeat(2));
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    await peer.request();
    peer.write("HTTP/1.1 200");
    peer.end();
    expect((await client.response()).status).toBe(502);
    expect(backend.connections.length).toBe(1);
  });
});

test.each([
  ["FIN", (peer: Peer): void => peer.end()],
  ["RST", (peer: Peer): void => peer.reset()],
])("a new connection that ends with %s before a response is 502 and not tried again", async (_, end) => {
  const { backend, client } = await start();
  client.write(get);
  const peer = await backend.connection();
  await peer.request();
  end(peer);
  expect((await client.response()).status).toBe(502);
  expect(backend.connections.length).toBe(1);
  client.write(get);
  const second = await backend.connection();
  await second.request();
  second.write(ok());
  expect((await client.response()).status).toBe(200);
});

describe("an endpoint that dies in the middle of content shows as a broken message", () => {
  test.each([
    ["length", "FIN"],
    ["length", "RST"],
    ["chunked", "FIN"],
    ["chunked", "RST"],
    ["close", "RST"],
  ])("with %s and %s", async (framing, how) => {
    const { backend, client } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    const fields = { length: "Content-Length: 9\r\n", chunked: "Transfer-Encoding: chunked\r\n", close: "" }[
      framing
    ]!;
    peer.write(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
    await client.headOnly();
    peer.write(framing === "chunked" ? "3\r\nabc\r\n" : "abc");
    const received = await client.through("abc");
    if (how === "FIN") peer.end();
    else peer.reset();
    const rest = received + (await client.toClose());
    expect(rest).toBe(framing === "length" ? "abc" : "3\r\nabc\r\n");
  });

  test.each(["length", "chunked", "close"])(
    "with a reset for an HTTP/1.0 client, from %s",
    async (framing) => {
      const { backend, client } = await start();
      client.write("GET / HTTP/1.0\r\n\r\n");
      const peer = await backend.connection();
      await peer.request();
      const fields = {
        length: "Content-Length: 9\r\n",
        chunked: "Transfer-Encoding: chunked\r\n",
        close: "",
      }[framing]!;
      peer.write(`HTTP/1.1 200 OK\r\n${fields}\r\n`);
      await client.headOnly();
      peer.write(framing === "chunked" ? "3\r\nabc\r\n" : "abc");
      await client.through("abc");
      peer.reset();
      await client.gone();
      if (framing !== "length") expect(client.error).toBe("ECONNRESET");
    },
  );

  test("with malformed chunks", async () => {
    const { backend, client, proxy } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nxyz\r\n");
    await client.headOnly();
    expect(await client.toClose()).toBe("3\r\nabc\r\n");
    expect(proxy.metrics.refused.get("upstreamTruncated")).toBe(1);
    await peer.gone();
  });
});

describe("a malformed response is 502, and its connection ends", () => {
  test.each([
    "OK\r\n\r\n",
    "HTTP/2 200 OK\r\n\r\n",
    "HTTP/1.1 20 OK\r\n\r\n",
    "HTTP/1.1 2000 OK\r\n\r\n",
    "HTTP/1.1 099 OK\r\n\r\n",
    "HTTP/1.1 600 OK\r\n\r\n",
    "HTTP/1.1  200 OK\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 O\0K\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: 1\r\n folded\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA : 1\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nA: 1\rB: 2\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nSet-Cookie: a\nb: c\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nno colon\r\nContent-Length: 0\r\n\r\n",
    `HTTP/1.1 200 OK\r\nA: ${"a".repeat(9000)}\r\nContent-Length: 0\r\n\r\n`,
    `HTTP/1.1 200 OK\r\n${`A: ${"a".repeat(8000)}\r\n`.repeat(5)}Content-Length: 0\r\n\r\n`,
    `HTTP/1.1 200 OK\r\n${"A: 1\r\n".repeat(129)}Content-Length: 0\r\n\r\n`,
    "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 OK\r\n\r\n",
  ])("%j", async (text) => {
    const { backend, client, proxy } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(text);
    let response = await client.response();
    if (response.status === 103) response = await client.response();
    expect(response.status).toBe(502);
    expect(response.field("connection")).toBeUndefined();
    await peer.gone();
    expect(proxy.gauges).toMatchObject({ http: 1, upstreamActive: 0, upstreamIdle: 0 });
  });
});

describe("bytes after a complete response never become the answer to another request", () => {
  test.each([
    ["in the same read", ok("first") + ok("poison")],
    [
      "after chunks",
      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n0\r\n\r\n" + ok("poison"),
    ],
    ["after no content", "HTTP/1.1 204 No Content\r\n\r\n" + ok("poison")],
    ["content of a 304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 6\r\n\r\npoison"],
  ])("%s", async (_, text) => {
    const { backend, client, proxy } = await start();
    client.write(get.repeat(2));
    const peer = await backend.connection();
    await peer.request();
    peer.write(text);
    await client.response();
    const second = await backend.connection();
    await second.request();
    second.write(ok("second"));
    expect((await client.response()).content.toString()).toBe("second");
    await peer.gone();
    expect(peer.unread).toBe("");
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 1 });
  });

  test("content of an answer to HEAD", async () => {
    const { backend, client } = await start();
    client.write("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n" + get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok("poison"));
    await client.response("HEAD");
    const second = await backend.connection();
    await second.request();
    second.write(ok("second"));
    expect((await client.response()).content.toString()).toBe("second");
  });

  test("in a later read, while the connection is idle", async () => {
    const { backend, client, proxy } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok("first"));
    await client.response();
    peer.write(ok("poison"));
    await peer.gone();
    expect(proxy.gauges).toMatchObject({ upstreamIdle: 0, pooled: 0 });
    client.write(get);
    const second = await backend.connection();
    await second.request();
    second.write(ok("second"));
    expect((await client.response()).content.toString()).toBe("second");
  });
});

describe("a response that comes before its request was sent", () => {
  test("is relayed, and both connections end", async () => {
    const { backend, client, proxy } = await start();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    const peer = await backend.connection();
    await peer.through("\r\nabc");
    peer.write("HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
    const response = await client.response();
    expect(response.status).toBe(403);
    expect(response.field("connection")).toBe("close");
    expect(await client.toEnd()).toBe("");
    await peer.gone();
    expect(proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 0 });
    client.write("defghijGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n");
    await proxy.settle();
    expect(backend.connections.length).toBe(1);
  });

  test("and whose content lasts longer than the request's is complete, and only the client's connection ends", async () => {
    const { backend, client, proxy } = await start();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
    const peer = await backend.connection();
    await peer.through("\r\nabc");
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n123");
    await client.through("123");
    client.write("def");
    await peer.through("def");
    peer.write("456");
    expect((await client.toEnd()).endsWith("456")).toBe(true);
    // Both messages are complete on this side, so the connection may carry another exchange.
    expect(proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 1 });
  });

  test("from an endpoint that closes at once reaches a client that is sending much", async () => {
    for (let i = 0; i < 5; i += 1) {
      const backend = await startBackend({ allowsHalfOpen: false });
      const proxy = await startProxy({ backends: [backend], settings: { contentMaxBytes: 0 } });
      const client = await proxy.client();
      client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000000\r\n\r\n");
      client.write("x".repeat(400_000));
      const peer = await backend.connection();
      await peer.headOnly();
      await peer.bytes(100_000);
      peer.end("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 3\r\n\r\nbig");
      expect((await client.response()).status).toBe(413);
    }
  });
});

test("what throws while a response is relayed ends that exchange and nothing else", async () => {
  class Failing extends RequestMetrics {
    fails = 1;
    override cellsFor(
      ...args: Parameters<RequestMetrics["cellsFor"]>
    ): ReturnType<RequestMetrics["cellsFor"]> {
      this.fails -= 1;
      if (this.fails === 0) throw new Error("a bug of ours");
      return super.cellsFor(...args);
    }
  }
  const requestMetrics = new Failing();
  const backend = await startBackend();
  const proxy = await startProxy({ backends: [backend], requestMetrics, expectsBugs: true });
  backend.answer(() => ok());
  const client = await proxy.client();
  client.write(get);
  await client.gone();
  expect(proxy.bugs).toEqual([new Error("a bug of ours")]);
  expect(proxy.metrics.internalErrors).toBe(1);
  expect(proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 0 });
  client.destroy();
  await proxy.until("the connection is forgotten", () => proxy.gauges["http"] === 0);
  expect((await proxy.roundTrip(get)).status).toBe(200);
});

test("a filter that throws costs its request and its connection, and nothing else", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const ir = irTo([backend], [{ feature: "throws", config: null }], "bad");
  const catchAll = { ...ir.virtualHosts[0]!, routes: irTo([backend]).virtualHosts[0]!.routes };
  const proxy = await startProxy({
    ir: { ...ir, virtualHosts: [catchAll, ir.virtualHosts[1]!] },
    expectsBugs: true,
  });
  const [client, other] = [await proxy.client(), await proxy.client()];
  client.write("GET / HTTP/1.1\r\nHost: bad\r\n\r\n" + get);
  const response = await client.response();
  expect(response.status).toBe(500);
  expect(response.field("connection")).toBe("close");
  expect(await client.toEnd()).toBe("");
  expect(proxy.metrics.internalErrors).toBe(1);
  other.write(get);
  expect((await other.response()).status).toBe(200);
});

describe("an idle connection to an endpoint", () => {
  test.each([
    ["FIN", (peer: Peer): void => peer.end()],
    ["RST", (peer: Peer): void => peer.reset()],
  ])("that ends with %s is let go, and the next request gets another one", async (_, end) => {
    const { backend, client, proxy } = await start();
    client.write(get);
    const peer = await backend.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    end(peer);
    await proxy.until("it is let go", () => proxy.gauges["upstreamIdle"] === 0);
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    const second = await backend.connection();
    await second.request();
    second.write(ok());
    expect((await client.response()).status).toBe(200);
    expect(proxy.metrics.retries.get("upstreamReset")).toBe(0);
  });
});
