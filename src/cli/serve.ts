// The composition root: the only place that knows every part. Manifests in, traffic out, an admin port beside it.
import { AdminServer } from "../admin/server.ts";
import type { TableView } from "../admin/table-view.ts";
import { RebuildLoop, type RebuildState } from "../controller/rebuild.ts";
import { DirectorySource } from "../controller/sources/directory.ts";
import type { TranslateOptions } from "../controller/translate/options.ts";
import type { Diagnostic } from "../ir/diagnostic.ts";
import { formatRef } from "../ir/object-ref.ts";
import { Metrics } from "../metrics/prometheus.ts";
import { defaultLimits } from "../proxy/limits.ts";
import { Proxy } from "../proxy/proxy.ts";
import { TlsContexts } from "../proxy/tls-contexts.ts";
import { systemClock } from "../util/clock.ts";
import { makeDefaultCertificate, type KeyPair } from "./default-certificate.ts";
import { DiagnosticLog } from "./diagnostic-log.ts";
import { featureRuntimes } from "./feature-runtimes.ts";
import type { Log } from "./log.ts";
import { viewSnapshot } from "./snapshot-view.ts";
import { listenError, StartError, systemCode } from "./start-error.ts";
import { packageVersion } from "./version.ts";

export interface ServeOptions {
  /** Directories of manifests. */
  readonly manifests: readonly string[];
  readonly httpPort: number;
  readonly httpsPort: number;
  /** Empty: all addresses. */
  readonly bindAddress: readonly string[];
  readonly healthzPort: number;
  /** Empty: all addresses. */
  readonly healthzHost: string;
  readonly healthCheckPath: string;
  readonly translate: Omit<TranslateOptions, "lastGoodCertificates">;
  readonly log: Log;
}

/** The ports that were bound: of interest where 0 was asked for. */
export interface BoundPorts {
  readonly http: number;
  readonly https: number;
  readonly admin: number;
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
  readonly #tls: TlsContexts;
  readonly #proxy: Proxy;
  readonly #admin: AdminServer;
  readonly #loop: RebuildLoop;
  readonly #diagnosticLog: DiagnosticLog;
  #ports: BoundPorts = { http: 0, https: 0, admin: 0 };
  #diagnostics: readonly Diagnostic[] = [];
  #problems: readonly string[] = [];
  #loggedGeneration = 0;
  #isShuttingDown = false;

  constructor(options: ServeOptions, selfSigned: KeyPair) {
    const { log } = options;
    const metrics = this.#metrics;
    this.#options = options;
    this.#selfSigned = selfSigned;
    this.#diagnosticLog = new DiagnosticLog(log);
    this.#tls = new TlsContexts(selfSigned, systemClock);
    this.#proxy = new Proxy({
      httpPort: options.httpPort,
      httpsPort: options.httpsPort,
      addresses: options.bindAddress,
      runtimes: featureRuntimes,
      tls: this.#tls,
      limits: defaultLimits,
      clock: systemClock,
      random: Math.random,
      allowsLoopback: options.translate.allowLoopbackUpstreams,
      metrics: metrics.proxy,
      requestMetrics: metrics.requests,
      onBug: (error) => log.error(`a bug in Fairway: ${stackOf(error)}`),
    });
    this.#loop = new RebuildLoop({
      sources: options.manifests.map((directory) => new DirectorySource({ directory, clock: systemClock })),
      translate: options.translate,
      publisher: {
        publishTable: (ir) => {
          this.#problems = this.#proxy.publish(ir);
        },
        publishEndpoints: (changed) => this.#proxy.publishEndpoints(changed),
      },
      clock: systemClock,
      onRemoved: (ref, origin) =>
        log.info(`${formatRef(ref)} was removed${origin === "" ? "" : ` (${origin})`}`),
      onUpdate: (state) => this.#onUpdate(state),
      onFailure: (cause) => {
        metrics.reloads.failed();
        log.error(`a bug in Fairway, the last good table keeps serving: ${stackOf(cause)}`);
      },
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
        diagnostics: () => this.#diagnostics,
      },
    });
  }

  get ports(): BoundPorts {
    return this.#ports;
  }

  /** Null: it serves. */
  get notReadyReason(): string | null {
    if (this.#isShuttingDown) return "shutting down";
    return this.#proxy.snapshot === null ? "the manifests have not been read yet" : null;
  }

  /** Ports first: a busy one must be told before anything else is done. Until the first table all answers are 503. */
  async start(): Promise<void> {
    const { healthzPort, healthzHost } = this.#options;
    const { httpPort, httpsPort } = await this.#proxy.listen().catch((cause: unknown) => {
      const code = systemCode(cause);
      throw new StartError(code === "" ? messageOf(cause) : `${messageOf(cause)} (${code})`, { cause });
    });
    const { port } = await this.#admin.listen().catch((cause: unknown) => {
      throw listenError("--healthz-port", healthzHost, healthzPort, cause);
    });
    this.#ports = { http: httpPort, https: httpsPort, admin: port };
    await this.#loop.start().catch((cause: unknown) => {
      throw new StartError(messageOf(cause), { cause });
    });
  }

  /**
   * Ends in the order that loses no request: readiness fails; everything is still served for `graceMs`, every response
   * ending its connection; then nothing new is accepted, and running requests have `deadlineMs` to end. Returns the
   * number of connections that were cut.
   */
  async shutDown(graceMs: number, deadlineMs: number): Promise<number> {
    this.#isShuttingDown = true;
    this.#proxy.startDraining();
    if (graceMs > 0) {
      // The listening sockets keep the process alive meanwhile, and the rebuild loop goes on: endpoints still change.
      await new Promise<void>((resolve) => void systemClock.after(graceMs, resolve));
    }
    const cut = await this.#proxy.drain(deadlineMs);
    await this.close();
    return cut;
  }

  /** At once. */
  async close(): Promise<void> {
    await this.#loop.close();
    this.#proxy.close();
    this.#tls.close();
    await this.#admin.close();
  }

  #onUpdate(state: RebuildState): void {
    const { reloads } = this.#metrics;
    this.#diagnostics = state.diagnostics;
    this.#diagnosticLog.update(state.diagnostics, this.#problems);
    reloads.setDiagnostics(countBySeverity(state.diagnostics));
    const generation = this.#proxy.snapshot?.generation ?? 0;
    if (generation === this.#loggedGeneration) return;
    this.#loggedGeneration = generation;
    reloads.applied(generation, state.lastBuildMs, Date.now());
    reloads.setCertificates(
      (state.ir?.certificates ?? []).map(({ secret, notAfter }) => ({
        namespace: secret.namespace,
        secret: secret.name,
        notAfterMs: Date.parse(notAfter),
      })),
    );
    this.#options.log.info(`table ${generation} is in use after ${state.lastBuildMs.toFixed(1)} ms`);
  }

  #metricsText(): Promise<string> {
    this.#metrics.proxy.ejections = this.#proxy.health.ejectionsTotal;
    return this.#metrics.text();
  }

  #tableView(): TableView | null {
    const { snapshot } = this.#proxy;
    if (snapshot === null) return null;
    const tableProblems = new Set(snapshot.table.problems);
    return viewSnapshot(snapshot, {
      health: this.#proxy.health.reports(),
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
