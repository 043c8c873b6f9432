// Probes and workers together: real threads, real backends; only the time of the probes is the test's.
import { describe, expect, test } from "vitest";
import type { RoutingIr } from "../../../src/ir/routing.ts";
import type { HealthCheckSettings } from "../../../src/proxy/filter.ts";
import { endpointsTo, ok, startBackend, type Backend } from "../harness.ts";
import type { Peer } from "../peer.ts";
import { ask, poolIr, startPool, type PoolHarness } from "../worker/pool-harness.ts";
import { checkFeature, ChecksHarness } from "./checks-harness.ts";

/** Answers requests with its name, and probes with the status that is set. */
class CheckedBackend {
  readonly name: string;
  readonly backend: Backend;
  status = 200;
  probes = 0;

  constructor(name: string, backend: Backend) {
    this.name = name;
    this.backend = backend;
    backend.answer((request) => {
      if (!request.startLine.startsWith("GET /healthz ")) return ok(name);
      this.probes += 1;
      return `HTTP/1.1 ${this.status} X\r\nContent-Length: 0\r\n\r\n`;
    });
  }

  get port(): number {
    return this.backend.port;
  }
}

interface Scene {
  readonly workers: PoolHarness;
  readonly probing: ChecksHarness;
  readonly backends: readonly CheckedBackend[];
  readonly ir: RoutingIr;
  readonly publish: (ir: RoutingIr) => Promise<void>;
  /** Who answers, over requests by way of every worker. */
  readonly answering: () => Promise<string[]>;
}

const settings: Partial<HealthCheckSettings> = { healthyThreshold: 1, unhealthyThreshold: 1 };

async function start(): Promise<Scene> {
  const backends = await Promise.all(
    ["a", "b"].map(async (name) => new CheckedBackend(name, await startBackend())),
  );
  const workers = await startPool([]);
  const probing = new ChecksHarness({ directory: workers.pool.endpoints });
  const publish = async (ir: RoutingIr): Promise<void> => {
    workers.publish(ir);
    probing.publishTable(ir);
    await workers.pool.settled();
  };
  const ir = checked(poolIr(backends));
  await publish(ir);
  let clients: readonly Peer[] = [];
  const answering = async (): Promise<string[]> => {
    const seen = new Set<string>();
    if (clients.length === 0 || clients.some(({ isEnded }) => isEnded))
      clients = await workers.clientOfEach(2);
    for (const client of clients) {
      for (let i = 0; i < 4; i += 1) seen.add(String((await ask(client)).content));
    }
    return [...seen].sort();
  };
  return { workers, probing, backends, ir, publish, answering };
}

function checked(ir: RoutingIr): RoutingIr {
  return { ...ir, upstreams: ir.upstreams.map((each) => ({ ...each, features: [checkFeature(settings)] })) };
}

describe("endpoints that are probed", () => {
  test("get no requests by any worker from the failure to the recovery", async () => {
    const { probing, backends, answering } = await start();
    expect(await answering()).toEqual(["a", "b"]);
    await probing.probes(2, 5_000);
    backends[0]!.status = 503;
    expect(await answering()).toEqual(["a", "b"]);
    await probing.probes(2, 10_000);
    expect(await answering()).toEqual(["b"]);
    backends[0]!.status = 200;
    await probing.probes(2, 10_000);
    expect(await answering()).toEqual(["a", "b"]);
  });

  test("are probed once, not once for each worker or request, and not by way of the data path", async () => {
    const { probing, backends, answering } = await start();
    for (let i = 0; i < 3; i += 1) {
      await answering();
      await probing.probes(2, i === 0 ? 5_000 : 10_000);
    }
    expect(backends.map(({ probes }) => probes)).toEqual([3, 3]);
  });

  test("keep their state when a table is swapped, and when a worker comes later", async () => {
    const { workers, probing, backends, ir, publish, answering } = await start();
    backends[0]!.status = 500;
    await probing.probes(2, 5_000);
    await publish({ ...ir, virtualHosts: ir.virtualHosts.map((host) => ({ ...host, isTls: true })) });
    expect(await answering()).toEqual(["b"]);
    const client = await workers.client();
    const back = workers.event("back");
    client.write("GET /crash HTTP/1.1\r\nHost: a.example\r\n\r\n");
    await client.closed();
    await back;
    expect(await answering()).toEqual(["b"]);
  });

  test("are all asked when every one of them fails: none would be worse", async () => {
    const { probing, backends, answering } = await start();
    for (const backend of backends) backend.status = 404;
    await probing.probes(2, 5_000);
    expect(probing.changes).toHaveLength(2);
    expect(await answering()).toEqual(["a", "b"]);
  });

  test("are no longer probed when they are gone, nor when the check is, which forgives them", async () => {
    const { workers, probing, backends, ir, publish, answering } = await start();
    backends[0]!.status = 503;
    await probing.probes(2, 5_000);
    const publishEndpoints = (endpoints: RoutingIr["endpoints"]): void => {
      workers.pool.publishEndpoints(endpoints);
      probing.checks.publishEndpoints(endpoints);
    };
    publishEndpoints([endpointsTo([backends[0]!.port])]);
    await probing.probes(1, 10_000);
    expect(backends.map(({ probes }) => probes)).toEqual([2, 1]);
    publishEndpoints(ir.endpoints);
    await publish({ ...ir, upstreams: poolIr([]).upstreams });
    probing.clock.advanceMs(60_000);
    expect(await answering()).toEqual(["a", "b"]);
    expect(backends.map(({ probes }) => probes)).toEqual([2, 1]);
  });

  test("fail for the upstreams that ask, not for others that share them", async () => {
    const { probing, backends, ir, publish, answering } = await start();
    const [upstream] = ir.upstreams;
    const [endpoints] = ir.endpoints;
    // "default/other/80" asks for a check that "default/web/80", which has the route, does not have.
    await publish({
      ...ir,
      upstreams: [{ ...upstream!, id: "default/other/80" }, ...poolIr([]).upstreams],
      endpoints: [{ ...endpoints!, upstream: "default/other/80" }, endpoints!],
    });
    backends[0]!.status = 503;
    await probing.probes(2, 5_000);
    expect(probing.changes).toMatchObject([{ upstreams: ["default/other/80"], isUsed: false }]);
    expect(await answering()).toEqual(["a", "b"]);
  });
});
