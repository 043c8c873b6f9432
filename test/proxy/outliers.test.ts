// Ejections and what they mean for an upstream, on real sockets.
import { describe, expect, test } from "vitest";
import type { RoutingIr } from "../../src/ir/routing.ts";
import { defaultOutliers, type UpstreamSettings } from "../../src/proxy/filter.ts";
import { irTo, ok, settingsFeature, startBackend, startProxy, type Backend } from "./harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const failure = "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 3\r\n\r\nbad";
const truncated = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf";

function irWith(ports: readonly number[], settings: Partial<UpstreamSettings>): RoutingIr {
  // Without retries, so that each request shows where it went.
  const retries = { causes: [], statuses: [], isNonIdempotentIncluded: false, triesMax: 1, timeoutMs: 0 };
  const ir = irTo(ports, settingsFeature({ retries }));
  const features = [{ feature: "upstream-settings", config: settings }];
  return { ...ir, upstreams: ir.upstreams.map((each) => ({ ...each, features })) };
}

/** One that answers well, and one that answers as `state.answer` says. */
async function startTwo() {
  const state: { answer: (backend: Backend) => string } = { answer: () => failure };
  const good = await startBackend();
  good.answer(() => ok("good"));
  const bad = await startBackend();
  bad.answer(() => state.answer(bad));
  return { state, good, bad, ports: [good.port, bad.port] };
}

describe("an endpoint that answers 500", () => {
  test("is ejected when its upstream asks for it, and is back after a trial that goes well", async () => {
    const { state, ports } = await startTwo();
    const outliers = { ...defaultOutliers, statusesMax: 2 };
    const proxy = await startProxy({ ir: irWith(ports, { outliers }) });
    const statuses = async (count: number): Promise<number[]> => {
      const all: number[] = [];
      for (let i = 0; i < count; i += 1) all.push((await proxy.roundTrip(get)).status);
      return all;
    };
    expect((await statuses(4)).filter((each) => each === 500)).toHaveLength(2);
    expect(await statuses(20)).not.toContain(500);
    expect(proxy.metrics.ejections.get("statuses")).toBe(1);
    proxy.clock.advanceMs(1_000);
    // One trial, that fails.
    expect((await statuses(10)).filter((each) => each === 500)).toHaveLength(1);
    state.answer = () => ok("back");
    proxy.clock.advanceMs(2_000);
    const contents: string[] = [];
    for (let i = 0; i < 10; i += 1) contents.push((await proxy.roundTrip(get)).content.toString());
    expect(contents.filter((each) => each === "back")).toHaveLength(5);
  });

  test("stays by default: the answer is the application's", async () => {
    const { ports } = await startTwo();
    const proxy = await startProxy({ ir: irWith(ports, {}) });
    const all: number[] = [];
    for (let i = 0; i < 40; i += 1) all.push((await proxy.roundTrip(get)).status);
    expect(all.filter((each) => each === 500)).toHaveLength(20);
  });

  test("counts also where its answer was discarded for a retry", async () => {
    const { ports } = await startTwo();
    const ir = irWith(ports, { outliers: { ...defaultOutliers, statusesMax: 2 } });
    const retries = {
      causes: [],
      statuses: [500],
      isNonIdempotentIncluded: false,
      triesMax: 2,
      timeoutMs: 0,
    };
    const features = settingsFeature({ retries });
    const hosts = ir.virtualHosts.map((host) => ({
      ...host,
      routes: host.routes.map((route) => ({ ...route, features })),
    }));
    const proxy = await startProxy({ ir: { ...ir, virtualHosts: hosts } });
    for (let i = 0; i < 20; i += 1) expect((await proxy.roundTrip(get)).status).toBe(200);
    expect(proxy.metrics.retries.get("http_500")).toBe(2);
    expect(proxy.metrics.ejections.get("statuses")).toBe(1);
  });
});

test("an endpoint whose responses break off is ejected", async () => {
  const good = await startBackend();
  good.answer(() => ok("good"));
  const bad = await startBackend();
  void (async () => {
    for (;;) {
      const peer = await bad.connection();
      await peer.request();
      peer.end(truncated);
    }
  })();
  const proxy = await startProxy({ ir: irWith([good.port, bad.port], {}) });
  let cut = 0;
  for (let i = 0; i < 30; i += 1) {
    const client = await proxy.client();
    client.mayEnd = true;
    client.write(get);
    await client.until("content", () => /good|half/.test(client.unread));
    if (client.unread.includes("half")) {
      cut += 1;
      await client.gone();
    }
    client.destroy();
  }
  expect(cut).toBe(3);
  expect(proxy.metrics.ejections.get("breaks")).toBe(1);
});

test("killing half of the endpoints under load loses nothing but what was on its way on them", async () => {
  const backends: Backend[] = [];
  for (let i = 0; i < 6; i += 1) backends.push(await startBackend());
  const dying = backends.slice(0, 3);
  for (const backend of backends) {
    backend.answer(() => {
      if (!dying.includes(backend) || !state.isKilling) return ok("ok");
      // It has the request, and takes it along.
      backend.stopAccepting();
      for (const each of backend.connections) each.reset();
      return null;
    });
  }
  const state = { isKilling: false, isOver: false, lost: 0, answered: 0 };
  const post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
  const proxy = await startProxy({ ir: irTo(backends) });
  const load = Array.from({ length: 12 }, async () => {
    const client = await proxy.client();
    for (let i = 0; i < 60; i += 1) {
      client.write(post);
      const { status } = await client.response("POST");
      if (status === 200) state.answered += 1;
      else state.lost += 1;
      if (i === 20) state.isKilling = true;
    }
    client.destroy();
  });
  await Promise.all(load);
  // A request on a connection that was reset may have been processed, and a POST is not sent twice.
  expect(state.lost).toBeGreaterThan(0);
  expect(state.lost).toBeLessThanOrEqual(12);
  expect(state.answered + state.lost).toBe(12 * 60);
  expect(proxy.metrics.ejections.get("failures")).toBe(3);
  for (let i = 0; i < 12; i += 1) expect((await proxy.roundTrip(post)).status).toBe(200);
});
