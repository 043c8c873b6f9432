// The worker's side: one proxy in one thread, which does what the controller's thread says. The entry file of the thread
// calls `runWorker` with the features that the tables may name.
import { parentPort, workerData } from "node:worker_threads";
import { ProxyMetrics } from "../../metrics/proxy-metrics.ts";
import { RequestMetrics } from "../../metrics/request-metrics.ts";
import { assert, assertNever } from "../../util/assert.ts";
import { systemClock } from "../../util/clock.ts";
import { systemRandom } from "../../util/random.ts";
import type { FeatureRuntimes } from "../filter.ts";
import type { ProxyLimits } from "../limits.ts";
import { memoryLimitBytes } from "../machine.ts";
import { Proxy } from "../proxy.ts";
import { SharedState } from "../across-workers/shared-state.ts";
import { TlsContexts } from "../tls-contexts.ts";
import type {
  Answers,
  FromWorker,
  Question,
  ToWorker,
  WorkerCounts,
  WorkerPorts,
  WorkerStart,
} from "./protocol.ts";
import { TableParts } from "../../ir/table-parts.ts";

export function runWorker(runtimes: FeatureRuntimes): void {
  const port = parentPort;
  assert(port !== null, "not a worker thread");
  // Whoever starts the thread passes exactly this.
  const start = workerData as WorkerStart;
  const worker = new ProxyWorker(start, runtimes, (message) => port.postMessage(message));
  port.on("message", (message: ToWorker) => worker.receive(message));
  // A crash ends the thread and nothing else; what was counted is handed over first.
  process.on("uncaughtExceptionMonitor", () => worker.sendLastCounts());
}

class ProxyWorker {
  readonly #start: WorkerStart;
  readonly #runtimes: FeatureRuntimes;
  readonly #send: (message: FromWorker) => void;
  readonly #parts = new TableParts();
  readonly #tls: TlsContexts;
  readonly #proxyMetrics = new ProxyMetrics();
  readonly #requestMetrics = new RequestMetrics();
  readonly #proxy: Proxy;
  /** The proxy has the table that the next change is one of. */
  #hasWholeTable = false;
  /** Of the table in use. */
  #problems: readonly string[] = [];

  constructor(start: WorkerStart, runtimes: FeatureRuntimes, send: (message: FromWorker) => void) {
    this.#start = start;
    this.#runtimes = runtimes;
    this.#send = send;
    this.#tls = new TlsContexts(start.selfSigned, systemClock, Buffer.from(start.ticketKeys));
    if (start.counts !== null) {
      this.#proxyMetrics.add(start.counts.proxy);
      this.#requestMetrics.add(start.counts.routes);
    }
    this.#proxy = this.#makeProxy();
  }

  receive(message: ToWorker): void {
    switch (message.kind) {
      case "table":
        this.#parts.apply(message.delta);
        return this.#apply(message.generation, () => this.#proxy.update(message.delta, message.generation));
      case "endpoints":
        this.#parts.setEndpoints(message.changed);
        return this.#apply(message.generation, () => {
          this.#proxy.publishEndpoints(message.changed, message.generation);
          return null;
        });
      case "ticketKeys":
        return this.#tls.useTicketKeys(Buffer.from(message.keys));
      case "startDraining":
        return this.#proxy.startDraining();
      case "ask":
        // It catches everything itself.
        void this.#answer(message.id, message.question);
        return;
      default:
        assertNever(message);
    }
  }

  sendLastCounts(): void {
    this.#send({ kind: "lastCounts", counts: this.#counts() });
  }

  /** `apply` returns the problems of the table; null: as before. */
  #apply(generation: number, apply: () => readonly string[] | null): void {
    try {
      if (this.#hasWholeTable) this.#problems = apply() ?? this.#problems;
      else this.#problems = this.#proxy.publish(this.#parts.toIr(), generation);
      this.#hasWholeTable = true;
      this.#send({ kind: "applied", generation, problems: this.#problems });
    } catch (cause) {
      // What comes next is a change of what the proxy does not have.
      this.#hasWholeTable = false;
      this.#send({ kind: "notApplied", generation, message: stackOf(cause) });
    }
  }

  async #answer(id: number, question: Question): Promise<void> {
    try {
      this.#send({ kind: "answer", id, answer: await this.#reply(question) });
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      this.#send({ kind: "failure", id, message, code: systemCodeOf(cause) });
    }
  }

  async #reply(question: Question): Promise<Answers[keyof Answers]> {
    switch (question.kind) {
      case "listen":
        return this.#listen(question.ports);
      case "ping":
        return null;
      case "counts":
        return this.#counts();
      case "health":
        return this.#proxy.health.reports();
      case "stopAccepting":
        await this.#proxy.stopAccepting();
        return null;
      case "drain":
        return this.#proxy.drain(question.deadlineMs);
      default:
        return assertNever(question);
    }
  }

  async #listen(ports: WorkerPorts): Promise<WorkerPorts> {
    const { httpPort, httpsPort } = await this.#proxy.listen(ports);
    return { http: httpPort, https: httpsPort };
  }

  #counts(): WorkerCounts {
    this.#proxy.forgetRetiredRoutes();
    this.#proxyMetrics.endpointsEjected = this.#proxy.health.ejected;
    this.#proxyMetrics.upstreamsPanicking = this.#proxy.upstreams.panicking;
    this.#proxyMetrics.keptContentBytes = this.#proxy.contentBuffers.bytes;
    return { proxy: this.#proxyMetrics.counts(), routes: this.#requestMetrics.counts() };
  }

  #makeProxy(): Proxy {
    const { limits, shared, worker, addresses, allowsLoopback } = this.#start;
    return new Proxy({
      httpPort: 0,
      httpsPort: 0,
      addresses,
      runtimes: this.#runtimes,
      tls: this.#tls,
      limits: limitsOfOne(limits, shared.workers),
      limitsWith: (connections) => limitsOfOne({ ...limits, ...connections }, shared.workers),
      clock: systemClock,
      random: systemRandom,
      allowsLoopback,
      metrics: this.#proxyMetrics,
      requestMetrics: this.#requestMetrics,
      shared: new SharedState(shared, worker),
      onBug: (error) => this.#send({ kind: "bug", message: stackOf(error) }),
    });
  }
}

/** What is bounded for all workers, and costs nothing when it is a little uneven, is divided among them. */
function limitsOfOne(limits: ProxyLimits, workers: number): ProxyLimits {
  return {
    ...limits,
    idleUpstreamMax: Math.ceil(limits.idleUpstreamMax / workers),
    refusalsMax: Math.ceil(limits.refusalsMax / workers),
    overloadConnectionsMin: Math.ceil(limits.overloadConnectionsMin / workers),
    bufferedTotalMaxBytes: Math.ceil(
      Math.min(limits.bufferedTotalMaxBytes, memoryLimitBytes() / 4) / workers,
    ),
    retriesActiveMin: Math.ceil(limits.retriesActiveMin / workers),
    contentBuffersTotalMaxBytes: Math.ceil(limits.contentBuffersTotalMaxBytes / workers),
    bodyBuffersTotalMaxBytes: Math.ceil(limits.bodyBuffersTotalMaxBytes / workers),
  };
}

function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}

/** Of the error itself or of the one that caused it. */
function systemCodeOf(error: unknown): string {
  if (!(error instanceof Error)) return "";
  return "code" in error ? String(error.code) : systemCodeOf(error.cause);
}
