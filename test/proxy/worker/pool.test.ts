import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { describe, expect, onTestFinished, test } from "vitest";
import { defaultLimits } from "../../../src/proxy/limits.ts";
import { WorkerPool } from "../../../src/proxy/worker/worker-pool.ts";
import { endpointsTo, ok, refusingPort, startBackend, type Backend } from "../harness.ts";
import { ask, get, poolIr, poolOptions, PoolHarness, startPool, workerOf } from "./pool-harness.ts";

async function startAnswering(content: string): Promise<Backend> {
  const backend = await startBackend();
  backend.answer(() => ok(content));
  return backend;
}

describe("workers", () => {
  test("share the connections, and what they count adds up", async () => {
    const harness = await startPool([await startAnswering("ok")]);
    const workers = new Set<number>();
    for (let i = 0; i < 60; i += 1) workers.add(workerOf(await harness.roundTrip()));
    expect(workers).toEqual(new Set([0, 1]));
    const { proxy, requests } = await harness.counted();
    expect(requests).toBe(60);
    expect(proxy.http.accepted).toBe(60);
    expect(harness.metrics.running).toBe(2);
  });

  test("have all applied a table before it is acknowledged", async () => {
    const [before, after, last] = [
      await startAnswering("before"),
      await startAnswering("after"),
      await startAnswering("last"),
    ];
    const harness = await startPool([before]);
    const { pool } = harness;
    const clients = await harness.clientOfEach(2);
    const contents = (): Promise<string[]> =>
      Promise.all(clients.map(async (client) => String((await ask(client)).content)));
    expect(await contents()).toEqual(["before", "before"]);
    pool.publishEndpoints([endpointsTo([after.port])]);
    expect(pool.appliedGeneration).toBe(1);
    await pool.settled();
    expect(harness.applied).toEqual([1, 2]);
    expect(await contents()).toEqual(["after", "after"]);
    harness.publish(poolIr([last]));
    await pool.settled();
    expect(await contents()).toEqual(["last", "last"]);
    expect(harness.metrics.generation).toBe(3);
  });

  test("know of each other that an endpoint is ejected", async () => {
    const dead = await refusingPort();
    const good = await startAnswering("ok");
    const harness = await startPool([good]);
    harness.pool.publishEndpoints([endpointsTo([dead, good.port])]);
    await harness.pool.settled();
    const clients = await harness.clientOfEach(2);
    // The failures of one worker, which has most of the requests.
    for (let i = 0; i < 8; i += 1) await ask(clients[0]!);
    const { proxy } = await harness.counted();
    expect(proxy.upstreamConnectFailures).toBeGreaterThanOrEqual(3);
    expect(proxy.ejections.get("failures")).toBeGreaterThanOrEqual(1);
    const report = (await harness.pool.health()).find(({ key }) => key === `127.0.0.1:${dead}`);
    expect(report?.state).not.toBe("healthy");
    expect(report?.reason).toContain("ECONNREFUSED");
  });

  test("count the connections of clients together", async () => {
    const limits = { ...defaultLimits, connectionsMax: 4 };
    const harness = await startPool([await startAnswering("ok")], { limits });
    const clients = [...(await harness.clientOfEach(2)), await harness.client(), await harness.client()];
    for (const client of clients) expect((await ask(client)).status).toBe(200);
    const refused = await harness.client();
    expect((await ask(refused)).status).toBe(503);
    await refused.closed();
    expect((await harness.counted()).proxy.connectionsRefused.get("total")).toBeGreaterThanOrEqual(1);
    expect(harness.pool.connections).toBe(4);
  });

  test("resume each other's TLS sessions", async () => {
    const harness = await startPool([await startAnswering("ok")]);
    const { socket, session } = await connected(harness.httpsPort);
    const ticket = (await session) as [Buffer];
    socket.destroy();
    const workers = new Set<string>();
    for (let i = 0; i < 40; i += 1) {
      const { isReused, worker } = await secured(harness.httpsPort, ticket[0]);
      expect(isReused).toBe(true);
      workers.add(worker);
    }
    expect(workers.size).toBe(2);
  });
});

async function connected(
  port: number,
  session?: Buffer,
): Promise<{ socket: tls.TLSSocket; session: Promise<unknown[]> }> {
  const options = { port, host: "127.0.0.1", servername: "a.example", rejectUnauthorized: false };
  const socket = tls.connect(session === undefined ? options : { ...options, session });
  const ticket = once(socket, "session");
  // Whoever resumes does not wait for a new one.
  ticket.catch(() => undefined);
  await once(socket, "secureConnect");
  return { socket, session: ticket };
}

/** One request over a TLS connection of its own. */
async function secured(port: number, session: Buffer): Promise<{ isReused: boolean; worker: string }> {
  const { socket } = await connected(port, session);
  socket.write(get());
  const [data] = (await once(socket, "data")) as [Buffer];
  const isReused = socket.isSessionReused();
  socket.destroy();
  return { isReused, worker: /x-worker: (\d)/i.exec(data.toString("latin1"))?.[1] ?? "" };
}

describe("a worker", () => {
  test("that dies loses its connections only, and is replaced with the table and the counts it had", async () => {
    const harness = await startPool([await startAnswering("ok")]);
    const [first, second] = await harness.clientOfEach(2);
    await harness.counted();
    const requestsBefore = (await harness.counted()).requests;
    const lost = harness.event("lost");
    const back = harness.event("back");
    first!.write(get("/crash"));
    await lost;
    await first!.closed();
    // The other one goes on, on the same connection, and new ones are served while there is one worker.
    for (let i = 0; i < 20; i += 1) expect(workerOf(await ask(second!))).toBe(1);
    for (let i = 0; i < 20; i += 1) expect((await harness.roundTrip()).status).toBe(200);
    await back;
    expect(harness.lost[0]).toMatch(/^worker 0 died;.*a crash that a test asked for/s);
    expect(harness.metrics.running).toBe(2);
    const again = await harness.clientOfEach(2);
    for (const client of again) expect((await ask(client)).status).toBe(200);
    expect((await harness.counted()).requests).toBeGreaterThan(requestsBefore + 40);
    expect(harness.pool.connections).toBe((await harness.counted()).proxy.http.active);
  });

  test("that dies under load costs the requests on it and no other", async () => {
    const harness = await startPool([await startAnswering("ok")]);
    const clients = await Promise.all(Array.from({ length: 16 }, () => harness.client()));
    const workers = await Promise.all(clients.map(async (client) => workerOf(await ask(client))));
    const isOver = { value: false };
    const firsts = clients.map(() => Promise.withResolvers<void>());
    const load = clients.map(async (client, index) => {
      let answered = 0;
      while (!isOver.value) {
        try {
          expect((await ask(client)).status).toBe(200);
          answered += 1;
          firsts[index]!.resolve();
        } catch {
          return { isLost: true, answered };
        }
      }
      return { isLost: false, answered };
    });
    const killer = (await harness.clientOfEach(2))[1]!;
    const back = harness.event("back");
    await Promise.all(firsts.map((each) => each.promise));
    killer.write(get("/crash"));
    await back;
    isOver.value = true;
    for (const [index, { isLost, answered }] of (await Promise.all(load)).entries()) {
      expect(isLost).toBe(workers[index] === 1);
      expect(answered).toBeGreaterThan(0);
    }
  });

  test("that hangs is ended and replaced, and the other one serves meanwhile", async () => {
    const heartbeat = { intervalMs: 50, missedMax: 20 };
    const harness = await startPool([await startAnswering("ok")], { heartbeat });
    const [first, second] = await harness.clientOfEach(2);
    const lost = harness.event("lost");
    const back = harness.event("back");
    second!.write(get("/spin"));
    expect((await ask(first!)).status).toBe(200);
    await lost;
    expect(harness.lost[0]).toMatch(/^worker 1 no longer answers/);
    expect((await ask(first!)).status).toBe(200);
    await back;
    const again = await harness.clientOfEach(2);
    expect((await ask(again[1]!)).status).toBe(200);
    const restarts = harness.metrics.samplers.workerRestarts?.();
    expect(restarts).toContainEqual({ labels: { reason: "stuck" }, value: 1 });
  });

  test("that starts late gets tables published while it was away before it listens", async () => {
    const [before, after] = [await startAnswering("before"), await startAnswering("after")];
    const harness = await startPool([before]);
    const [first] = await harness.clientOfEach(2);
    const lost = harness.event("lost");
    const back = harness.event("back");
    first!.write(get("/crash"));
    await lost;
    harness.pool.publishEndpoints([endpointsTo([after.port])]);
    await harness.pool.settled();
    await back;
    for (const client of await harness.clientOfEach(2)) {
      expect(String((await ask(client)).content)).toBe("after");
    }
    expect(harness.metrics.generation).toBe(2);
  });
});

describe("a drain", () => {
  test("lets requests of every worker end, and refuses new connections", async () => {
    const backend = await startBackend();
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    backend.answer((request, peer) => {
      if (!request.startLine.includes("slow")) return ok();
      void released.then(() => peer.write(ok("late")));
      return null;
    });
    const harness = await startPool([backend]);
    const clients = await harness.clientOfEach(2);
    const answers = clients.map((client) => ask(client, "/slow"));
    while (backend.requests.filter(({ startLine }) => startLine.includes("slow")).length < 2) {
      await new Promise(setImmediate);
    }
    const drained = harness.pool.drain(10_000);
    await refusal(harness.httpPort);
    // Messages are handled in order: whoever answers knows of the drain.
    await harness.pool.health();
    release();
    for (const answer of answers) {
      const response = await answer;
      expect(String(response.content)).toBe("late");
      expect(response.field("connection")).toBe("close");
    }
    expect(await drained).toBe(0);
    expect(harness.lost).toEqual([]);
  });

  test("cuts at its deadline what has not ended, of every worker", async () => {
    const backend = await startBackend();
    backend.answer((request) => (request.startLine.includes("never") ? null : ok()));
    const harness = await startPool([backend]);
    const clients = await harness.clientOfEach(2);
    for (const client of clients) client.write(get("/never"));
    while (backend.requests.filter(({ startLine }) => startLine.includes("never")).length < 2) {
      await new Promise(setImmediate);
    }
    expect(await harness.pool.drain(50)).toBe(2);
    for (const client of clients) await client.closed();
  });
});

/** Waits until nobody listens any more. */
async function refusal(port: number): Promise<void> {
  for (;;) {
    const socket = net.connect(port, "127.0.0.1");
    try {
      await once(socket, "connect");
    } catch {
      return;
    } finally {
      socket.destroy();
    }
  }
}

describe("a port", () => {
  test.each([true, false])("on which another program listens is an error (shared: %s)", async (reusePort) => {
    const taken = net.createServer().listen({ port: 0, host: "127.0.0.1", reusePort });
    await once(taken, "listening");
    onTestFinished(() => void taken.close());
    const { port } = taken.address() as AddressInfo;
    const harness = new PoolHarness(await poolOptions({ ports: { http: 0, https: port } }));
    await expect(harness.pool.start()).rejects.toThrow(`127.0.0.1 port ${port} is in use`);
    await expect(harness.pool.start()).rejects.toThrow("--https-port");
    await harness.close();
  });

  test("for both listeners is an error", async () => {
    const port = await refusingPort();
    const harness = new PoolHarness(await poolOptions({ ports: { http: port, https: port } }));
    await expect(harness.pool.start()).rejects.toThrow("--https-port");
    await harness.close();
  });

  test.each(["127.0.0.1", "::1"])("of an address, %s, is shared by all workers", async (address) => {
    const harness = await startPool([], { addresses: [address], workers: 3 });
    expect(harness.pool.serving).toBe(3);
    const socket = net.connect(harness.httpPort, address);
    await once(socket, "connect");
    socket.destroy();
  });
});

test("a pool that fails to start leaves no thread", async () => {
  const options = await poolOptions({ entry: new URL("./missing.ts", import.meta.url) });
  const harness = new PoolHarness(options);
  expect(harness.pool).toBeInstanceOf(WorkerPool);
  await expect(harness.pool.start()).rejects.toThrow("missing.ts");
});
