// Real worker threads on loopback ports, and clients that know which worker serves them.
import { EventEmitter, once } from "node:events";
import net from "node:net";
import { onTestFinished } from "vitest";
import { makeCertificate } from "../../../certs/make.ts";
import type { FeatureIr, RouteIr, RoutingIr } from "../../../src/ir/routing.ts";
import { TableParts } from "../../../src/ir/table-parts.ts";
import { ProxyMetrics } from "../../../src/metrics/proxy-metrics.ts";
import { RequestMetrics } from "../../../src/metrics/request-metrics.ts";
import { WorkerMetrics } from "../../../src/metrics/worker-metrics.ts";
import { defaultLimits } from "../../../src/proxy/limits.ts";
import { WorkerPool, type WorkerPoolOptions } from "../../../src/proxy/worker/worker-pool.ts";
import { defaultHeartbeat } from "../../../src/proxy/worker/worker-thread.ts";
import { systemClock } from "../../../src/util/clock.ts";
import { irTo, type Backend } from "../harness.ts";
import { Peer, type Message } from "../peer.ts";

export const testEntry = new URL("./test-worker.ts", import.meta.url);

export class PoolHarness {
  readonly metrics = new WorkerMetrics();
  readonly applied: number[] = [];
  readonly lost: string[] = [];
  readonly bugs: string[] = [];
  readonly overloads: string[] = [];
  readonly pool: WorkerPool;
  httpPort = 0;
  httpsPort = 0;
  readonly #events = new EventEmitter();
  readonly #clients: Peer[] = [];
  readonly #published = new TableParts();

  constructor(options: WorkerPoolOptions | Omit<WorkerPoolOptions, "metrics" | "events">) {
    this.pool = new WorkerPool({
      ...options,
      metrics: this.metrics,
      events: {
        onApplied: (generation) => {
          this.applied.push(generation);
          this.#events.emit("applied");
        },
        onNotApplied: (message) => this.bugs.push(message),
        onBug: (message) => this.bugs.push(message),
        onWorkerLost: (message) => {
          this.lost.push(message);
          this.#events.emit("lost", message);
        },
        onWorkerBack: () => this.#events.emit("back"),
        onOverload: (message) => {
          this.overloads.push(message);
          this.#events.emit("overload");
        },
      },
    });
  }

  async event(name: "lost" | "back" | "overload"): Promise<void> {
    await once(this.#events, name);
  }

  async client(): Promise<Peer> {
    const socket = net.connect({ port: this.httpPort, host: "127.0.0.1", noDelay: true });
    const peer = new Peer(socket, `client ${this.#clients.length + 1}`);
    this.#clients.push(peer);
    await once(socket, "connect");
    return peer;
  }

  /** Idle connections, at least one for each worker, by the number of the worker. */
  async clientOfEach(workers: number): Promise<Peer[]> {
    const clients: Peer[] = [];
    while (Object.keys(clients).length < workers) {
      const client = await this.client();
      const worker = workerOf(await ask(client));
      if (clients[worker] === undefined) clients[worker] = client;
      else client.destroy();
    }
    return clients;
  }

  /** One request on a connection of its own. */
  async roundTrip(path = "/"): Promise<Message> {
    const client = await this.client();
    const response = await ask(client, path);
    client.destroy();
    return response;
  }

  /** What all workers have counted. */
  async counted(): Promise<{ proxy: ProxyMetrics; requests: number }> {
    const proxy = new ProxyMetrics();
    const all = new RequestMetrics();
    for (const counts of await this.pool.counts()) {
      proxy.add(counts.proxy);
      all.add(counts.routes);
    }
    const samples = all.samplers.requests?.() ?? [];
    return { proxy, requests: samples.reduce((sum, { value }) => sum + value, 0) };
  }

  publish(ir: RoutingIr): void {
    const delta = this.#published.differenceTo(ir);
    this.#published.apply(delta);
    this.pool.publishTable(delta);
  }

  async close(): Promise<void> {
    await this.pool.close();
    for (const client of this.#clients) client.destroy();
  }
}

export async function startPool(
  backends: readonly Backend[],
  options: Partial<WorkerPoolOptions> = {},
): Promise<PoolHarness> {
  const harness = new PoolHarness(await poolOptions(options));
  onTestFinished(() => harness.close());
  const { http, https } = await harness.pool.start();
  harness.httpPort = http;
  harness.httpsPort = https;
  harness.publish(poolIr(backends));
  await harness.pool.settled();
  return harness;
}

export async function poolOptions(
  options: Partial<WorkerPoolOptions> = {},
): Promise<Omit<WorkerPoolOptions, "metrics" | "events">> {
  return {
    workers: 2,
    entry: testEntry,
    ports: { http: 0, https: 0 },
    addresses: ["127.0.0.1"],
    limits: defaultLimits,
    allowsLoopback: true,
    selfSigned: await makeCertificate({ names: ["fallback.example"] }),
    clock: systemClock,
    heartbeat: defaultHeartbeat,
    ...options,
  };
}

/** `/` goes to the backends; `/spin` and `/crash` break the worker that gets them, `/busy` keeps it busy for a while. */
export function poolIr(endpoints: readonly (number | { readonly port: number })[]): RoutingIr {
  const ir = irTo(endpoints);
  const [host] = ir.virtualHosts;
  // Features of the test worker only.
  const root: RouteIr = { ...host!.routes[0]!, features: [{ feature: "name", config: null }] };
  const breaking = (feature: string): RouteIr => {
    const features: FeatureIr[] = [{ feature, config: null }];
    return { ...root, path: `/${feature}`, features };
  };
  return {
    ...ir,
    virtualHosts: [{ ...host!, routes: [breaking("busy"), breaking("crash"), breaking("spin"), root] }],
  };
}

export function get(path = "/"): string {
  return `GET ${path} HTTP/1.1\r\nHost: a.example\r\n\r\n`;
}

export async function ask(client: Peer, path = "/"): Promise<Message> {
  client.write(get(path));
  return client.response("GET");
}

export function workerOf(response: Message): number {
  return Number(response.field("x-worker"));
}
