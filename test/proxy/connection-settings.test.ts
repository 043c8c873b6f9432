// Limits of connections that a table brings: they hold for open connections too, from their next step on.
import { expect, test } from "vitest";
import { TableParts } from "../../src/ir/table-parts.ts";
import { ManualClock } from "../../src/util/clock.ts";
import { irTo, ok, startBackend, startProxy } from "./harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const withField = (bytes: number): string => `GET / HTTP/1.1\r\nHost: a\r\nX: ${"x".repeat(bytes)}\r\n\r\n`;

test("a longer head is taken once the table says so, and no longer when it does not", async () => {
  const backend = await startBackend();
  backend.answer(() => ok("one"));
  const ir = irTo([backend]);
  const proxy = await startProxy({ ir });
  const client = await proxy.client();
  client.write(get);
  expect((await client.response()).status).toBe(200);
  proxy.proxy.publish({ ...ir, connections: { fieldLineMaxBytes: 20_000 } });
  client.write(withField(16_000));
  expect((await client.response()).status).toBe(200);
  const parts = new TableParts();
  parts.apply(parts.differenceTo({ ...ir, connections: { fieldLineMaxBytes: 20_000 } }));
  const delta = parts.differenceTo(ir);
  expect(parts.changesRouting(delta)).toBe(true);
  proxy.proxy.update(delta, 7);
  client.write(withField(16_000));
  expect((await client.response()).status).toBe(431);
  await client.toEnd();
});

test("a limit that is lowered within a head ends it", async () => {
  const backend = await startBackend();
  const ir = irTo([backend]);
  const proxy = await startProxy({ ir });
  const client = await proxy.client();
  client.write(withField(7_000).slice(0, 6_000));
  await proxy.settle();
  proxy.proxy.publish({ ...ir, connections: { headMaxBytes: 1_000 } });
  client.write("y".repeat(10));
  expect((await client.response()).status).toBe(431);
  await client.toEnd();
});

test("idle connections end after the table's time, of clients and of endpoints", async () => {
  const backend = await startBackend();
  backend.answer(() => ok("one"));
  const clock = new ManualClock();
  const ir = { ...irTo([backend]), connections: { keepAliveTimeoutMs: 5_000, idleUpstreamTimeoutMs: 2_000 } };
  const proxy = await startProxy({ ir, clock });
  const client = await proxy.client();
  client.write(get);
  expect((await client.response()).status).toBe(200);
  expect(proxy.proxy.pools.idleCount).toBe(1);
  clock.advanceMs(4_000);
  expect(proxy.proxy.pools.idleCount).toBe(0);
  client.write(get);
  expect((await client.response()).status).toBe(200);
  clock.advanceMs(6_000);
  await client.toEnd();
});

test("with one request on a connection every response ends it", async () => {
  const backend = await startBackend();
  backend.answer(() => ok("one"));
  const proxy = await startProxy({
    ir: { ...irTo([backend]), connections: { requestsPerConnectionMax: 1 } },
  });
  const client = await proxy.client();
  client.write(get);
  expect((await client.response()).field("connection")).toBe("close");
  await client.toEnd();
});
