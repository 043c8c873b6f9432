import { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import { expect, test } from "vitest";
import { makeCertificate } from "../../certs/make.ts";
import type { CertificateIr, RoutingIr } from "../../src/ir/routing.ts";
import { endpointsTo, irTo, ok, startBackend, startProxy, type Backend } from "./harness.ts";

const get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

async function backends(...names: string[]): Promise<Backend[]> {
  const all = [];
  for (const name of names) {
    const backend = await startBackend();
    backend.answer(() => ok(name));
    all.push(backend);
  }
  return all;
}

/** With the certificate for `a.example`. */
async function secured(ir: RoutingIr): Promise<{ ir: RoutingIr; serial: string }> {
  const pair = await makeCertificate({ names: ["a.example"] });
  const { fingerprint256, serialNumber, validToDate } = new X509Certificate(pair.chain);
  const certificate: CertificateIr = {
    ...pair,
    id: fingerprint256,
    secret: { kind: "Secret", namespace: "default", name: "web" },
    keyType: "ec",
    names: ["a.example"],
    notAfter: validToDate.toISOString(),
  };
  const host = {
    host: "a.example",
    isTls: true,
    certificates: [certificate.id],
    routes: ir.virtualHosts[0]!.routes,
  };
  return {
    ir: { ...ir, virtualHosts: [ir.virtualHosts[0]!, host], certificates: [certificate] },
    serial: serialNumber,
  };
}

test("before the first table every request is 503, after it the same connection is served", async () => {
  const [one] = await backends("one");
  const proxy = await startProxy({ ir: null });
  proxy.proxy.publishEndpoints([endpointsTo([one!.port])]);
  const client = await proxy.client();
  client.write(get);
  expect((await client.response()).status).toBe(503);
  proxy.proxy.publish(irTo([one!]));
  client.write(get);
  expect((await client.response()).content.toString()).toBe("one");
});

test("an exchange keeps the route and the endpoint it began with; the next one takes the new ones", async () => {
  const old = await startBackend();
  const [fresh] = await backends("fresh");
  const fields = (value: string): RoutingIr["virtualHosts"][number]["routes"][number]["features"] => [
    { feature: "fields", config: [{ name: "x-table", value, onlyOverTls: false }] },
  ];
  const proxy = await startProxy({ ir: irTo([old], fields("1")) });
  const client = await proxy.client();
  client.write(get);
  const peer = await old.connection();
  await peer.request();
  expect(proxy.proxy.publish(irTo([fresh!], fields("2")))).toEqual([]);
  const other = await proxy.client();
  other.write(get);
  const newer = await other.response();
  expect(newer.field("x-table")).toBe("2");
  expect(newer.content.toString()).toBe("fresh");
  peer.write(ok("old"));
  const response = await client.response();
  expect(response.field("x-table")).toBe("1");
  expect(response.content.toString()).toBe("old");
  // Its endpoint is in no table any more: the connection is not kept.
  await peer.gone();
  client.write(get);
  expect((await client.response()).content.toString()).toBe("fresh");
});

test("an endpoint that is removed finishes its requests and loses its idle connections", async () => {
  const old = await startBackend();
  const [fresh] = await backends("fresh");
  const proxy = await startProxy({ ir: irTo([old]) });
  const [first, second] = [await proxy.client(), await proxy.client()];
  first.write(get);
  const idle = await old.connection();
  await idle.request();
  second.write("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
  const busy = await old.connection();
  await busy.through("abc");
  idle.write(ok());
  await first.response();
  expect(proxy.gauges).toMatchObject({ upstreamActive: 1, upstreamIdle: 1 });
  const { snapshot } = proxy.proxy;
  proxy.proxy.publishEndpoints([endpointsTo([fresh!.port])]);
  // No route was compiled for it.
  expect(proxy.proxy.snapshot!.table).toBe(snapshot!.table);
  expect(proxy.gauges).toMatchObject({ upstreamActive: 1, upstreamIdle: 0, pooled: 0 });
  await idle.gone();
  first.write(get);
  expect((await first.response()).content.toString()).toBe("fresh");
  second.write("def");
  await busy.through("def");
  busy.write(ok("old"));
  expect((await second.response()).content.toString()).toBe("old");
  await busy.gone();
  expect(proxy.proxy.health.size).toBe(1);
});

test("an endpoint that stays keeps its connections through any number of tables", async () => {
  const [one] = await backends("one");
  const proxy = await startProxy({ backends: [one!] });
  const client = await proxy.client();
  for (let i = 0; i < 10; i += 1) {
    client.write(get);
    await client.response();
    proxy.proxy.publish(irTo([one!]));
    proxy.proxy.publishEndpoints([endpointsTo([one!.port])]);
  }
  expect(one!.connections.length).toBe(1);
});

test("an upstream without endpoints is 503, and serves again when it has some", async () => {
  const [one] = await backends("one");
  const proxy = await startProxy({ backends: [one!] });
  const client = await proxy.client();
  client.write(get);
  expect((await client.response()).status).toBe(200);
  proxy.proxy.publishEndpoints([endpointsTo([])]);
  client.write(get);
  expect((await client.response()).status).toBe(503);
  proxy.proxy.publishEndpoints([endpointsTo([one!.port])]);
  client.write(get);
  expect((await client.response()).status).toBe(200);
});

test("200 tables and endpoint changes under load on kept connections fail no request", async () => {
  const [one, two] = await backends("one", "two");
  const proxy = await startProxy({ backends: [one!], limits: { requestsPerConnectionMax: 1_000_000 } });
  const clients = await Promise.all(Array.from({ length: 16 }, () => proxy.client()));
  const load = { isOn: true };
  const seen = new Map<string, number>();
  const loops = clients.map(async (client, i) => {
    while (load.isOn) {
      if (i % 2 === 0) client.write(get);
      else
        client.write("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
      const response = await client.response();
      const outcome = `${response.status} ${response.content.toString()}`;
      seen.set(outcome, (seen.get(outcome) ?? 0) + 1);
    }
  });
  for (let i = 0; i < 200; i += 1) {
    const ports = [[one!.port], [two!.port], [one!.port, two!.port]][i % 3]!;
    if (i % 2 === 0) proxy.proxy.publish(irTo(ports));
    else proxy.proxy.publishEndpoints([endpointsTo(ports)]);
    for (let turn = 0; turn < 4; turn += 1) await new Promise(setImmediate);
  }
  load.isOn = false;
  await Promise.all(loops);
  expect([...seen.keys()].sort()).toEqual(["200 one", "200 two"]);
  expect([...seen.values()].reduce((sum, each) => sum + each)).toBeGreaterThan(400);
});

test("a certificate is swapped for new connections while an old one goes on", async () => {
  const [one] = await backends("one");
  const [before, after] = [await secured(irTo([one!])), await secured(irTo([one!]))];
  const proxy = await startProxy({ ir: before.ir });
  const request = "GET / HTTP/1.1\r\nHost: a.example\r\n\r\n";
  const serial = (socket: unknown): string => (socket as TLSSocket).getPeerCertificate().serialNumber;
  const old = await proxy.tlsClient();
  old.write(request);
  expect((await old.response()).status).toBe(200);
  expect(serial(old.socket)).toBe(before.serial);
  expect(proxy.proxy.publish(after.ir)).toEqual([]);
  const fresh = await proxy.tlsClient();
  expect(serial(fresh.socket)).toBe(after.serial);
  for (const client of [old, fresh]) {
    client.write(request);
    expect((await client.response()).content.toString()).toBe("one");
  }
});
