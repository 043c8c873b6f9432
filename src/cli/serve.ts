// The composition root: the only place that knows every part. Manifests in, traffic out, an admin port beside it.
// This thread has the controller and the admin port; the data path runs in worker threads.
import { AdminServer } from "../admin/server.ts";
import type { TableView } from "../admin/table-view.ts";
import type { ObjectKey } from "../controller/objects.ts";
import { RebuildLoop, type RebuildState } from "../controller/rebuild.ts";
import { DirectorySource } from "../controller/sources/directory.ts";
import type { KubernetesSource } from "../controller/sources/kubernetes.ts";
import type { TranslateOptions } from "../controller/translate/options.ts";
import type { Diagnostic } from "../ir/diagnostic.ts";
import { formatRef } from "../ir/object-ref.ts";
import { Metrics } from "../metrics/prometheus.ts";
import { HealthChecks } from "../proxy/health-check/health-checks.ts";
import { systemProber } from "../proxy/health-check/probers.ts";
import type { CheckChange } from "../proxy/health-check/checked-endpoint.ts";
import { defaultLimits, type ProxyLimits } from "../proxy/limits.ts";
import { compile } from "../proxy/routing/table.ts";
import { WorkerPool } from "../proxy/worker/worker-pool.ts";
import { defaultHeartbeat } from "../proxy/worker/worker-thread.ts";
import { systemClock, type Cancel } from "../util/clock.ts";
import { systemRandom } from "../util/random.ts";
import { Admission, type AdmissionValues } from "./admission.ts";
import { makeDefaultCertificate, type KeyPair } from "./default-certificate.ts";
import { DiagnosticLog } from "./diagnostic-log.ts";
import { clusterSource, type Cluster } from "./from-cluster.ts";
import { featureRuntimes } from "./feature-runtimes.ts";
import type { Log } from "./log.ts";
import { viewSnapshot } from "./snapshot-view.ts";
import { ClusterPublisher } from "./cluster-publisher.ts";
import { listenError, StartError, systemCode } from "./start-error.ts";
import { packageVersion } from "./version.ts";
import { workerEntry } from "./worker-entry.ts";

/** Between two rounds of what is told of diagnostics and certificates: log lines and metrics. */
const tellingGapMs = 200;

export interface ServeOptions {
  /** Directories of manifests. */
  readonly manifests: readonly string[];
  /** Read instead of manifests, when there is one. */
  readonly cluster?: Cluster;
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Empty: all addresses. */
  readonly bindAddress: readonly string[];
  readonly healthzPort: number;
  /** Empty: all addresses. */
  readonly healthzHost: string;
  readonly healthCheckPath: string;
  /** Threads that serve: 1 or more. */
  readonly workers: number;
  /** Where they differ from the defaults. */
  readonly limits?: Partial<ProxyLimits>;
  readonly translate: Omit<TranslateOptions, "lastGoodCertificates">;
  /** The validating webhook, when there is to be one. */
  readonly admission?: AdmissionValues;
  readonly log: Log;
}

/** The ports that were bound: of interest where 0 was asked for. */
export interface BoundPorts {
  readonly http: number;
  readonly https: number;
  readonly admin: number;
  /** 0: there is none. */
  readonly webhook: number;
}

/** Starts everything and resolves when the first table serves. Rejects with a `StartError`, and leaves nothing open. */
export async function serve(options: ServeOptions): Promise<Controller> {
  const selfSigned = await makeDefaultCertificate(new Date());
  const controller = new Controller(options, selfSigned);
  try {
    await controller.start();
  } catch (cause) {
    await controller.close();
    throw cause;
  }
  return controller;
}

export class Controller {
  readonly #options: ServeOptions;
  readonly #selfSigned: KeyPair;
  readonly #metrics = new Metrics({ version: packageVersion(), isProcessIncluded: true });
  readonly #pool: WorkerPool;
  readonly #checks: HealthChecks;
  readonly #admin: AdminServer;
  readonly #loop: RebuildLoop;
  readonly #admission: Admission | null;
  readonly #diagnosticLog: DiagnosticLog;
  /** Null: there is no cluster. */
  readonly #publisher: ClusterPublisher | null;
  #ports: BoundPorts = { http: 0, https: 0, admin: 0, webhook: 0 };
  #cancelTelling: Cancel | null = null;
  #tellAtMs = 0;
  #problems: readonly string[] = [];
  /** Tables that some worker has yet to apply: how long they took to build, and when they were published. */
  readonly #pending = new Map<number, { readonly buildMs: number; readonly publishedAtMs: number }>();
  #publishedGeneration = 0;
  #isShuttingDown = false;

  constructor(options: ServeOptions, selfSigned: KeyPair) {
    const { log } = options;
    const metrics = this.#metrics;
    this.#options = options;
    this.#selfSigned = selfSigned;
    this.#diagnosticLog = new DiagnosticLog(log);
    this.#pool = this.#makePool();
    this.#checks = this.#makeChecks();
    this.#publisher = this.#makePublisher();
    const inCluster = this.#makeClusterSource();
    this.#loop = new RebuildLoop({
      sources:
        inCluster === null
          ? options.manifests.map((directory) => new DirectorySource({ directory, clock: systemClock }))
          : [inCluster],
      translate: options.translate,
      publisher: {
        publishTable: (delta) => {
          this.#pool.publishTable(delta);
          this.#checks.publishTable(delta);
        },
        publishEndpoints: (changed) => {
          this.#pool.publishEndpoints(changed);
          this.#checks.publishEndpoints(changed);
        },
      },
      clock: systemClock,
      // In a cluster that is everyday business; in files it may be a mistake.
      onRemoved: (ref, origin) =>
        log[options.cluster === undefined ? "info" : "debug"](
          `${formatRef(ref)} was removed${origin === "" ? "" : ` (${origin})`}`,
        ),
      onUpdate: (state) => this.#onUpdate(state),
      onFailure: (cause) => {
        metrics.reloads.failed();
        log.error(`a bug in Fairway, the last good table keeps serving: ${stackOf(cause)}`);
      },
    });
    this.#admission =
      options.admission === undefined
        ? null
        : new Admission({
            values: options.admission,
            isReady: () => this.#loop.canTryOut,
            isWatched: (namespace) => inCluster?.isWatched(namespace) ?? true,
            tryOut: (candidate, old) => this.#loop.tryOut(candidate, old),
            metrics: metrics.admission,
            clock: systemClock,
            log,
          });
    this.#admin = new AdminServer({
      port: options.healthzPort,
      host: options.healthzHost,
      healthCheckPath: options.healthCheckPath,
      subject: {
        notReadyReason: () => this.notReadyReason,
        metricsText: () => this.#metricsText(),
        metricsContentType: metrics.contentType,
        table: () => this.#tableView(),
        diagnostics: () => this.#loop.state.diagnostics,
        cluster: () => this.#publisher?.view() ?? null,
      },
    });
  }

  get ports(): BoundPorts {
    return this.#ports;
  }

  /** Null: it serves. */
  get notReadyReason(): string | null {
    if (this.#isShuttingDown) return "shutting down";
    if (this.#pool.appliedGeneration === 0) {
      const source = this.#options.cluster === undefined ? "the manifests have" : "the Kubernetes API has";
      return `${source} not been read yet`;
    }
    return this.#pool.serving === 0 ? "no worker serves" : null;
  }

  /** Ports first: a busy one must be told before anything else is done. Until the first table all answers are 503. */
  async start(): Promise<void> {
    const { healthzPort, healthzHost } = this.#options;
    const { http, https } = await this.#pool.start().catch((cause: unknown) => {
      const code = systemCode(cause);
      throw new StartError(code === "" ? messageOf(cause) : `${messageOf(cause)} (${code})`, { cause });
    });
    const { port } = await this.#admin.listen().catch((cause: unknown) => {
      throw listenError("--healthz-port", healthzHost, healthzPort, cause);
    });
    this.#ports = { http, https, admin: port, webhook: (await this.#admission?.start()) ?? 0 };
    await this.#loop.start().catch((cause: unknown) => {
      throw new StartError(messageOf(cause), { cause });
    });
    await this.#pool.settled();
    // Who cannot serve is not to be the one who writes.
    this.#publisher?.start();
  }

  /**
   * Ends in the order that loses no request: readiness fails; everything is still served for `graceMs`, every response
   * ending its connection; then nothing new is accepted, and running requests have `deadlineMs` to end. Returns the
   * number of connections that were cut.
   */
  async shutDown(graceMs: number, deadlineMs: number): Promise<number> {
    this.#isShuttingDown = true;
    this.#pool.startDraining();
    if (graceMs > 0) {
      // The workers keep the process alive meanwhile, and the rebuild loop goes on: endpoints still change.
      await new Promise<void>((resolve) => void systemClock.after(graceMs, resolve));
    }
    const [cut] = await Promise.all([this.#pool.drain(deadlineMs), this.#publisher?.removeStatus()]);
    await this.close();
    return cut;
  }

  /** At once. */
  async close(): Promise<void> {
    this.#cancelTelling?.();
    await this.#admission?.close();
    await this.#loop.close();
    await this.#publisher?.close();
    this.#options.cluster?.client.close();
    this.#checks.close();
    await this.#pool.close();
    await this.#admin.close();
  }

  #onUpdate(state: RebuildState): void {
    const { reloads } = this.#metrics;
    this.#tellLater();
    this.#publisher?.tableBuilt();
    const { generation } = this.#pool;
    if (generation === this.#publishedGeneration) return;
    this.#publishedGeneration = generation;
    this.#pending.set(generation, { buildMs: state.lastBuildMs, publishedAtMs: systemClock.nowMs() });
    reloads.published(generation);
  }

  /** At once when nothing was told shortly before: to go through all that there is to tell must not follow every event. */
  #tellLater(): void {
    this.#cancelTelling ??= systemClock.after(Math.max(0, this.#tellAtMs - systemClock.nowMs()), () => {
      this.#cancelTelling = null;
      this.#tellAtMs = systemClock.nowMs() + tellingGapMs;
      this.#tell(this.#loop.state);
    });
  }

  #tell({ diagnostics, ir }: RebuildState): void {
    const { reloads } = this.#metrics;
    this.#diagnosticLog.update(diagnostics, this.#problems);
    this.#publisher?.diagnosticsChanged(diagnostics);
    reloads.setDiagnostics(countBySeverity(diagnostics));
    reloads.setCertificates(
      (ir?.certificates ?? []).map(({ secret, notAfter }) => ({
        namespace: secret.namespace,
        secret: secret.name,
        notAfterMs: Date.parse(notAfter),
      })),
    );
  }

  #makeClusterSource(): KubernetesSource | null {
    const { cluster, translate } = this.#options;
    if (cluster === undefined) return null;
    return clusterSource(cluster, translate, this.#metrics.source, (kind, key, value) =>
      this.#publisher?.observe(kind, key, value),
    );
  }

  #makePublisher(): ClusterPublisher | null {
    const { cluster, log } = this.#options;
    if (cluster === undefined) return null;
    const ours = (): Iterable<ObjectKey> => this.#loop.ownIngresses();
    return new ClusterPublisher({ ...cluster, log, metrics: this.#metrics.publish, ours });
  }

  /** In this thread: one probe for all workers, and none that waits for a busy one. */
  #makeChecks(): HealthChecks {
    return new HealthChecks({
      runtimes: featureRuntimes,
      directory: this.#pool.endpoints,
      clock: systemClock,
      random: systemRandom,
      prober: systemProber,
      metrics: this.#metrics.healthChecks,
      allowsLoopback: this.#options.translate.allowLoopbackUpstreams,
      onChange: (change) => this.#logCheck(change),
    });
  }

  #logCheck({ endpoint, upstreams, isUsed, reason }: CheckChange): void {
    const { log } = this.#options;
    const names =
      upstreams.length > 3 ? [...upstreams.slice(0, 3), `${upstreams.length - 3} more`] : upstreams;
    const subject = `endpoint ${endpoint} of ${names.join(", ")}`;
    if (isUsed) log.info(`${subject} is used again: ${reason}`);
    else log.warning(`${subject} is no longer used: ${reason}`);
  }

  #makePool(): WorkerPool {
    const { log, workers, httpPort, httpsPort, bindAddress, translate } = this.#options;
    return new WorkerPool({
      workers,
      entry: workerEntry,
      ports: { http: httpPort, https: httpsPort },
      addresses: bindAddress,
      limits: { ...defaultLimits, ...this.#options.limits },
      allowsLoopback: translate.allowLoopbackUpstreams,
      selfSigned: this.#selfSigned,
      clock: systemClock,
      heartbeat: defaultHeartbeat,
      metrics: this.#metrics.workers,
      events: {
        onApplied: (generation, problems) => this.#onApplied(generation, problems),
        onNotApplied: (message) => {
          this.#metrics.reloads.failed();
          log.error(`a bug in Fairway, the last good table keeps serving: ${message}`);
        },
        onBug: (message) => log.error(`a bug in Fairway: ${message}`),
        onWorkerLost: (message) => log.error(message),
        onWorkerBack: (message) => log.info(message),
        onOverload: (message) => log.warning(message),
      },
    });
  }

  /** All workers serve the table of `generation`. */
  #onApplied(generation: number, problems: readonly string[]): void {
    this.#problems = problems;
    this.#tellLater();
    for (const [pending, { buildMs, publishedAtMs }] of this.#pending) {
      if (pending > generation) continue;
      this.#pending.delete(pending);
      const durationMs = buildMs + systemClock.nowMs() - publishedAtMs;
      this.#metrics.reloads.applied(pending, durationMs, Date.now());
      this.#options.log.info(`table ${pending} is in use after ${durationMs.toFixed(1)} ms`);
    }
  }

  async #metricsText(): Promise<string> {
    const { proxy, requests } = this.#metrics;
    const counts = await this.#pool.counts();
    // Nothing waits between here and the reading of the samples.
    proxy.clear();
    requests.clear();
    for (const worker of counts) {
      proxy.add(worker.proxy);
      requests.add(worker.routes);
    }
    return this.#metrics.text();
  }

  /** Compiled for the one who asks: the tables in use are in the workers. */
  async #tableView(): Promise<TableView | null> {
    const { ir, generation } = this.#pool;
    if (ir === null) return null;
    const snapshot = { ...compile(ir, featureRuntimes, null), generation };
    const tableProblems = new Set(snapshot.table.problems);
    return viewSnapshot(snapshot, {
      health: await this.#pool.health(),
      checks: this.#checks.reports(),
      problems: this.#problems.filter((problem) => !tableProblems.has(problem)),
      selfSigned: this.#selfSigned,
    });
  }
}

function countBySeverity(diagnostics: readonly Diagnostic[]): Record<Diagnostic["severity"], number> {
  const counts = { error: 0, warning: 0, info: 0 };
  for (const { severity } of diagnostics) counts[severity] += 1;
  return counts;
}

function messageOf(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause);
}

function stackOf(cause: unknown): string {
  return cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
}
