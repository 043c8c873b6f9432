import { describe, expect, test } from "vitest";
import type { RetrySettings } from "../../src/proxy/filter.ts";
import { defaultRouteSettings } from "../../src/proxy/routing/compile-host.ts";
import {
  irTo,
  ok,
  refusingPort,
  settingsFeature,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
  type HarnessOptions,
} from "./harness.ts";
import type { Peer } from "./peer.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n";
const all = { ...defaultRouteSettings.retries, statuses: [500, 502, 503, 504, 403, 404, 429] };

interface Scene {
  readonly first: Backend;
  readonly second: Backend;
  readonly proxy: Harness;
  readonly client: Peer;
}

/** Requests go to `first`, and those that follow or are tried again to `second`. */
async function start(
  retries: Partial<RetrySettings> = {},
  options: HarnessOptions = {},
  settings: Parameters<typeof settingsFeature>[0] = {},
): Promise<Scene> {
  const first = await startBackend();
  const second = await startBackend();
  const merged = { ...defaultRouteSettings.retries, ...retries };
  const ir = irTo([first, second], settingsFeature({ ...settings, retries: merged }));
  const proxy = await startProxy({ ir, ...options });
  return { first, second, proxy, client: await proxy.client() };
}

async function answered({ second, client }: Scene): Promise<void> {
  const peer = await second.connection();
  await peer.request();
  peer.write(ok("second"));
  expect((await client.response()).content.toString()).toBe("second");
}

/** What an endpoint does with a request, and what the client gets when that is not tried again. */
const failures: Readonly<
  Record<string, readonly [cause: string, status: number, act: (peer: Peer, proxy: Harness) => void]>
> = {
  "ends without a response": ["error", 502, (peer) => peer.end()],
  resets: ["error", 502, (peer) => peer.reset()],
  "ends in the middle of the head": ["error", 502, (peer) => peer.end("HTTP/1.1 200 OK\r\nA: ")],
  "does not answer": ["timeout", 504, (_, proxy) => proxy.clock.advanceMs(60_100)],
  "answers with no HTTP": ["invalid_header", 502, (peer) => peer.write("HELLO\r\n\r\n")],
  "answers with a head that is too large": [
    "invalid_header",
    502,
    (peer) => peer.write(`HTTP/1.1 200 OK\r\n${`A: ${"a".repeat(8000)}\r\n`.repeat(5)}\r\n`),
  ],
};

describe("a fresh connection whose endpoint", () => {
  const rows = Object.entries(failures).map(([name, [cause, status, act]]) => ({ name, cause, status, act }));

  test.each(rows)("$name is tried again elsewhere with `$cause` alone", async ({ cause, act }) => {
    const scene = await start({ causes: [cause as "error"] });
    scene.client.write(get);
    const peer = await scene.first.connection();
    await peer.request();
    act(peer, scene.proxy);
    await answered(scene);
    await peer.gone();
  });

  test.each(rows)("$name is answered for without `$cause`", async ({ cause, status, act }) => {
    const causes = (["stale", "error", "timeout", "invalid_header"] as const).filter(
      (each) => each !== cause,
    );
    const { client, first, second, proxy } = await start({ causes });
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    act(peer, proxy);
    expect((await client.response()).status).toBe(status);
    expect(second.connections.length).toBe(0);
    await peer.gone();
  });

  test.each(["GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE", "PROPFIND"])(
    "resets is tried again for %s",
    async (method) => {
      const { client, first, second } = await start();
      client.write(`${method} / HTTP/1.1\r\nHost: a\r\n\r\n`);
      const peer = await first.connection();
      await peer.request();
      peer.reset();
      const other = await second.connection();
      expect((await other.request()).startLine).toBe(`${method} / HTTP/1.1`);
      other.write("HTTP/1.1 204 No Content\r\n\r\n");
      expect((await client.response(method)).status).toBe(204);
    },
  );

  test.each(["POST", "PATCH", "LOCK", "BREW"])(
    "resets is tried again for %s only where that is allowed",
    async (method) => {
      for (const isNonIdempotentIncluded of [false, true]) {
        const scene = await start({ isNonIdempotentIncluded });
        scene.client.write(`${method} / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n`);
        const peer = await scene.first.connection();
        await peer.request();
        peer.reset();
        if (isNonIdempotentIncluded) await answered(scene);
        else expect((await scene.client.response()).status).toBe(502);
        expect(scene.second.connections.length).toBe(isNonIdempotentIncluded ? 1 : 0);
      }
    },
  );

  test("resets after an interim response has gone to the client is 502", async () => {
    const { client, first, second } = await start();
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    peer.write("HTTP/1.1 103 Early Hints\r\n\r\n");
    expect((await client.response()).status).toBe(103);
    peer.reset();
    expect((await client.response()).status).toBe(502);
    expect(second.connections.length).toBe(0);
  });

  test("resets after the head of the response leaves a broken message", async () => {
    const { client, first, second } = await start({
      causes: ["stale", "error", "timeout", "invalid_header"],
    });
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab");
    await client.through("ab");
    peer.reset();
    expect(await client.toClose()).toBe("");
    expect(second.connections.length).toBe(0);
  });
});

describe("`off`", () => {
  const off = { causes: [], statuses: [] };

  test("answers for an endpoint that cannot be reached", async () => {
    const backend = await startBackend();
    const retries = { ...defaultRouteSettings.retries, ...off };
    const ir = irTo([await refusingPort(), backend.port], settingsFeature({ retries }));
    const proxy = await startProxy({ ir });
    expect((await proxy.roundTrip(get)).status).toBe(502);
    expect(backend.connections.length).toBe(0);
  });

  test("answers for a stale connection", async () => {
    const { client, first, proxy } = await start(off, {});
    proxy.proxy.publish(
      irTo([first], settingsFeature({ retries: { ...defaultRouteSettings.retries, ...off } })),
    );
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    client.write(get);
    await peer.request();
    peer.reset();
    expect((await client.response()).status).toBe(502);
  });
});

test("a stale connection is tried again whatever the list says, and is no try", async () => {
  const { client, first, proxy } = await start();
  const retries = { ...defaultRouteSettings.retries, causes: ["stale"] as const, triesMax: 1 };
  proxy.proxy.publish(irTo([first], settingsFeature({ retries })));
  client.write(get);
  const peer = await first.connection();
  await peer.request();
  peer.write(ok());
  await client.response();
  client.write(get);
  await peer.request();
  peer.reset();
  const next = await first.connection();
  await next.request();
  next.write(ok("again"));
  expect((await client.response()).content.toString()).toBe("again");
});

describe("a response with a listed status", () => {
  test.each(all.statuses)("%i is discarded, and its connection carries another exchange", async (status) => {
    const scene = await start({ statuses: [status] });
    const { client, first, second, proxy } = scene;
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    peer.write(`HTTP/1.1 ${status} No\r\nContent-Length: 4\r\n\r\nfi`);
    await answered(scene);
    peer.write("nd");
    await proxy.until("both are idle", () => proxy.gauges["upstreamIdle"] === 2);
    expect(proxy.metrics.retries.get(`http_${status}`)).toBe(1);
    client.write(get);
    await peer.request();
    peer.write(ok("first"));
    expect((await client.response()).content.toString()).toBe("first");
    expect([first.connections.length, second.connections.length]).toEqual([1, 1]);
  });

  test.each(all.statuses)("%i is relayed when it is not listed", async (status) => {
    const { client, first, second } = await start({
      statuses: all.statuses.filter((each) => each !== status),
    });
    client.write(get);
    const peer = await first.connection();
    await peer.request();
    peer.write(`HTTP/1.1 ${status} No\r\nContent-Length: 2\r\n\r\nno`);
    const response = await client.response();
    expect([response.status, response.content.toString()]).toEqual([status, "no"]);
    expect(second.connections.length).toBe(0);
  });

  test.each([
    ["POST", false, false],
    ["POST", true, true],
    ["DELETE", false, true],
  ])("of %s, non_idempotent %s: tried again %s", async (method, isNonIdempotentIncluded, isRetried) => {
    const scene = await start({ statuses: [503], isNonIdempotentIncluded });
    scene.client.write(post.replace("POST", method));
    const peer = await scene.first.connection();
    await peer.request();
    peer.write("HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno");
    if (isRetried) await answered(scene);
    else expect((await scene.client.response()).status).toBe(503);
  });

  test.each([
    ["too long", "Content-Length: 70000\r\n\r\nabc"],
    ["chunked and too long", `Transfer-Encoding: chunked\r\n\r\n11170\r\n${"x".repeat(70_000)}\r\n`],
    ["without end", "\r\nabc"],
  ])("whose content is %s costs its connection", async (_, rest) => {
    const scene = await start({ statuses: [503] });
    scene.client.write(get);
    const peer = await scene.first.connection();
    await peer.request();
    peer.write(`HTTP/1.1 503 No\r\n${rest}`);
    await answered(scene);
    scene.proxy.clock.advanceMs(2_000);
    await peer.gone();
    expect(scene.proxy.gauges).toMatchObject({ upstreamActive: 0, upstreamIdle: 1 });
  });

  test("that trickles has two seconds in all", async () => {
    const scene = await start({ statuses: [503] });
    scene.client.write(get);
    const peer = await scene.first.connection();
    await peer.request();
    peer.write("HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\na");
    await answered(scene);
    for (let i = 0; i < 3; i += 1) {
      scene.proxy.clock.advanceMs(600);
      peer.write("b");
      await scene.proxy.settle();
    }
    expect(peer.isEnded || peer.isClosed).toBe(false);
    scene.proxy.clock.advanceMs(300);
    await peer.gone();
  });

  test("with bytes behind it costs its connection, and they answer nobody", async () => {
    const scene = await start({ statuses: [503] });
    scene.client.write(get);
    const peer = await scene.first.connection();
    await peer.request();
    peer.write(`HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno${ok("poison")}`);
    await answered(scene);
    await peer.gone();
  });

  test("is relayed when it is the last one's", async () => {
    const { client, first, second } = await start({ statuses: [503] });
    client.write(get);
    for (const [backend, text] of [
      [first, "first"],
      [second, "second"],
    ] as const) {
      const peer = await backend.connection();
      await peer.request();
      peer.write(`HTTP/1.1 503 No\r\nContent-Length: ${text.length}\r\n\r\n${text}`);
    }
    const response = await client.response();
    expect([response.status, response.content.toString()]).toEqual([503, "second"]);
  });
});

describe("the number of tries", () => {
  async function tries(triesMax: number, endpoints: number): Promise<{ tried: number[]; status: number }> {
    const backends = await Promise.all(Array.from({ length: endpoints }, async () => startBackend()));
    for (const backend of backends) backend.answer(() => "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    const retries = { ...all, triesMax };
    const proxy = await startProxy({ ir: irTo(backends, settingsFeature({ retries })) });
    const { status } = await proxy.roundTrip(get);
    return { tried: backends.map(({ requests }) => requests.length), status };
  }

  test.each([
    [1, 4, [1, 0, 0, 0]],
    [2, 4, [1, 1, 0, 0]],
    [3, 4, [1, 1, 1, 0]],
    [3, 2, [1, 1]],
    [3, 1, [1]],
    [0, 5, [1, 1, 1, 1, 1]],
    [0, 1, [1]],
  ])("%i with %i endpoints asks %j", async (triesMax, endpoints, expected) => {
    expect(await tries(triesMax, endpoints)).toEqual({ tried: expected, status: 503 });
  });

  test("0 with endpoints that cannot be reached tries each once", async () => {
    const ports = [await refusingPort(), await refusingPort(), await refusingPort(), await refusingPort()];
    const retries = { ...defaultRouteSettings.retries, triesMax: 0 };
    const proxy = await startProxy({ ir: irTo(ports, settingsFeature({ retries })) });
    expect((await proxy.roundTrip(get)).status).toBe(502);
    expect(proxy.metrics.upstreamConnectFailures).toBe(4);
  });
});

test.each([
  [9, 200],
  [11, 502],
])("a failure %i seconds into 10 seconds for further tries is answered with %i", async (seconds, status) => {
  const { client, first, second, proxy } = await start({ timeoutMs: 10_000 });
  second.answer(() => ok());
  client.write(get);
  const peer = await first.connection();
  await peer.request();
  proxy.clock.advanceMs(seconds * 1000);
  peer.reset();
  expect((await client.response()).status).toBe(status);
});

describe("the retry budget", () => {
  /** `count` requests at a time that all fail at the first endpoint they come to, the others hold them. */
  async function storm(count: number): Promise<{ sent: number; refused: number; retried: number }> {
    const { first, second, proxy } = await start({ statuses: [503] });
    // Every second request begins at either endpoint; each answers 503 once all are there.
    const clients = await Promise.all(Array.from({ length: count }, async () => proxy.client()));
    const held: Peer[] = [];
    const hold = (_: unknown, peer: Peer): null => {
      held.push(peer);
      return null;
    };
    first.answer(hold);
    second.answer(hold);
    for (const client of clients) client.write(get);
    await proxy.until("all are there", () => held.length === count);
    for (const peer of held.splice(0)) peer.write("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n");
    await proxy.still(() => held.length);
    const retried = held.length;
    expect(proxy.proxy.retryBudget.retries).toBe(retried);
    for (const peer of held) peer.write(ok());
    const statuses = await Promise.all(clients.map(async (client) => (await client.response()).status));
    const sent = first.requests.length + second.requests.length;
    expect(proxy.metrics.retriesOverBudget).toBe(count - retried);
    return { sent, refused: statuses.filter((status) => status === 503).length, retried };
  }

  test("lets three of a few requests be sent again, and answers for the others", async () => {
    expect(await storm(5)).toEqual({ sent: 8, refused: 2, retried: 3 });
  });

  test("lets a fifth of many requests be sent again", async () => {
    const { sent, refused, retried } = await storm(60);
    // Of those still active at each failure: answered ones no longer count.
    expect(retried).toBeLessThanOrEqual(12);
    expect(retried).toBeGreaterThanOrEqual(9);
    expect([sent, refused]).toEqual([60 + retried, 60 - retried]);
  });

  test("is not for requests that reached no endpoint", async () => {
    const backend = await startBackend();
    backend.answer(() => ok());
    const ir = irTo([await refusingPort(), backend.port]);
    const proxy = await startProxy({ ir, limits: { retriesActiveMin: 0, retriesActiveShareMax: 0 } });
    expect((await proxy.roundTrip(get)).status).toBe(200);
    expect(proxy.metrics.retriesOverBudget).toBe(0);
  });
});
