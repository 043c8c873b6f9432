import { once } from "node:events";
import http from "node:http";
import net from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { AdminServer, isLocal, type AdminSubject } from "../../src/admin/server.ts";
import type { TableView } from "../../src/admin/table-view.ts";
import type { Diagnostic } from "../../src/ir/diagnostic.ts";

const table: TableView = {
  generation: 3,
  defaultBackend: null,
  problems: ["shop.example Prefix /: canary: the configuration is not valid"],
  hosts: [
    { host: "", isTls: false, certificates: [], routes: [] },
    {
      host: "shop.example",
      isTls: true,
      certificates: ["shop/tls"],
      routes: [
        {
          pathType: "Exact",
          path: "/health",
          ingress: "shop/web",
          upstream: null,
          alternatives: [],
          filters: [],
          denied: "whitelist-source-range is broken",
        },
        {
          pathType: "Prefix",
          path: "/",
          ingress: "shop/web",
          upstream: "shop/web/80",
          alternatives: [
            { upstream: "shop/new/80", ingress: "shop/new", rules: ["header x-canary"], share: 0.1 },
          ],
          filters: ["ssl-redirect"],
          denied: null,
        },
      ],
    },
  ],
  upstreams: [
    {
      id: "shop/web/80",
      dns: null,
      check: null,
      policy: "least_request",
      rotation: { usable: 4, ejected: 2, spared: 1, failedCheck: 1, isPanicking: true },
      endpoints: [{ address: "10.0.0.1:8080", weight: 1, state: "healthy", reason: "", check: null }],
    },
    { id: "shop/new/80", dns: null, check: null, policy: "round_robin", rotation: null, endpoints: [] },
  ],
  certificates: [
    {
      secret: "shop/tls",
      names: ["shop.example"],
      keyType: "ec",
      notAfter: "2027-01-01T00:00:00Z",
      isDefault: false,
    },
  ],
};

const diagnostic: Diagnostic = {
  severity: "error",
  reason: "ServiceNotFound",
  message: "there is no Service shop/gone",
  object: { kind: "Ingress", namespace: "shop", name: "web" },
  field: "spec.rules[0]",
};

const servers: AdminServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

async function start(subject: Partial<AdminSubject> = {}, host = "127.0.0.1"): Promise<number> {
  const server = new AdminServer({
    port: 0,
    host,
    healthCheckPath: "/healthz",
    subject: {
      notReadyReason: () => null,
      metricsText: () => Promise.resolve("up 1\n"),
      metricsContentType: "text/plain; version=0.0.4; charset=utf-8",
      table: () => table,
      diagnostics: () => [diagnostic],
      cluster: () => null,
      ...subject,
    },
  });
  servers.push(server);
  return (await server.listen()).port;
}

interface Answer {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

async function ask(port: number, path: string, options: http.RequestOptions = {}): Promise<Answer> {
  const request = http.request({ host: "127.0.0.1", port, path, agent: false, ...options });
  request.end();
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  let body = "";
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode ?? 0, headers: response.headers, body };
}

describe("health", () => {
  test("/healthz answers ok whether or not requests are served", async () => {
    const port = await start({ notReadyReason: () => "shutting down" });
    expect(await ask(port, "/healthz")).toMatchObject({ status: 200, body: "ok\n" });
  });

  test("/readyz answers 503 with the reason until requests are served", async () => {
    let reason: string | null = "no table yet";
    const port = await start({ notReadyReason: () => reason });
    expect(await ask(port, "/readyz")).toMatchObject({ status: 503, body: "not ready: no table yet\n" });
    reason = null;
    expect(await ask(port, "/readyz")).toMatchObject({ status: 200, body: "ok\n" });
  });
});

test("/metrics answers what Prometheus reads", async () => {
  const answer = await ask(await start(), "/metrics");
  expect(answer).toMatchObject({ status: 200, body: "up 1\n" });
  expect(answer.headers["content-type"]).toBe("text/plain; version=0.0.4; charset=utf-8");
});

describe("/debug/table", () => {
  test("answers readable text", async () => {
    const { status, body } = await ask(await start(), "/debug/table");
    expect(status).toBe(200);
    expect(body).toBe(
      [
        "table 3: 2 hosts, 2 routes, 2 upstreams, 1 certificate",
        "default backend: built-in 404",
        "",
        "problems",
        "  shop.example Prefix /: canary: the configuration is not valid",
        "",
        "(every other host)",
        "",
        "shop.example  TLS: Secret shop/tls",
        "  Exact   /health  -> 503: whitelist-source-range is broken  Ingress shop/web",
        "  Prefix  /        -> shop/web/80                            Ingress shop/web  " +
          "canary shop/new/80 (Ingress shop/new): header x-canary, 10 % of the rest; filters: ssl-redirect",
        "",
        "upstreams",
        "  shop/web/80  policy: least_request  usable: 4, ejected: 2, ejected but used: 1, failed check: 1, PANIC: all are tried",
        "    10.0.0.1:8080  healthy",
        "  shop/new/80  no endpoints: answers 503",
        "",
        "certificates",
        "  Secret shop/tls  ec  until 2027-01-01T00:00:00Z  shop.example",
        "",
      ].join("\n"),
    );
  });

  test.each([
    ["/debug/table?format=json", {}],
    ["/debug/table", { accept: "text/html, application/json" }],
  ])("answers JSON to %s with %j", async (path, headers) => {
    const answer = await ask(await start(), path, { headers });
    expect(answer.headers["content-type"]).toBe("application/json; charset=utf-8");
    expect(JSON.parse(answer.body)).toEqual(table);
  });

  test("answers 503 before the first table", async () => {
    expect((await ask(await start({ table: () => null }), "/debug/table")).status).toBe(503);
  });

  test("answers 500 when the table cannot be shown, and the server lives on", async () => {
    const port = await start({
      table: () => {
        throw new Error("broken view");
      },
    });
    expect(await ask(port, "/debug/table")).toMatchObject({
      status: 500,
      body: "internal error: broken view\n",
    });
    expect((await ask(port, "/healthz")).status).toBe(200);
  });
});

test("/debug/diagnostics answers one line each, or JSON", async () => {
  const port = await start();
  expect((await ask(port, "/debug/diagnostics")).body).toBe(
    "error: Ingress shop/web, spec.rules[0]: ServiceNotFound: there is no Service shop/gone\n",
  );
  expect(JSON.parse((await ask(port, "/debug/diagnostics?format=json")).body)).toEqual([diagnostic]);
});

describe("the debug pages answer 403", () => {
  test.each([
    ["127.0.0.1", "localhost:10254", true],
    ["127.9.9.9", "127.0.0.1", true],
    ["::1", "[::1]:10254", true],
    ["::ffff:127.0.0.1", "localhost", true],
    ["10.0.0.9", "localhost:10254", false],
    ["::ffff:10.0.0.9", "127.0.0.1:10254", false],
    ["fd00::9", "[fd00::1]:10254", false],
    ["128.0.0.1", "localhost", false],
    ["", "localhost", false],
    ["127.0.0.1", "attacker.example", false],
  ])("to a peer %j that asks for %j: local is %s", (peer, host, expected) => {
    expect(isLocal(peer, host)).toBe(expected);
  });

  test.each([
    ["attacker.example", 403],
    ["attacker.example:10254", 403],
    ["localhost:10254", 200],
    ["127.0.0.1", 200],
    ["[::1]:10254", 200],
  ])("to a page of another name: Host %s gets %i", async (host, status) => {
    expect((await ask(await start(), "/debug/table", { headers: { host } })).status).toBe(status);
  });
});

test("HEAD answers without content, other methods 405, other paths 404", async () => {
  const port = await start();
  const head = await ask(port, "/healthz", { method: "HEAD" });
  expect(head).toMatchObject({ status: 200, body: "" });
  expect(head.headers["content-length"]).toBe("3");
  const post = await ask(port, "/metrics", { method: "POST" });
  expect(post.status).toBe(405);
  expect(post.headers.allow).toBe("GET, HEAD");
  expect((await ask(port, "/debug/unknown")).status).toBe(404);
  expect((await ask(port, "/")).body).toContain("/debug/table");
});

test("a head that is too long is refused, and close ends open connections", async () => {
  const port = await start();
  expect((await ask(port, "/healthz", { headers: { long: "x".repeat(10_000) } })).status).toBe(431);
  const idle = net.connect(port, "127.0.0.1");
  idle.on("error", () => undefined);
  await once(idle, "connect");
  const closed = once(idle, "close");
  await servers[0]!.close();
  await closed;
});

test("a port that is taken rejects", async () => {
  const port = await start();
  const second = new AdminServer({
    port,
    host: "127.0.0.1",
    healthCheckPath: "/healthz",
    subject: {} as AdminSubject,
  });
  await expect(second.listen()).rejects.toMatchObject({ code: "EADDRINUSE" });
});

test("whoever holds connections loses the oldest; probes are answered all the while", async () => {
  const port = await start();
  const sockets: net.Socket[] = [];
  for (let i = 0; i < 300; i += 1) {
    const socket = net.connect({ port, host: "127.0.0.1" });
    socket.on("error", () => undefined);
    sockets.push(socket);
    await once(socket, "connect");
  }
  expect((await ask(port, "/healthz")).status).toBe(200);
  for (const socket of sockets) socket.destroy();
});
