// Policies through the exchange: session cookies on responses, and what counts as active where.
import { describe, expect, test } from "vitest";
import type { FeatureIr, RouteIr, RoutingIr } from "../../src/ir/routing.ts";
import type { SessionCookie, UpstreamSettings } from "../../src/proxy/filter.ts";
import type { EndpointHealth } from "../../src/proxy/upstream/health.ts";
import {
  endpointsTo,
  irTo,
  ok,
  refusingPort,
  settingsFeature,
  startBackend,
  startProxy,
  type Backend,
  type Harness,
} from "./harness.ts";

const cookie: SessionCookie = {
  path: "/",
  domain: "",
  expiresSeconds: null,
  maxAgeSeconds: null,
  sameSite: null,
  avoidsSameSiteNone: false,
  isAlwaysSecure: false,
};
const sticky = { cookieName: "route", mode: "persistent", changesOnFailure: false } as const;
/** Of `default-web-80`. */
const webId = "6cde5721ec2c7e2bce07cff7d0e4ac37";

function upstreamFeature(settings: Partial<UpstreamSettings>): readonly FeatureIr[] {
  return [{ feature: "upstream-settings", config: settings }];
}

function irWith(
  ports: readonly number[],
  settings: Partial<UpstreamSettings>,
  routeFeatures: readonly FeatureIr[] = settingsFeature({ sessionCookie: cookie }),
): RoutingIr {
  const ir = irTo(ports, routeFeatures);
  return { ...ir, upstreams: ir.upstreams.map((each) => ({ ...each, features: upstreamFeature(settings) })) };
}

/** Backends that answer with their number, and the ports of them. */
async function startBackends(count: number): Promise<readonly Backend[]> {
  const backends: Backend[] = [];
  for (let i = 0; i < count; i += 1) {
    const backend = await startBackend();
    backend.answer(() => ok(String(i)));
    backends.push(backend);
  }
  return backends;
}

const portsOf = (backends: readonly Backend[]): number[] => backends.map(({ port }) => port);
const getWith = (fields: string): string => `GET / HTTP/1.1\r\nHost: a\r\n${fields}\r\n`;

/** All that is active at the endpoints of the proxy, by port. */
function activeOf(proxy: Harness): Record<string, number> {
  return Object.fromEntries(
    [...proxy.endpoints].filter(({ active }) => active !== 0).map(({ port, active }) => [port, active]),
  );
}

describe("a session", () => {
  test.each(["balanced", "persistent"] as const)(
    "%s begins with a cookie, goes on at its endpoint, and the cookie is not sent again",
    async (mode) => {
      const backends = await startBackends(3);
      const proxy = await startProxy({ ir: irWith(portsOf(backends), { affinity: { ...sticky, mode } }) });
      const first = await proxy.roundTrip(getWith(""));
      const [, key] =
        /^route=([0-9a-f]{32}|\d+\.\d+\.\d+)\|6cde5721ec2c7e2bce07cff7d0e4ac37; Path=\/; HttpOnly$/.exec(
          first.field("set-cookie") ?? "",
        ) ?? [];
      expect(key).toBeDefined();
      for (let i = 0; i < 5; i += 1) {
        const next = await proxy.roundTrip(getWith(`Cookie: x=y; route=${key}|${webId}\r\n`));
        expect(next.content.toString()).toBe(first.content.toString());
        expect(next.field("set-cookie")).toBeUndefined();
      }
    },
  );

  test("does not carry over to the next request of the connection, which may be another user's", async () => {
    const backends = await startBackends(2);
    const proxy = await startProxy({ ir: irWith(portsOf(backends), { affinity: sticky }) });
    const client = await proxy.client();
    client.write(getWith(""));
    const value = ((await client.response()).field("set-cookie") ?? "").split(";")[0] ?? "";
    client.write(getWith(`Cookie: ${value}\r\n`));
    expect((await client.response()).field("set-cookie")).toBeUndefined();
    client.write(getWith(""));
    expect((await client.response()).field("set-cookie")).toMatch(/^route=/);
  });

  test("is Secure over TLS", async () => {
    const backends = await startBackends(1);
    const proxy = await startProxy({ ir: irWith(portsOf(backends), { affinity: sticky }) });
    const client = await proxy.tlsClient();
    client.write(getWith(""));
    expect((await client.response()).field("set-cookie")).toMatch(/; Path=\/; Secure; HttpOnly$/);
  });

  test("leaves the cookies of the endpoint as they are", async () => {
    const backend = await startBackend();
    backend.answer(() => ok("ok", "Set-Cookie: a=1\r\nSet-Cookie: b=2\r\n"));
    const proxy = await startProxy({ ir: irWith([backend.port], { affinity: sticky }) });
    const cookies = (await proxy.roundTrip(getWith(""))).all("set-cookie");
    expect(cookies).toEqual(["a=1", "b=2", expect.stringMatching(/^route=/)]);
  });

  test("is not announced on a route without affinity, though its upstream keeps sessions", async () => {
    const backends = await startBackends(2);
    const proxy = await startProxy({ ir: irWith(portsOf(backends), { affinity: sticky }, []) });
    const first = await proxy.roundTrip(getWith(""));
    expect(first.field("set-cookie")).toBeUndefined();
  });

  test("begins at the endpoint that answered, not at the one that refused", async () => {
    const refusing = await refusingPort();
    const backends = await startBackends(1);
    const proxy = await startProxy({ ir: irWith([refusing, ...portsOf(backends)], { affinity: sticky }) });
    for (let i = 0; i < 10; i += 1) {
      const first = await proxy.roundTrip(getWith(""));
      expect(first.status).toBe(200);
      const value = (first.field("set-cookie") ?? "").split(";")[0] ?? "";
      expect((await proxy.roundTrip(getWith(`Cookie: ${value}\r\n`))).field("set-cookie")).toBeUndefined();
    }
  });

  test.each([false, true])("whose endpoint refuses: with change-on-failure %s", async (changesOnFailure) => {
    const backends = await startBackends(2);
    const ir = irWith(portsOf(backends), { affinity: { ...sticky, changesOnFailure } });
    const proxy = await startProxy({ ir });
    const first = await proxy.roundTrip(getWith(""));
    const value = (first.field("set-cookie") ?? "").split(";")[0] ?? "";
    await backends[Number(first.content.toString())]?.close();
    await proxy.until("its idle connection is gone", () => proxy.gauges["upstreamIdle"] === 0);
    const next = await proxy.roundTrip(getWith(`Cookie: ${value}\r\n`));
    expect(next.status).toBe(changesOnFailure ? 200 : 502);
    expect(next.field("set-cookie") !== undefined).toBe(changesOnFailure);
    if (changesOnFailure) expect(next.field("set-cookie")).not.toContain(value);
  });

  test("does not begin with a response of our own", async () => {
    const proxy = await startProxy({ ir: irWith([await refusingPort()], { affinity: sticky }) });
    const response = await proxy.roundTrip(getWith(""));
    expect(response.status).toBe(502);
    expect(response.field("set-cookie")).toBeUndefined();
  });

  test("begins with a switch of protocols too", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irWith([backend.port], { affinity: sticky }) });
    const client = await proxy.client();
    client.write(getWith("Connection: upgrade\r\nUpgrade: websocket\r\n"));
    const peer = await backend.connection();
    await peer.request();
    peer.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    expect((await client.response()).field("set-cookie")).toMatch(/^route=/);
    expect(activeOf(proxy)).toEqual({ [backend.port]: 1 });
    client.reset();
    await proxy.until("nothing is active", () => Object.keys(activeOf(proxy)).length === 0);
  });

  test("stays on its side of a canary, whatever the canary's rules say", async () => {
    const [primary, canary] = (await startBackends(2)) as [Backend, Backend];
    const ir = irWith([primary.port], { affinity: sticky });
    const [host] = ir.virtualHosts;
    const route: RouteIr = {
      ...(host?.routes[0] as RouteIr),
      alternatives: [
        {
          upstream: "default/web-canary/80",
          ingress: { kind: "Ingress", namespace: "default", name: "canary" },
          features: [{ feature: "by-header", config: {} }],
        },
      ],
    };
    const proxy = await startProxy({
      ir: {
        ...ir,
        virtualHosts: [{ host: "", isTls: false, certificates: [], routes: [route] }],
        upstreams: [
          ...ir.upstreams,
          {
            id: "default/web-canary/80",
            namespace: "default",
            service: "web-canary",
            port: "80",
            features: upstreamFeature({ affinity: sticky }),
          },
        ],
        endpoints: [...ir.endpoints, { ...endpointsTo([canary.port]), upstream: "default/web-canary/80" }],
      },
    });
    const onCanary = await proxy.roundTrip(getWith("X-Canary: always\r\n"));
    expect(onCanary.content.toString()).toBe("1");
    const canaryCookie = (onCanary.field("set-cookie") ?? "").split(";")[0] ?? "";
    expect(canaryCookie).not.toContain(webId);
    const onPrimary = await proxy.roundTrip(getWith(""));
    expect(onPrimary.content.toString()).toBe("0");
    const primaryCookie = (onPrimary.field("set-cookie") ?? "").split(";")[0] ?? "";
    const kept = await proxy.roundTrip(getWith(`X-Canary: always\r\nCookie: ${primaryCookie}\r\n`));
    expect(kept.content.toString()).toBe("0");
    const stays = await proxy.roundTrip(getWith(`Cookie: ${canaryCookie}\r\n`));
    expect(stays.content.toString()).toBe("1");
  });
});

describe("hashing", () => {
  test("sends equal keys to one endpoint over all connections", async () => {
    const backends = await startBackends(4);
    const hash = { parts: [{ kind: "target" }], subsetSize: 0, loadFactorMax: 0 } as const;
    const proxy = await startProxy({ ir: irWith(portsOf(backends), { hash }) });
    const seen = new Set<string>();
    for (let i = 0; i < 24; i += 1) {
      const answers = new Set<string>();
      for (let again = 0; again < 2; again += 1) {
        const response = await proxy.roundTrip(`GET /${i} HTTP/1.1\r\nHost: a\r\n\r\n`);
        answers.add(response.content.toString());
      }
      expect(answers.size).toBe(1);
      for (const answer of answers) seen.add(answer);
    }
    expect(seen.size).toBeGreaterThan(1);
  });
});

describe("an attempt", () => {
  test("is active from the pick to the last byte of the response, and least_request goes elsewhere", async () => {
    const [one, other] = [await startBackend(), await startBackend()];
    const proxy = await startProxy({ ir: irWith([one.port, other.port], { policy: "least_request" }) });
    const first = await proxy.client();
    first.write(getWith(""));
    await proxy.until(
      "the first request is there",
      () => one.connections.length + other.connections.length === 1,
    );
    const [busy, free] = one.connections.length === 1 ? [one, other] : [other, one];
    expect(activeOf(proxy)).toEqual({ [busy.port]: 1 });
    free.answer(() => ok("free"));
    for (let i = 0; i < 5; i += 1) {
      expect((await proxy.roundTrip(getWith(""))).content.toString()).toBe("free");
    }
    expect(activeOf(proxy)).toEqual({ [busy.port]: 1 });
    const peer = await busy.connection();
    await peer.request();
    peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
    await proxy.settle();
    expect(activeOf(proxy)).toEqual({ [busy.port]: 1 });
    peer.write("k");
    await first.response();
    expect(activeOf(proxy)).toEqual({});
  });

  test("ends with its failure, its client and its endpoint", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irWith([await refusingPort(), backend.port], {}) });
    const ends = ["client before the head", "client within the content", "endpoint within the content"];
    for (const end of ends) {
      const client = await proxy.client();
      client.mayEnd = true;
      client.write(getWith(""));
      const peer = await backend.connection();
      await peer.request();
      expect(activeOf(proxy)).toEqual({ [backend.port]: 1 });
      if (end !== ends[0]) {
        peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no");
        await proxy.settle();
      }
      if (end === ends[2]) peer.destroy();
      else client.reset();
      await proxy.until(`nothing is active: ${end}`, () => Object.keys(activeOf(proxy)).length === 0);
    }
  });

  test("tells how long its endpoint took, if the policy asks, without the time that the client took", async () => {
    const backend = await startBackend();
    const proxy = await startProxy({ ir: irWith([backend.port], { policy: "ewma" }) });
    const latency = (): number => [...proxy.endpoints][0]?.latency.valueMs(proxy.clock.nowMs()) ?? -1;
    const client = await proxy.client();
    client.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\na");
    const peer = await backend.connection();
    await proxy.settle();
    proxy.clock.advanceMs(5_000);
    client.write("bc");
    await peer.request();
    await proxy.settle();
    proxy.clock.advanceMs(70);
    peer.write(ok());
    await client.response();
    expect(latency()).toBe(70);
  });
});

describe("a change of policy", () => {
  test("keeps the health, the connections and the latency of the endpoints, and what is under way", async () => {
    const bad = await refusingPort();
    const backends = await startBackends(2);
    const ports = [bad, ...portsOf(backends)];
    const proxy = await startProxy({ ir: irWith(ports, {}) });
    for (let i = 0; i < 12; i += 1) await proxy.roundTrip(getWith(""));
    const failures = proxy.metrics.upstreamConnectFailures;
    const opened = proxy.metrics.upstreamOpened;
    const before = new Set<EndpointHealth>(proxy.endpoints);
    expect(failures).toBe(3);
    for (const policy of ["least_request", "ewma", "round_robin"] as const) {
      expect(proxy.proxy.publish(irWith(ports, { policy }))).toEqual([]);
      for (let i = 0; i < 6; i += 1) expect((await proxy.roundTrip(getWith(""))).status).toBe(200);
    }
    expect(proxy.metrics.upstreamConnectFailures).toBe(failures);
    expect(proxy.metrics.upstreamOpened).toBe(opened);
    expect(new Set(proxy.endpoints)).toEqual(before);
  });

  test("leaves a request that tries again afterwards its endpoints", async () => {
    const [one, other] = [await startBackend(), await startBackend()];
    const ports = [one.port, other.port];
    const proxy = await startProxy({ ir: irWith(ports, {}) });
    const client = await proxy.client();
    // A connection that has been used before: a request that it loses may be sent again.
    client.write(getWith(""));
    let peer = await one.connection();
    await peer.request();
    peer.write(ok());
    await client.response();
    client.write(getWith(""));
    const second = await other.connection();
    await second.request();
    second.write(ok());
    await client.response();
    client.write(getWith(""));
    await peer.request();
    expect(proxy.proxy.publish(irWith(ports, { policy: "ewma" }))).toEqual([]);
    one.answer(() => ok("again"));
    other.answer(() => ok("again"));
    peer.mayEnd = true;
    peer.destroy();
    peer = second;
    await proxy.settle();
    const served = one.connections.length + other.connections.length;
    expect(served).toBe(3);
    expect((await client.response()).content.toString()).toBe("again");
  });

  test("equal settings leave the balancer where it is", async () => {
    const backends = await startBackends(3);
    const ports = portsOf(backends);
    const proxy = await startProxy({ ir: irWith(ports, { slowStartMs: 1_000 }) });
    const seen: string[] = [];
    for (let i = 0; i < 6; i += 1) {
      seen.push((await proxy.roundTrip(getWith(""))).content.toString());
      proxy.proxy.publish(irWith(ports, { slowStartMs: 1_000 }));
    }
    expect(seen).toEqual(["0", "1", "2", "0", "1", "2"]);
  });
});
