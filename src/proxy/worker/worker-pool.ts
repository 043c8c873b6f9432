// The workers as a whole: starts them on the same ports, publishes tables to all, replaces those that die or no longer
// answer, adds up what they count, and drains them one after the other. Runs in the controller's thread.
import type { EndpointsIr, RoutingIr } from "../../ir/routing.ts";
import type { WorkerMetrics } from "../../metrics/worker-metrics.ts";
import type { Cancel, Clock } from "../../util/clock.ts";
import type { ProxyLimits } from "../limits.ts";
import type { EndpointDirectory } from "../across-workers/endpoint-directory.ts";
import { makeSharedBuffers, SharedState, type SharedBuffers } from "../across-workers/shared-state.ts";
import { makeTicketKeys, ticketKeysMaxAgeMs, type KeyPair } from "../tls-contexts.ts";
import type { HealthReport } from "../upstream/health.ts";
import { mergeReports } from "./merge-reports.ts";
import { PoolOverload } from "./pool-overload.ts";
import { probePorts } from "./port-probe.ts";
import type { ToWorker, WorkerCounts, WorkerPorts } from "./protocol.ts";
import { TableParts, wholeTable, type TableDelta } from "../../ir/table-parts.ts";
import type { Heartbeat } from "./worker-thread.ts";
import { WorkerSlot } from "./worker-slot.ts";

export interface WorkerPoolOptions {
  /** 1 or more. */
  readonly workers: number;
  /** The file that a thread runs. */
  readonly entry: URL;
  /** 0: a free one. */
  readonly ports: WorkerPorts;
  /** Addresses to listen on; empty: all. */
  readonly addresses: readonly string[];
  readonly limits: ProxyLimits;
  readonly allowsLoopback: boolean;
  readonly selfSigned: KeyPair;
  readonly clock: Clock;
  readonly heartbeat: Heartbeat;
  readonly metrics: WorkerMetrics;
  /** The share of its memory that the process uses. Default: as measured. */
  readonly memoryShare?: () => number;
  readonly events: PoolEvents;
}

export interface PoolEvents {
  /** Every worker that serves has applied the table of this generation. */
  onApplied(generation: number, problems: readonly string[]): void;
  /** A worker could not apply a table. */
  onNotApplied(message: string): void;
  /** A bug inside a connection, which was closed for it. */
  onBug(message: string): void;
  /** A worker died or is stuck, is started again, or serves again: a sentence. */
  onWorkerLost(message: string): void;
  onWorkerBack(message: string): void;
  /** A worker, or all of them, take no new connections, or take them again: a sentence. */
  onOverload(message: string): void;
}

/** How long the answers of workers are waited for: a stuck one must not hold up a scrape, or a shutdown. */
const answerMaxMs = 1_000;
/** After its deadline, for a worker to say that it has drained. */
const drainMarginMs = 1_000;

export class WorkerPool {
  readonly #options: WorkerPoolOptions;
  readonly #buffers: SharedBuffers;
  readonly #shared: SharedState;
  readonly #slots: readonly WorkerSlot[];
  readonly #parts = new TableParts();
  #ticketKeys = makeTicketKeys();
  readonly #cancelRotation: Cancel;
  readonly #overload: PoolOverload;
  #ports: WorkerPorts;
  #generation = 0;
  #appliedGeneration = 0;
  #counts: Promise<readonly WorkerCounts[]> | null = null;
  #settled = Promise.withResolvers<void>();
  #isDraining = false;
  #isClosed = false;

  constructor(options: WorkerPoolOptions) {
    const { workers, clock } = options;
    this.#options = options;
    this.#ports = options.ports;
    this.#buffers = makeSharedBuffers(workers, options.limits);
    this.#shared = new SharedState(this.#buffers, workers);
    this.#slots = Array.from({ length: workers }, (_, worker) => this.#makeSlot(worker));
    const { limits, metrics, events, memoryShare } = options;
    this.#overload = new PoolOverload(this.#shared.overload, {
      workers,
      clock,
      limits,
      metrics,
      memoryShare,
      onChange: (message) => events.onOverload(message),
    });
    this.#cancelRotation = clock.every(ticketKeysMaxAgeMs, () => this.#rotateTicketKeys());
  }

  /** Binds all ports. On failure nothing stays bound or running, and the error names the flag of the port. */
  async start(): Promise<WorkerPorts> {
    await probePorts(this.#options.addresses, this.#options.ports);
    try {
      for (const slot of this.#slots) slot.start();
      // The first one finds ports where free ones are asked for.
      for (const slot of this.#slots) this.#ports = await slot.listen(this.#ports);
    } catch (cause) {
      await this.close();
      throw cause;
    }
    return this.#ports;
  }

  /** The number of the table published last; 0: none yet. */
  get generation(): number {
    return this.#generation;
  }

  /** The table that every worker has applied; 0: none yet. */
  get appliedGeneration(): number {
    return this.#appliedGeneration;
  }

  /** Workers that take connections. */
  get serving(): number {
    return this.#slots.filter((slot) => slot.isServing).length;
  }

  /** As this thread sees what workers share of endpoints. */
  get endpoints(): EndpointDirectory {
    return this.#shared.endpoints;
  }

  get connections(): number {
    return this.#shared.connections.total;
  }

  /** As published last, endpoints included; null before the first table. */
  get ir(): RoutingIr | null {
    return this.#generation === 0 ? null : this.#parts.toIr();
  }

  /** What differs from the table before is sent to every worker that serves. `onApplied` tells when all have it. */
  publishTable(delta: TableDelta): void {
    this.#parts.apply(delta);
    this.#generation += 1;
    this.#publish({ kind: "table", generation: this.#generation, delta });
  }

  /** Endpoints only: no route is compiled. Before the first table it does nothing. */
  publishEndpoints(changed: readonly EndpointsIr[]): void {
    if (this.#generation === 0) return;
    this.#parts.setEndpoints(changed);
    this.#generation += 1;
    this.#publish({ kind: "endpoints", generation: this.#generation, changed });
  }

  /** Resolves once every worker has applied what was published before the call, and when the pool closes. */
  async settled(): Promise<void> {
    const { generation } = this;
    while (this.#appliedGeneration < generation && !this.#isClosed) await this.#settled.promise;
  }

  /** Of every worker; of one that does not answer, as it was told last. */
  counts(): Promise<readonly WorkerCounts[]> {
    this.#counts ??= Promise.all(this.#slots.map((slot) => slot.counts(answerMaxMs))).then((all) => {
      this.#counts = null;
      return all.flatMap((counts) => counts ?? []);
    });
    return this.#counts;
  }

  /** Of every endpoint, sorted by key. */
  async health(): Promise<readonly HealthReport[]> {
    const reports = await Promise.all(this.#slots.map((slot) => slot.health(answerMaxMs)));
    return mergeReports(reports);
  }

  /** From now on every response ends its connection. New connections are still taken. */
  startDraining(): void {
    this.#isDraining = true;
    for (const slot of this.#slots) slot.send({ kind: "startDraining" });
  }

  /**
   * Stops listening, lets running exchanges end, and cuts what is left after `deadlineMs`. Returns how many.
   * Each listening socket has a queue of connections that wait for its worker, and closing it resets those that have come
   * since the last look. So one worker after the other empties its queue and closes it: the kernel gives new connections
   * to those that still listen, and only the last one refuses.
   */
  async drain(deadlineMs: number): Promise<number> {
    const { clock } = this.#options;
    const endsAtMs = clock.nowMs() + deadlineMs;
    this.startDraining();
    for (const slot of this.#slots) await slot.stopAccepting(answerMaxMs);
    const leftMs = Math.max(0, endsAtMs - clock.nowMs());
    const cuts = await Promise.all(this.#slots.map((slot) => slot.drain(leftMs, drainMarginMs)));
    return cuts.reduce((sum, cut) => sum + cut, 0);
  }

  /** Ends everything at once. No thread is left when it resolves. */
  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelRotation();
    this.#overload.close();
    await Promise.all(this.#slots.map((slot) => slot.close()));
    this.#settled.resolve();
  }

  #publish(message: ToWorker): void {
    for (const slot of this.#slots) slot.send(message);
    // Nobody serves: the next worker gets it before it listens.
    this.#onProgress();
  }

  #makeSlot(worker: number): WorkerSlot {
    const { entry, addresses, limits, allowsLoopback, selfSigned, clock, heartbeat } = this.#options;
    const { metrics, events } = this.#options;
    const shared = this.#buffers;
    return new WorkerSlot({
      worker,
      clock,
      entry,
      heartbeat,
      ports: () => this.#ports,
      makeStart: (counts) => {
        const ticketKeys = this.#ticketKeys;
        return { worker, shared, addresses, limits, allowsLoopback, selfSigned, ticketKeys, counts };
      },
      firstMessages: () => this.#firstMessages(),
      mayRestart: () => !this.#isDraining && !this.#isClosed,
      openConnections: () => this.#shared.connections.of(worker),
      events: {
        onProgress: () => this.#onProgress(),
        onNotApplied: (message) => events.onNotApplied(message),
        onBug: (message) => events.onBug(message),
        onGone: () => {
          this.#shared.clear(worker);
          this.#onProgress();
        },
        onLost: (reason, message) => {
          metrics.restarted(reason);
          events.onWorkerLost(message);
        },
        onBack: (message) => events.onWorkerBack(message),
      },
    });
  }

  /** What a new worker needs before it listens. */
  #firstMessages(): readonly ToWorker[] {
    const messages: ToWorker[] = [];
    if (this.#generation > 0) {
      const delta = wholeTable(this.#parts.toIr());
      messages.push({ kind: "table", generation: this.#generation, delta });
    }
    if (this.#isDraining) messages.push({ kind: "startDraining" });
    return messages;
  }

  /** A worker has applied a table, came or went. */
  #onProgress(): void {
    const { metrics, events } = this.#options;
    const serving = this.#slots.filter((slot) => slot.isServing);
    metrics.running = serving.length;
    if (serving.length === 0) return;
    const applied = Math.min(...serving.map((slot) => slot.appliedGeneration));
    metrics.generation = applied;
    if (applied <= this.#appliedGeneration) return;
    this.#appliedGeneration = applied;
    events.onApplied(applied, [...new Set(serving.flatMap((slot) => slot.problems))]);
    this.#settled.resolve();
    this.#settled = Promise.withResolvers();
  }

  #rotateTicketKeys(): void {
    this.#ticketKeys = makeTicketKeys();
    for (const slot of this.#slots) slot.send({ kind: "ticketKeys", keys: this.#ticketKeys });
  }
}
