// The proxy as a whole: listeners in front, endpoints behind, and the one reference to the table between them.
import type { ConnectionsIr, EndpointsIr, RoutingIr } from "../ir/routing.ts";
import type { TableDelta } from "../ir/table-parts.ts";
import type { ProxyMetrics } from "../metrics/proxy-metrics.ts";
import type { RequestMetrics } from "../metrics/request-metrics.ts";
import { assert } from "../util/assert.ts";
import type { Clock } from "../util/clock.ts";
import { Admission } from "./admission/admission.ts";
import { OverloadWatch } from "./admission/overload-watch.ts";
import { Refusals } from "./admission/refusals.ts";
import type { ProxyCore } from "./core.ts";
import { BufferedBytes } from "./buffered-bytes.ts";
import { ContentBuffers } from "./content-buffer.ts";
import { Deadlines } from "./deadlines.ts";
import type { FeatureRuntimes } from "./filter.ts";
import type { ProxyLimits } from "./limits.ts";
import { Listener } from "./listener.ts";
import { Live } from "./live.ts";
import type { Snapshot } from "./routing/snapshot.ts";
import { listenMessage } from "./listen-message.ts";
import { connectionsForDescriptors, isOwnAddress, openFilesLimit } from "./machine.ts";
import { ReadBuffers } from "./read-buffers.ts";
import { compile, recompile, withEndpoints } from "./routing/table.ts";
import { RetryBudget } from "./retry-budget.ts";
import { SharedState } from "./across-workers/shared-state.ts";
import type { TlsContexts } from "./tls-contexts.ts";
import { HealthRegistry } from "./upstream/health.ts";
import { UpstreamPools } from "./upstream/pool.ts";
import { UpstreamRegistry } from "./upstream/registry.ts";
import type { Lookup } from "./upstream/resolver.ts";

export interface ProxyOptions {
  /** 0: a free one. */
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Addresses to listen on; empty: all. */
  readonly addresses: readonly string[];
  readonly runtimes: FeatureRuntimes;
  readonly tls: TlsContexts;
  readonly limits: ProxyLimits;
  /** With what a table says of connections. Default: put in place of the ones above. */
  readonly limitsWith?: (connections: ConnectionsIr) => ProxyLimits;
  readonly clock: Clock;
  readonly random: () => number;
  /** ExternalName Services may lead to loopback addresses. */
  readonly allowsLoopback: boolean;
  /** Default: the system's resolver. */
  readonly lookup?: Lookup;
  readonly metrics: ProxyMetrics;
  readonly requestMetrics: RequestMetrics;
  /** What this proxy shares with other workers, which then listen on the same ports. Default: it is alone. */
  readonly shared?: SharedState;
  /** Told of our own bugs: assertions that failed inside a connection. */
  readonly onBug: (error: unknown) => void;
}

/** HTTPS requests always say 443, as with ingress-nginx, whatever `--https-port` is. */
const forwardedHttpsPort = 443;

export class Proxy {
  readonly health: HealthRegistry;
  readonly pools: UpstreamPools;
  readonly upstreams: UpstreamRegistry;
  readonly retryBudget: RetryBudget;
  readonly contentBuffers: ContentBuffers;
  readonly readBuffers: ReadBuffers;
  readonly buffered: BufferedBytes;
  readonly #options: ProxyOptions;
  readonly #core: ProxyCore;
  readonly #refusals: Refusals;
  readonly #overload: OverloadWatch;
  readonly #listeners: Listener[] = [];
  readonly #ownPorts = new Set<number>();
  /** Changed in place by a table, since everybody holds it; connections go by it from their next step on. */
  readonly #limits: { -readonly [Name in keyof ProxyLimits]: ProxyLimits[Name] };
  #stopped: Promise<void> | null = null;
  #countersKeptAtMs = 0;

  constructor(options: ProxyOptions) {
    const { clock, metrics } = options;
    const limits = { ...options.limits };
    const onBug = (error: unknown): void => {
      metrics.internalErrors += 1;
      options.onBug(error);
    };
    const deadlines = new Deadlines(clock, onBug);
    this.#options = options;
    this.#limits = limits;
    const shared = options.shared ?? SharedState.alone(limits);
    this.health = new HealthRegistry(clock, shared.endpoints, (reason) => metrics.ejections.add(reason));
    const readBuffers = new ReadBuffers(limits.bodyBuffersTotalMaxBytes);
    this.readBuffers = readBuffers;
    const buffered = new BufferedBytes(limits.bufferedTotalMaxBytes, { clock, metrics, onBug });
    this.buffered = buffered;
    this.pools = new UpstreamPools({ clock, deadlines, limits, metrics, readBuffers, buffered, onBug });
    this.retryBudget = new RetryBudget(limits);
    this.contentBuffers = new ContentBuffers(limits.contentBuffersTotalMaxBytes);
    const resolver = { clock, allowsLoopback: options.allowsLoopback };
    this.upstreams = new UpstreamRegistry(
      this.health,
      options.lookup === undefined ? resolver : { ...resolver, lookup: options.lookup },
      options.random,
      () => this.#retireEndpoints(),
    );
    this.#refusals = new Refusals(clock, deadlines, limits);
    this.#overload = new OverloadWatch(shared.overload, limits, clock);
    this.#core = {
      clock,
      deadlines,
      limits,
      metrics,
      pools: this.pools,
      retryBudget: this.retryBudget,
      admission: new Admission(shared, buffered, {
        ...limits,
        connectionsMax: Math.min(limits.connectionsMax, connectionsForDescriptors(openFilesLimit())),
      }),
      refusals: this.#refusals,
      contentBuffers: this.contentBuffers,
      readBuffers,
      buffered,
      isOwnListener: (address, port) => this.#ownPorts.has(port) && isOwnAddress(address),
      live: null,
      isDraining: false,
      onBug,
    };
  }

  /** The table in use; null before the first. */
  get snapshot(): Snapshot | null {
    return this.#core.live?.snapshot ?? null;
  }

  /**
   * Binds all ports. On failure nothing stays bound, and the error names `--http-port` or `--https-port`.
   * Before a table is published every request gets 503. `ports`: instead of those of the options.
   */
  async listen(ports?: {
    readonly http: number;
    readonly https: number;
  }): Promise<{ readonly httpPort: number; readonly httpsPort: number }> {
    const { http: httpPort, https: httpsPort } = ports ?? {
      http: this.#options.httpPort,
      https: this.#options.httpsPort,
    };
    try {
      const http = await this.#listenOn("--http-port", httpPort, false);
      const https = await this.#listenOn("--https-port", httpsPort, true);
      return { httpPort: http, httpsPort: https };
    } catch (error) {
      for (const listener of this.#listeners) listener.stopAccepting();
      this.#overload.close();
      this.buffered.close();
      this.#core.deadlines.close();
      throw error;
    }
  }

  /**
   * Compiles beside the running table and swaps it in. Returns problems in words; what has none serves. `generation` is
   * that of whoever publishes to several proxies; by default it grows by one.
   */
  publish(ir: RoutingIr, generation?: number): readonly string[] {
    const problems = this.#publish(compile(ir, this.#options.runtimes, this.snapshot), generation);
    this.#limitConnections(ir.connections);
    return problems;
  }

  /** Compiles what differs from the running table, which must be the one that `delta` was made for. */
  update(delta: TableDelta, generation: number): readonly string[] {
    const { snapshot } = this;
    assert(snapshot !== null, "a change of no table");
    const problems = this.#publish(recompile(snapshot, delta, this.#options.runtimes), generation);
    this.#limitConnections(delta.connections);
    return problems;
  }

  /** Endpoints only: no route is compiled. Before the first table it does nothing. */
  publishEndpoints(changed: readonly EndpointsIr[], generation?: number): void {
    const { snapshot } = this;
    if (snapshot === null) return;
    const next = withEndpoints(snapshot, changed);
    this.#swap(generation === undefined ? next : { ...next, generation });
  }

  get connections(): number {
    return this.#listeners.reduce((sum, listener) => sum + listener.connections, 0);
  }

  /** From now on every response ends its connection. New connections are still taken. */
  startDraining(): void {
    this.#core.isDraining = true;
  }

  /** No new connections; those that exist go on. */
  stopAccepting(): Promise<void> {
    this.#stopped ??= this.#stopListening();
    return this.#stopped;
  }

  async #stopListening(): Promise<void> {
    // Closing a listening socket resets the connections that wait in its queue. Each turn of the event loop has a poll,
    // which accepts them all; what comes between that and the close is lost. So the queue is made as short as can be, and
    // closed after a turn that had nothing else to do.
    for (const listener of this.#listeners) listener.narrow();
    let turnAt = performance.now();
    for (let turn = 0; turn < lastTurnsMax; turn += 1) {
      await new Promise(setImmediate);
      const now = performance.now();
      if (turn >= 2 && now - turnAt < quietTurnMs) break;
      turnAt = now;
    }
    for (const listener of this.#listeners) listener.stopAccepting();
  }

  /** Stops listening, lets running exchanges end, and cuts what is left after `deadlineMs`. Returns how many. */
  async drain(deadlineMs: number): Promise<number> {
    this.startDraining();
    await this.stopAccepting();
    for (const listener of this.#listeners) listener.drain();
    const { clock } = this.#options;
    if (this.connections > 0) {
      await new Promise<void>((resolve) => {
        const finish = (): void => {
          cancelPoll();
          cancelDeadline();
          resolve();
        };
        const cancelPoll = clock.every(drainPollMs, () => {
          if (this.connections === 0) finish();
        });
        const cancelDeadline = clock.after(deadlineMs, finish);
      });
    }
    const cut = this.connections;
    this.close();
    return cut;
  }

  /** Ends everything at once. */
  close(): void {
    for (const listener of this.#listeners) {
      listener.stopAccepting();
      listener.destroy();
    }
    this.#refusals.close();
    this.#overload.close();
    this.buffered.close();
    this.upstreams.close();
    this.pools.close();
    this.#core.deadlines.close();
  }

  /** Drops the counters of routes that have been gone for long. Called when they are read. */
  forgetRetiredRoutes(): void {
    const { live } = this.#core;
    if (live === null) return;
    const nowMs = this.#core.clock.nowMs();
    this.#countersKeptAtMs = nowMs;
    this.#options.requestMetrics.keepConfigured((labels) => live.isConfigured(labels), nowMs);
  }

  #publish(next: Snapshot, generation: number | undefined): readonly string[] {
    const snapshot = generation === undefined ? next : { ...next, generation };
    const tlsProblems = this.#options.tls.publish(snapshot.table);
    this.#swap(snapshot);
    // When nobody reads them they must not pile up either.
    if (this.#core.clock.nowMs() - this.#countersKeptAtMs >= countersKeptMaxMs) this.forgetRetiredRoutes();
    return [...snapshot.table.problems, ...tlsProblems];
  }

  #limitConnections(connections: ConnectionsIr = {}): void {
    const { limits, limitsWith = (overrides) => ({ ...limits, ...overrides }) } = this.#options;
    Object.assign(this.#limits, limitsWith(connections));
  }

  #swap(snapshot: Snapshot): void {
    const balancers = this.upstreams.bind(snapshot);
    this.#core.live = new Live(snapshot, balancers, this.#options.requestMetrics);
    this.#retireEndpoints();
  }

  #retireEndpoints(): void {
    this.pools.retain((endpoint) => this.health.isHeld(endpoint));
  }

  async #listenOn(flag: string, port: number, isTls: boolean): Promise<number> {
    const { addresses, metrics, tls } = this.#options;
    let bound = port;
    for (const address of addresses.length === 0 ? [undefined] : addresses) {
      const listener = new Listener(this.#core, {
        address,
        port: bound,
        forwardedPort: isTls ? forwardedHttpsPort : port,
        counters: isTls ? metrics.https : metrics.http,
        isShared: this.#options.shared !== undefined,
        tls: isTls ? tls : null,
      });
      try {
        await listener.listen();
      } catch (cause) {
        throw new Error(listenMessage(flag, address, bound, cause), { cause });
      }
      this.#listeners.push(listener);
      bound = listener.port;
      this.#ownPorts.add(bound);
    }
    return bound;
  }
}

/** A turn of the event loop that found nothing to do, or nearly nothing. */
const quietTurnMs = 0.1;
/** A busy proxy may have none. */
const lastTurnsMax = 20;
/** How often a drain looks whether the last connection is gone. */
const drainPollMs = 50;

/** How long counters of routes that are gone are kept unread before they are looked through. */
const countersKeptMaxMs = 60_000;
