// Which connections are taken, and what those that are not get.
import { describe, expect, test } from "vitest";
import { makeSharedBuffers, SharedState } from "../../../src/proxy/across-workers/shared-state.ts";
import { defaultLimits } from "../../../src/proxy/limits.ts";
import { ok, startBackend, startProxy, type Harness } from "../harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function start(
  limits: Partial<typeof defaultLimits>,
): Promise<{ proxy: Harness; shared: SharedState }> {
  const backend = await startBackend();
  backend.answer(() => ok());
  // Two numbers: this proxy's, and that of the one that owns the workers.
  const shared = new SharedState(makeSharedBuffers(1, { ...defaultLimits, ...limits }), 0);
  return { shared, proxy: await startProxy({ backends: [backend], limits, shared }) };
}

describe("a connection too many", () => {
  test("gets 503 with Retry-After for whatever it asks, and its end", async () => {
    const { proxy } = await start({ connectionsMax: 1 });
    const first = await proxy.client();
    await proxy.settleAccepted(1);
    const head = "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (const request of [get, head, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"]) {
      const refused = await proxy.client();
      refused.write(request);
      const text = await refused.toEnd();
      expect(text).toMatch(/^HTTP\/1\.1 503 .*\r\nRetry-After: 5\r\n.*Connection: close\r\n\r\n$/s);
      refused.end();
      await refused.closed();
    }
    expect(proxy.metrics.connectionsRefused.get("total")).toBe(3);
    first.write(get);
    expect((await first.response()).status).toBe(200);
  });

  test("that says nothing gets nothing, and 2 seconds", async () => {
    const { proxy } = await start({ connectionsMax: 1 });
    await proxy.client();
    await proxy.settleAccepted(1);
    const silent = await proxy.client();
    await proxy.turnsUntil("it is refused", () => proxy.metrics.connectionsRefused.get("total") === 1);
    expect(silent.isClosed).toBe(false);
    proxy.clock.advanceMs(2_000);
    expect(await silent.toClose()).toBe("");
  });

  test("is cut when too many others wait for their end", async () => {
    const { proxy } = await start({ connectionsMax: 1, refusalsMax: 2 });
    await proxy.client();
    await proxy.settleAccepted(1);
    const [oldest, second] = [await proxy.client(), await proxy.client()];
    const third = await proxy.client();
    expect(await oldest.toClose()).toBe("");
    for (const client of [second, third]) {
      client.write(get);
      expect((await client.response()).status).toBe(503);
      client.destroy();
    }
  });

  test("over TLS is closed before its handshake", async () => {
    const { proxy } = await start({ connectionsMax: 1 });
    await proxy.client();
    await proxy.settleAccepted(1);
    const refused = await proxy.rawTlsClient();
    expect(await refused.toClose()).toBe("");
    expect(proxy.metrics.tlsHandshakeFailures).toBe(0);
    expect(proxy.metrics.connectionsRefused.get("total")).toBe(1);
  });
});

describe("connections of one client", () => {
  test("are limited, those of another are not, and one that ends makes room", async () => {
    const { proxy } = await start({ connectionsPerClientMax: 2 });
    const [first, second] = [await proxy.client(), await proxy.tlsClient()];
    const refused = await proxy.client();
    refused.write(get);
    const response = await refused.response();
    expect([response.status, response.field("retry-after")]).toEqual([429, "5"]);
    refused.destroy();
    expect(proxy.metrics.connectionsRefused.get("client")).toBe(1);
    // The same machine by another of its addresses.
    const other = await proxy.client("127.0.0.1", "127.0.0.2");
    other.write(get);
    expect((await other.response()).status).toBe(200);
    for (const [index, each] of [first, second].entries()) {
      each.destroy();
      await proxy.turnsUntil("it is gone", () => proxy.metrics.downstreamActive === 2 - index);
    }
    const again = await proxy.client();
    again.write(get);
    expect((await again.response()).status).toBe(200);
  });

  test("that never complete their handshake count, and are given back", async () => {
    const { proxy, shared } = await start({ connectionsPerClientMax: 1 });
    const raw = await proxy.rawTlsClient();
    await proxy.turnsUntil("it is counted", () => shared.clients.size === 1);
    const refused = await proxy.client();
    refused.write(get);
    expect((await refused.response()).status).toBe(429);
    raw.destroy();
    await proxy.turnsUntil("it is gone", () => shared.clients.size === 0);
    expect((await proxy.roundTrip(get)).status).toBe(200);
  });
});

describe("overload", () => {
  test.each(["event_loop", "heap", "memory"] as const)(
    "of %s: new connections are refused, existing ones go on, and its end ends that",
    async (reason) => {
      const { proxy, shared } = await start({ overloadConnectionsMin: 1 });
      const existing = await proxy.client();
      existing.write(get);
      await existing.response();
      shared.overload.set(reason, true);
      const refused = await proxy.client();
      refused.write(get);
      const response = await refused.response();
      expect([response.status, response.field("retry-after")]).toEqual([503, "5"]);
      refused.destroy();
      const overTls = await proxy.rawTlsClient();
      expect(await overTls.toClose()).toBe("");
      expect(proxy.metrics.connectionsRefused.get(reason)).toBe(2);
      existing.write(get);
      expect((await existing.response()).status).toBe(200);
      shared.overload.set(reason, false);
      expect((await proxy.roundTrip(get)).status).toBe(200);
    },
  );

  test("refuses nobody while there are few connections: it has another cause then", async () => {
    const { proxy, shared } = await start({ overloadConnectionsMin: 2 });
    shared.overload.set("memory", true);
    const first = await proxy.client();
    first.write(get);
    expect((await first.response()).status).toBe(200);
    const second = await proxy.client();
    second.write(get);
    expect((await second.response()).status).toBe(200);
    const third = await proxy.client();
    third.write(get);
    expect((await third.response()).status).toBe(503);
  });
});
