import { EventEmitter, once } from "node:events";
import http from "node:http";
import net from "node:net";
import path from "node:path";
import tls from "node:tls";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { makeCertificate } from "../../certs/make.ts";
import { fromFiles } from "../../src/cli/from-files.ts";
import { defaultValues, translateFlags } from "../../src/cli/flags.ts";
import { Log } from "../../src/cli/log.ts";
import { serve, type Controller, type ServeOptions } from "../../src/cli/serve.ts";
import { DemoCopy } from "./demo-copy.ts";

let copy: DemoCopy;
const cleanUps: (() => Promise<void> | void)[] = [];

beforeEach(async () => {
  copy = await DemoCopy.create();
  cleanUps.push(() => copy.close());
});

afterEach(async () => {
  for (const cleanUp of cleanUps.splice(0).reverse()) await cleanUp();
});

/** Log lines, and a wait for one that has not come yet. */
class Lines {
  readonly #lines: string[] = [];
  readonly #events = new EventEmitter();
  readonly log = new Log({
    level: "info",
    format: "text",
    now: () => new Date(),
    write: (line) => {
      this.#lines.push(line);
      this.#events.emit("line");
    },
  });

  async next(pattern: RegExp): Promise<string> {
    for (;;) {
      const index = this.#lines.findIndex((line) => pattern.test(line));
      if (index >= 0) return this.#lines.splice(0, index + 1).at(-1)!;
      await once(this.#events, "line");
    }
  }
}

function options(log: Log, changes: Partial<ServeOptions> = {}): ServeOptions {
  return {
    manifests: [copy.directory],
    httpPort: 0,
    httpsPort: 0,
    bindAddress: ["127.0.0.1"],
    healthzPort: 0,
    healthzHost: "127.0.0.1",
    healthCheckPath: "/healthz",
    workers: 1,
    translate: fromFiles({ ...defaultValues(translateFlags), allowLoopbackUpstreams: true }),
    log,
    ...changes,
  };
}

async function start(lines = new Lines(), changes: Partial<ServeOptions> = {}): Promise<Controller> {
  const controller = await serve(options(lines.log, changes));
  cleanUps.push(() => controller.close());
  return controller;
}

interface Answer {
  readonly status: number;
  readonly body: string;
}

async function get(port: number, host: string, target: string, headers = {}): Promise<Answer> {
  const request = http.get({
    port,
    host: "127.0.0.1",
    path: target,
    agent: false,
    headers: { host, ...headers },
  });
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, body };
}

async function backendOf(port: number, host: string, target: string, headers = {}): Promise<string> {
  const { status, body } = await get(port, host, target, headers);
  expect(status).toBe(200);
  return (JSON.parse(body) as { backend: string }).backend;
}

async function leafOf(port: number, servername: string): Promise<tls.PeerCertificate> {
  const socket = tls.connect({ port, host: "127.0.0.1", servername, rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const certificate = socket.getPeerCertificate();
  socket.destroy();
  return certificate;
}

describe("a directory of manifests", () => {
  test("is served, with TLS, and shown on the admin port", async () => {
    const { ports } = await start();
    expect(await backendOf(ports.http, "plain.localhost", "/api/orders")).toBe("api");
    expect(await backendOf(ports.http, "x.apps.localhost", "/")).toBe("apps");
    expect((await get(ports.http, "shop.localhost", "/")).status).toBe(308);
    expect((await get(ports.http, "unknown.localhost", "/")).status).toBe(404);
    expect((await leafOf(ports.https, "shop.localhost")).subject.CN).toBe("shop.localhost");
    expect((await leafOf(ports.https, "other.localhost")).subject.CN).toBe(
      "Kubernetes Ingress Controller Fake Certificate",
    );
    expect((await get(ports.admin, "127.0.0.1", "/readyz")).status).toBe(200);
    const metrics = (await get(ports.admin, "127.0.0.1", "/metrics")).body;
    expect(metrics).toMatch(/^fairway_requests_total\{.*service="api".*status="200"\} 1$/m);
    expect(metrics).toMatch(/^fairway_table_generation 1$/m);
    expect(metrics).toMatch(/^process_cpu_seconds_total /m);
    const table = (await get(ports.admin, "127.0.0.1", "/debug/table")).body;
    expect(table).toContain("shop.localhost  TLS: Secret demo/shop-tls");
    expect(table).toMatch(/Prefix {2}\/api .*-> demo\/api\/80/);
    expect(table).not.toContain("PRIVATE KEY");
    const json = (await get(ports.admin, "127.0.0.1", "/debug/table?format=json")).body;
    expect(json).not.toContain("PRIVATE KEY");
    expect((await get(ports.admin, "127.0.0.1", "/debug/diagnostics")).body).toBe("no diagnostics\n");
  });

  test("takes an edit of a path, of endpoints and of a certificate", async () => {
    const lines = new Lines();
    const { ports } = await start(lines);
    await lines.next(/table 1 is in use/);
    copy.edit("ingresses.yaml", (text) => text.replace("path: /api/health", "path: /api/status"));
    await lines.next(/table 2 is in use after [\d.]+ ms/);
    expect(await backendOf(ports.http, "plain.localhost", "/api/health")).toBe("api");
    expect(await backendOf(ports.http, "plain.localhost", "/api/status")).toMatch(/^web-/);

    const moved = await copy.startBackend("moved");
    copy.edit("services.yaml", (text) => text.replace(/(name: apps-1[^]*port: )\d+/, `$1${moved.port}`));
    await lines.next(/table 3 is in use/);
    expect(await backendOf(ports.http, "x.apps.localhost", "/")).toBe("moved");

    const { chain, key } = await makeCertificate({ names: ["shop.localhost"] });
    const base64 = (pem: string): string => Buffer.from(pem).toString("base64");
    const before = (await leafOf(ports.https, "shop.localhost")).fingerprint256;
    copy.edit("tls.yaml", (text) =>
      text
        .replace(/tls\.crt: .*/, `tls.crt: ${base64(chain)}`)
        .replace(/tls\.key: .*/, `tls.key: ${base64(key)}`),
    );
    await lines.next(/table 4 is in use/);
    expect((await leafOf(ports.https, "shop.localhost")).fingerprint256).not.toBe(before);
  });

  test("tells of each object that is taken away", async () => {
    const lines = new Lines();
    await start(lines);
    copy.edit("ingresses.yaml", (text) => text.slice(text.indexOf("---\n")));
    expect(await lines.next(/was removed/)).toMatch(
      / info: Ingress demo\/shop was removed \(ingresses\.yaml\)\n?$/,
    );
  });

  test("reports what becomes wrong once, and when it is mended", async () => {
    const lines = new Lines();
    const { ports } = await start(lines);
    copy.edit("ingresses.yaml", (text) => text.replace('canary-weight: "10"', 'canary-weight: "1O"'));
    expect(await lines.next(/canary-weight/)).toMatch(/ error: Ingress demo\/shop-canary, .*"1O"/);
    expect((await get(ports.admin, "127.0.0.1", "/debug/diagnostics")).body).toContain('"1O"');
    expect((await get(ports.admin, "127.0.0.1", "/metrics")).body).toMatch(
      /^fairway_diagnostics\{severity="error"\} 1$/m,
    );
    copy.edit("ingresses.yaml", (text) => text.replace('canary-weight: "1O"', 'canary-weight: "10"'));
    expect(await lines.next(/no longer/)).toContain("canary-weight");
  });
});

describe("overload", () => {
  test("refuses new connections, is told once, and leaves the admin port ready and alive", async () => {
    const lines = new Lines();
    // More than this share is always used.
    const limits = { overloadMemoryShare: 0.000_001, overloadConnectionsMin: 0 };
    const { ports } = await start(lines, { workers: 2, limits });
    expect(await lines.next(/overload/)).toContain("memory is used; new connections are refused");
    expect((await get(ports.http, "plain.localhost", "/")).status).toBe(503);
    expect((await get(ports.admin, "127.0.0.1", "/readyz")).status).toBe(200);
    const metrics = (await get(ports.admin, "127.0.0.1", "/metrics")).body;
    expect(metrics).toMatch(/^fairway_overloaded\{reason="memory"\} 1$/m);
    expect(metrics).toMatch(/^fairway_downstream_connections_refused_total\{reason="(memory|heap)"\} 1$/m);
  });
});

describe("a health check", () => {
  const check = (status: string): string =>
    ["path: /healthz", 'interval: "1"', 'unhealthy-threshold: "1"', `expected-status: "${status}"`]
      .map((each) => `    fairway.dev/health-check-${each}\n`)
      .join("");

  test("that fails is told, shown and counted", async () => {
    const lines = new Lines();
    const { ports } = await start(lines);
    await lines.next(/table 1 is in use/);
    // The demo's backends answer 200 to everything.
    copy.edit("ingresses.yaml", (text) =>
      text.replace("  name: shop\n", `  name: shop\n  annotations:\n${check("204")}`),
    );
    expect(await lines.next(/\/api\/.*no longer used/)).toMatch(
      / warning: endpoint 127\.0\.0\.1:\d+ of demo\/api\/80 is no longer used: check: GET \/healthz answered 200, expected 204, once\n?$/,
    );
    const table = (await get(ports.admin, "127.0.0.1", "/debug/table")).body;
    expect(table).toContain(
      "demo/api/80  check: GET /healthz every 1 s  usable: 0, failed check: 1, PANIC: all are tried\n",
    );
    expect(table).toMatch(
      / failed check +failing for \d s, probed \d s ago +check: GET \/healthz answered 200, expected 204\n/,
    );
    const metrics = (await get(ports.admin, "127.0.0.1", "/metrics")).body;
    expect(metrics).toMatch(
      /^fairway_upstream_endpoints_failing_check\{namespace="demo",service="api",port="80"\} 1$/m,
    );
    expect(metrics).toMatch(/^fairway_health_check_probes_total\{type="http",result="failed"\} \d+$/m);
    // All of them fail, so all of them are asked.
    expect(await backendOf(ports.http, "plain.localhost", "/api/orders")).toBe("api");
  });
});

describe("several workers", () => {
  test("serve one table, are counted as one, and are shown as one", async () => {
    const lines = new Lines();
    const { ports } = await start(lines, { workers: 2 });
    for (let i = 0; i < 20; i += 1) {
      expect(await backendOf(ports.http, "plain.localhost", "/api/orders")).toBe("api");
    }
    const metrics = async (): Promise<string> => (await get(ports.admin, "127.0.0.1", "/metrics")).body;
    expect(await metrics()).toMatch(/^fairway_requests_total\{.*service="api".*status="200"\} 20$/m);
    expect(await metrics()).toMatch(/^fairway_requests_total\{.*service="api".*status="200"\} 20$/m);
    expect(await metrics()).toMatch(/^fairway_workers 2$/m);
    expect(await metrics()).toMatch(/^fairway_worker_restarts_total\{reason="crash"\} 0$/m);
    expect(await metrics()).toMatch(/^fairway_downstream_connections_accepted_total\{listener="http"\} 20$/m);
    const table = (await get(ports.admin, "127.0.0.1", "/debug/table")).body;
    expect(table).toMatch(/^table 1: /);
    expect(table).toContain("healthy");
    copy.edit("ingresses.yaml", (text) => text.replace("path: /api/health", "path: /api/status"));
    await lines.next(/table 2 is in use/);
    for (let i = 0; i < 20; i += 1) {
      expect(await backendOf(ports.http, "plain.localhost", "/api/health")).toBe("api");
    }
    expect(await metrics()).toMatch(/^fairway_workers_table_generation 2$/m);
  });

  test("let running requests end at a shutdown", async () => {
    const controller = await start(new Lines(), { workers: 2 });
    const { http: port } = controller.ports;
    const clients = Array.from({ length: 8 }, () => net.connect(port, "127.0.0.1").setEncoding("latin1"));
    for (const client of clients) {
      client.write(
        "POST / HTTP/1.1\r\nHost: x.apps.localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
      );
      await once(client, "data");
    }
    const ended = controller.shutDown(0, 10_000);
    for (const client of clients) {
      client.write("ok");
      const [answer] = (await once(client, "data")) as [string];
      expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    }
    expect(await ended).toBe(0);
    expect(await connects(port)).toBe(false);
  });
});

describe("a start that fails", () => {
  test("because the directory is not there names it, and leaves no port open", async () => {
    const missing = path.join(copy.directory, "missing");
    const httpPort = await freePort();
    const failing = serve(options(new Lines().log, { manifests: [missing], httpPort }));
    await expect(failing).rejects.toThrow(missing);
    await expect(connects(httpPort)).resolves.toBe(false);
  });

  test.each(["httpPort", "httpsPort", "healthzPort"] as const)(
    "because a port is taken names port and flag: %s",
    async (key) => {
      const other = net.createServer().listen(0, "127.0.0.1");
      await once(other, "listening");
      cleanUps.push(() => void other.close());
      const { port } = other.address() as net.AddressInfo;
      const flag = { httpPort: "--http-port", httpsPort: "--https-port", healthzPort: "--healthz-port" }[key];
      const failing = serve(options(new Lines().log, { [key]: port }));
      await expect(failing).rejects.toMatchObject({ name: "StartError" });
      await expect(failing).rejects.toThrow(String(port));
      await expect(failing).rejects.toThrow(flag);
      await expect(failing).rejects.toThrow("in use");
    },
  );
});

describe("a shutdown", () => {
  test("lets a running request end, fails readiness, and takes no new connection", async () => {
    const controller = await start();
    const { ports } = controller;
    const client = net.connect(ports.http, "127.0.0.1");
    client.setEncoding("latin1");
    await once(client, "connect");
    // The content is missing, so the request runs until it comes.
    client.write(
      "POST / HTTP/1.1\r\nHost: x.apps.localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    const [interim] = (await once(client, "data")) as [string];
    expect(interim).toMatch(/^HTTP\/1\.1 100 /);
    const ended = controller.shutDown(0, 10_000);
    expect((await get(ports.admin, "127.0.0.1", "/readyz")).body).toBe("not ready: shutting down\n");
    expect((await get(ports.admin, "127.0.0.1", "/healthz")).status).toBe(200);
    // The workers stop listening as soon as they are told.
    while (await connects(ports.http));
    let answer = "";
    client.on("data", (text: string) => {
      answer += text;
    });
    client.write("ok");
    await once(client, "close");
    expect(answer).toMatch(/^HTTP\/1\.1 200 OK\r\n/);
    expect(answer.toLowerCase()).toContain("\r\nconnection: close\r\n");
    expect(await ended).toBe(0);
    expect(await connects(ports.admin)).toBe(false);
  });

  test("cuts and counts what has not ended at the deadline", async () => {
    const controller = await start();
    const client = net.connect(controller.ports.http, "127.0.0.1");
    client.on("error", () => undefined);
    client.write(
      "POST / HTTP/1.1\r\nHost: x.apps.localhost\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n",
    );
    await once(client, "data");
    expect(await controller.shutDown(0, 1)).toBe(1);
    client.destroy();
  });

  test("serves new connections during its grace period, each for one request", async () => {
    const controller = await start();
    const { http: port } = controller.ports;
    const ended = controller.shutDown(200, 1000);
    const request = http.get({ port, host: "127.0.0.1", headers: { host: "x.apps.localhost" } });
    const [response] = (await once(request, "response")) as [http.IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
    expect(response.headers.connection).toBe("close");
    expect(await ended).toBe(0);
  });
});

async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as net.AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

async function connects(port: number): Promise<boolean> {
  const socket = net.connect(port, "127.0.0.1");
  try {
    await once(socket, "connect");
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}
