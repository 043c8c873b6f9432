import { expect, test } from "vitest";
import { defaultLimits } from "../../../src/proxy/limits.ts";
import { ok, startBackend } from "../harness.ts";
import { ask, get, startPool } from "./pool-harness.ts";

test("a worker whose event loop stays behind refuses new connections, and goes on with those it has", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const limits = { ...defaultLimits, overloadEventLoopDelayMs: 200, overloadConnectionsMin: 0 };
  const harness = await startPool([backend], { limits, workers: 1 });
  const idle = await harness.client();
  await ask(idle);
  const isOver = { value: false };
  // Together they leave the event loop no time for anything else, however late this thread asks again. All are accepted
  // before the first of them is busy.
  const busy = await Promise.all(Array.from({ length: 12 }, () => harness.client()));
  for (const client of busy) await ask(client);
  const load = busy.map(async (client) => {
    while (!isOver.value) expect((await ask(client, "/busy")).status).toBe(200);
  });
  await harness.event("overload");
  const words = "worker 0 is more than 200 ms behind; it refuses new connections";
  expect(harness.overloads).toEqual([`overload: ${words}`]);
  expect(harness.metrics.overloaded).toEqual({ event_loop: 1, heap: 0, memory: 0 });
  const late = await harness.client();
  expect((await ask(late)).status).toBe(503);
  await late.closed();
  expect((await ask(idle)).status).toBe(200);
  isOver.value = true;
  await Promise.all(load);
  expect((await harness.counted()).proxy.connectionsRefused.get("event_loop")).toBeGreaterThan(0);
}, 30_000);

test("a process that is short of memory refuses new connections in every worker", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const limits = { ...defaultLimits, overloadConnectionsMin: 0 };
  let share = 0.5;
  const harness = await startPool([backend], { limits, memoryShare: () => share });
  const clients = await harness.clientOfEach(2);
  share = 0.95;
  await harness.event("overload");
  expect(harness.overloads).toEqual([
    "overload: more than 90 % of the memory is used; new connections are refused",
  ]);
  for (let i = 0; i < 12; i += 1) expect((await harness.roundTrip()).status).toBe(503);
  for (const client of clients) expect((await ask(client)).status).toBe(200);
  const { proxy } = await harness.counted();
  expect(proxy.connectionsRefused.get("memory")).toBe(12);
});

test("connections of one client are counted together, and those of a worker that dies are given back", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const limits = { ...defaultLimits, connectionsPerClientMax: 16 };
  const harness = await startPool([backend], { limits });
  const clients = await harness.clientOfEach(2);
  const refused = async (): Promise<number> =>
    (await harness.counted()).proxy.connectionsRefused.get("client");
  while ((await refused()) === 0) clients.push(await harness.client());
  expect(harness.pool.connections).toBe(16);
  const back = harness.event("back");
  clients[1]!.write(get("/crash"));
  await back;
  expect((await harness.roundTrip()).status).toBe(200);
});
