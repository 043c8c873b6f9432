// A real proxy on loopback ports between raw clients and raw backends. After each test everything is closed, and the
// test fails when something is left over: a counter that did not come back to zero, a connection that ended without
// the test knowing, an assertion that failed inside the proxy.
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import tls from "node:tls";
import { expect, onTestFinished } from "vitest";
import { makeCertificate, type CertificatePair } from "../../certs/make.ts";
import type { FeatureIr, RouteIr, RoutingIr } from "../../src/ir/routing.ts";
import { ProxyMetrics } from "../../src/metrics/proxy-metrics.ts";
import { RequestMetrics } from "../../src/metrics/request-metrics.ts";
import {
  Verdict,
  type FeatureRuntime,
  type FeatureRuntimes,
  type ResponseField,
  type RouteSettings,
} from "../../src/proxy/filter.ts";
import { defaultLimits, type ProxyLimits } from "../../src/proxy/limits.ts";
import type { SharedState } from "../../src/proxy/across-workers/shared-state.ts";
import { Proxy } from "../../src/proxy/proxy.ts";
import { TlsContexts } from "../../src/proxy/tls-contexts.ts";
import type { EndpointHealth } from "../../src/proxy/upstream/health.ts";
import type { Lookup } from "../../src/proxy/upstream/resolver.ts";
import { ManualClock, type Clock } from "../../src/util/clock.ts";
import { Peer, type Message } from "./peer.ts";
import { TlsPeer } from "./tls-peer.ts";

export interface HarnessOptions {
  /** Null: nothing is published. Default: every request goes to `backends`. */
  readonly ir?: RoutingIr | null;
  /** Endpoints of the default IR. */
  readonly backends?: readonly Backend[];
  readonly settings?: Partial<RouteSettings>;
  readonly limits?: Partial<ProxyLimits>;
  /** Default: features of tests, below. */
  readonly runtimes?: FeatureRuntimes;
  /** Default: a clock that stands still. */
  readonly clock?: Clock;
  readonly lookup?: Lookup;
  readonly allowsLoopback?: boolean;
  /** Default: 127.0.0.1. */
  readonly addresses?: readonly string[];
  readonly requestMetrics?: RequestMetrics;
  /** The test provokes failures inside the proxy. */
  readonly expectsBugs?: boolean;
  /** Default: the proxy is alone. */
  readonly shared?: SharedState;
}

let selfSigned: Promise<CertificatePair> | null = null;

/** Features of tests: settings of the core, and fields of every response. */
const runtimes: ReadonlyMap<string, FeatureRuntime<unknown>> = new Map<string, FeatureRuntime<unknown>>([
  ["settings", { apply: (settings, config) => void Object.assign(settings, config) }],
  ["upstream-settings", { applyUpstream: (settings, config) => void Object.assign(settings, config) }],
  [
    "by-header",
    {
      createSelector: () => ({
        rules: [
          {
            description: "header x-canary",
            judge: (request) => (request.field("x-canary") === "always" ? Verdict.Take : Verdict.Next),
          },
        ],
        share: 0,
      }),
    },
  ],
  [
    "throws",
    {
      createFilter: () => ({
        answer: () => {
          throw new Error("a bug of a filter");
        },
      }),
    },
  ],
  ["fields", { createFilter: (config) => ({ responseFields: config as ResponseField[] }) }],
]);

export async function startProxy(options: HarnessOptions = {}): Promise<Harness> {
  selfSigned ??= makeCertificate({ names: ["fallback.example"] });
  const harness = new Harness(options, await selfSigned);
  onTestFinished(() => harness.finish());
  await harness.listen();
  return harness;
}

export class Harness {
  readonly clock: ManualClock;
  readonly metrics = new ProxyMetrics();
  readonly requestMetrics: RequestMetrics;
  readonly proxy: Proxy;
  readonly bugs: unknown[] = [];
  httpPort = 0;
  httpsPort = 0;
  readonly #options: HarnessOptions;
  readonly #clients: Peer[] = [];
  readonly #tls: TlsContexts;
  /** Every endpoint that ever had an attempt, so that one that is gone is counted too. */
  readonly endpoints = new Set<EndpointHealth>();

  constructor(options: HarnessOptions, pair: CertificatePair) {
    this.#options = options;
    const clock = options.clock ?? new ManualClock();
    this.clock = clock instanceof ManualClock ? clock : new ManualClock();
    this.requestMetrics = options.requestMetrics ?? new RequestMetrics();
    this.#tls = new TlsContexts(pair, clock);
    this.proxy = new Proxy({
      httpPort: 0,
      httpsPort: 0,
      addresses: options.addresses ?? ["127.0.0.1"],
      runtimes: options.runtimes ?? runtimes,
      tls: this.#tls,
      limits: { ...defaultLimits, ...options.limits },
      clock,
      random: () => 0,
      allowsLoopback: options.allowsLoopback ?? true,
      ...(options.lookup === undefined ? {} : { lookup: options.lookup }),
      metrics: this.metrics,
      requestMetrics: this.requestMetrics,
      ...(options.shared === undefined ? {} : { shared: options.shared }),
      onBug: (error) => this.bugs.push(error),
    });
    this.#watchEndpoints();
    const ir =
      options.ir === undefined ? irTo(options.backends ?? [], settingsFeature(options.settings)) : options.ir;
    if (ir !== null) expect(this.proxy.publish(ir)).toEqual([]);
  }

  #watchEndpoints(): void {
    const { health } = this.proxy;
    const acquire = health.acquire.bind(health);
    health.acquire = (endpoint, judgement) => {
      const acquired = acquire(endpoint, judgement);
      this.endpoints.add(acquired);
      return acquired;
    };
  }

  async listen(): Promise<void> {
    const { httpPort, httpsPort } = await this.proxy.listen();
    this.httpPort = httpPort;
    this.httpsPort = httpsPort;
  }

  async client(host = "127.0.0.1", localAddress?: string): Promise<Peer> {
    const socket = net.connect({
      port: this.httpPort,
      host,
      ...(localAddress === undefined ? {} : { localAddress }),
      allowHalfOpen: true,
      noDelay: true,
    });
    return this.#opened(socket, "connect");
  }

  async tlsClient(servername = "a.example"): Promise<Peer> {
    const raw = net.connect({ port: this.httpsPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const socket = tls.connect({ socket: raw, servername, rejectUnauthorized: false });
    return this.#opened(socket, "secureConnect");
  }

  /** Dearer than `tlsClient`: it watches the records. */
  async recordClient(options: tls.ConnectionOptions = {}): Promise<TlsPeer> {
    const raw = net.connect({ port: this.httpsPort, host: "127.0.0.1", allowHalfOpen: true, noDelay: true });
    const peer = TlsPeer.over(raw, `client ${this.#clients.length + 1}`, options);
    this.#clients.push(peer);
    await once(peer.socket, "secureConnect");
    return peer;
  }

  /** A connection to the HTTPS port that does not begin a handshake. */
  async rawTlsClient(): Promise<Peer> {
    const socket = net.connect({ port: this.httpsPort, host: "127.0.0.1", allowHalfOpen: true });
    return this.#opened(socket, "connect");
  }

  async #opened(socket: net.Socket, event: string): Promise<Peer> {
    const peer = new Peer(socket, `client ${this.#clients.length + 1}`);
    this.#clients.push(peer);
    await once(socket, event);
    return peer;
  }

  /** One request on a connection of its own. */
  async roundTrip(request: string): Promise<Message> {
    const client = await this.client();
    client.write(request);
    const response = await client.response(request.slice(0, request.indexOf(" ")));
    client.destroy();
    return response;
  }

  /**
   * Returns once the proxy has read whatever clients and backends wrote before: all sockets are of this process, bytes
   * on loopback arrive at once, and a later connection is served after the earlier bytes.
   */
  async settle(): Promise<void> {
    for (let i = 0; i < 2; i += 1) {
      const socket = net.connect({ port: this.httpPort, host: "127.0.0.1" });
      socket.end("\0");
      socket.resume();
      // Refused once the proxy has stopped listening: turns of the event loop are all there is then.
      socket.on("error", () => undefined);
      await new Promise<void>((resolve) => void socket.on("close", () => resolve()));
      for (let turn = 0; turn < 5; turn += 1) await new Promise(setImmediate);
    }
  }

  /** Until so many connections of clients are open, without making one. */
  async settleAccepted(count: number): Promise<void> {
    await this.turnsUntil("they are accepted", () => this.metrics.downstreamActive === count);
  }

  /** As `until`, where a connection of our own would change what is tested. */
  async turnsUntil(what: string, check: () => boolean): Promise<void> {
    for (let turn = 0; turn < 100_000; turn += 1) {
      if (check()) return;
      await new Promise(setImmediate);
    }
    throw new Error(`waited too long until ${what}`);
  }

  /** Settles until `read` gives the same value many times in a row: nothing moves any more. */
  async still(read: () => number): Promise<number> {
    let last = read();
    for (let same = 0; same < 6;) {
      await this.settle();
      const now = read();
      same = now === last ? same + 1 : 0;
      last = now;
    }
    return last;
  }

  /** Waits until `check` holds, giving every socket its turn in between. */
  async until(what: string, check: () => boolean): Promise<void> {
    for (let i = 0; i < 400; i += 1) {
      if (check()) return;
      await this.settle();
    }
    throw new Error(`waited too long until ${what}`);
  }

  get gauges(): Readonly<Record<string, number>> {
    const { http, https, upstreamActive, upstreamIdle } = this.metrics;
    return {
      http: http.active,
      https: https.active,
      upstreamActive,
      upstreamIdle,
      pooled: this.proxy.pools.idleCount,
    };
  }

  async finish(): Promise<void> {
    const dropped = this.#clients.filter((each) => (each.isEnded || each.isClosed) && !each.mayEnd);
    this.proxy.close();
    this.#tls.close();
    for (const client of this.#clients) client.destroy();
    for (const client of this.#clients) await client.closed();
    expect(this.gauges).toEqual({ http: 0, https: 0, upstreamActive: 0, upstreamIdle: 0, pooled: 0 });
    expect(this.proxy.connections).toBe(0);
    expect([...this.endpoints].filter(({ active }) => active !== 0).map(({ key }) => key)).toEqual([]);
    expect(this.proxy.contentBuffers.bytes).toBe(0);
    expect([this.proxy.buffered.bytes, this.metrics.bufferedBytes]).toEqual([0, 0]);
    await this.until("body buffers are back", () => this.proxy.readBuffers.bodyBytes === 0);
    expect([this.proxy.retryBudget.requests, this.proxy.retryBudget.retries]).toEqual([0, 0]);
    expect(dropped.map(({ name, error }) => `${name} was dropped ${error}`)).toEqual([]);
    if (this.#options.expectsBugs !== true) expect(this.bugs).toEqual([]);
  }
}

/** A server whose every byte the test decides on. */
export class Backend {
  readonly connections: Peer[] = [];
  readonly requests: Message[] = [];
  readonly #server: net.Server;
  readonly #waiting: ((peer: Peer) => void)[] = [];
  #taken = 0;
  #serve: ((peer: Peer) => Promise<void>) | null = null;

  constructor(allowsHalfOpen: boolean) {
    this.#server = net.createServer({ allowHalfOpen: allowsHalfOpen, noDelay: true }, (socket) => {
      const peer = new Peer(socket, `backend connection ${this.connections.length + 1}`);
      this.connections.push(peer);
      if (this.#serve !== null) {
        // It ends with the connection, which the test does not wait for.
        void this.#serve(peer).catch(() => undefined);
        return;
      }
      const waiting = this.#waiting.shift();
      if (waiting !== undefined) {
        this.#taken += 1;
        waiting(peer);
      }
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(port = 0): Promise<void> {
    this.#server.listen(port, "127.0.0.1");
    await once(this.#server, "listening");
  }

  /** The next connection that nobody took. */
  async connection(): Promise<Peer> {
    const peer = this.connections[this.#taken];
    if (peer !== undefined) {
      this.#taken += 1;
      return peer;
    }
    return new Promise((resolve) => void this.#waiting.push(resolve));
  }

  /** From now on answers every request of every connection. `null`: leaves it without an answer. */
  answer(make: (request: Message, peer: Peer) => string | Buffer | null): void {
    this.#serve = async (peer) => {
      while (!peer.isEnded) {
        const request = await peer.request();
        this.requests.push(request);
        const text = make(request, peer);
        if (text !== null) peer.write(text);
      }
    };
  }

  async close(): Promise<void> {
    for (const each of this.connections) each.destroy();
    for (const each of this.connections) await each.closed();
    if (!this.#server.listening) return;
    this.#server.close();
    await once(this.#server, "close");
  }

  /** New connections are refused; those that exist go on. */
  stopAccepting(): void {
    this.#server.close();
  }
}

export async function startBackend(options: { readonly allowsHalfOpen?: boolean } = {}): Promise<Backend> {
  const backend = new Backend(options.allowsHalfOpen ?? true);
  await backend.listen();
  onTestFinished(() => backend.close());
  return backend;
}

/** A port on which nobody listens. */
export async function refusingPort(): Promise<number> {
  const server = net.createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, "close");
  return port;
}

export function settingsFeature(settings: Partial<RouteSettings> | undefined): readonly FeatureIr[] {
  return settings === undefined ? [] : [{ feature: "settings", config: settings }];
}

/** So that tests see every piece of content reach the endpoint; request-buffering.test.ts is about the default. */
const streaming = { feature: "settings", config: { contentBufferMaxBytes: 0 } };

/** Everything, or everything of `host`, goes to `ports`, without waiting for content unless `features` say so. */
export function irTo(
  endpoints: readonly (number | { readonly port: number })[],
  features: readonly FeatureIr[] = [],
  host = "",
): RoutingIr {
  const ports = endpoints.map((each) => (typeof each === "number" ? each : each.port));
  const route: RouteIr = {
    path: "/",
    pathType: "Prefix",
    ingress: { kind: "Ingress", namespace: "default", name: "web" },
    isImplicit: false,
    backend: { kind: "upstream", upstream: "default/web/80" },
    alternatives: [],
    features: [streaming, ...features],
    denied: null,
  };
  return {
    virtualHosts: [
      { host: "", isTls: false, certificates: [], routes: host === "" ? [route] : [] },
      ...(host === "" ? [] : [{ host, isTls: false, certificates: [], routes: [route] }]),
    ],
    upstreams: [{ id: "default/web/80", namespace: "default", service: "web", port: "80" }],
    endpoints: [endpointsTo(ports)],
    certificates: [],
    defaultCertificate: null,
    defaultBackend: null,
  };
}

export function endpointsTo(ports: readonly number[]): RoutingIr["endpoints"][number] {
  return {
    upstream: "default/web/80",
    addresses: ports.map((port) => ({ address: "127.0.0.1", port, weight: 1 })),
    dns: null,
  };
}

/** A response with a length. */
export function ok(content = "ok", fields = ""): string {
  return `HTTP/1.1 200 OK\r\n${fields}Content-Length: ${content.length}\r\n\r\n${content}`;
}
