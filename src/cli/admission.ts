// The validating webhook put together: its server, its certificate, the judge, and what is told of it.
import { judge, type PathConflicts } from "../controller/admission/judge.ts";
import { cut, readReview, reviewAnswer, ReviewError, type Verdict } from "../controller/admission/review.ts";
import type { IngressObject } from "../controller/objects.ts";
import type { TrialResult } from "../controller/translate/trial.ts";
import type { AdmissionMetrics } from "../metrics/admission-metrics.ts";
import type { Clock } from "../util/clock.ts";
import { CertificateFiles } from "../webhook/certificate-files.ts";
import { WebhookServer, type WebhookReply } from "../webhook/server.ts";
import type { Log } from "./log.ts";
import { listenError, StartError } from "./start-error.ts";

export interface AdmissionValues {
  /** Empty: all addresses. */
  readonly host: string;
  readonly port: number;
  /** Files. */
  readonly certificate: string;
  readonly key: string;
  readonly pathConflicts: PathConflicts;
}

export interface AdmissionOptions {
  readonly values: AdmissionValues;
  /** There is a table to judge by. */
  readonly isReady: () => boolean;
  readonly isWatched: (namespace: string) => boolean;
  /** Null: it is not ready. */
  readonly tryOut: (candidate: IngressObject, old: IngressObject | null) => TrialResult | null;
  readonly metrics: AdmissionMetrics;
  readonly clock: Clock;
  readonly log: Log;
}

/** Anybody in the cluster may bring about lines in the log; more than these a minute are counted only. */
const linesPerMinute = 60;
const lineMaxBytes = 1_024;

/** There is no table to judge by: the API server goes by its failurePolicy. */
class NotReady extends Error {}

export class Admission {
  readonly #options: AdmissionOptions;
  readonly #files: CertificateFiles;
  #server: WebhookServer | null = null;
  #lines = 0;
  #linesSinceMs = -Infinity;

  constructor(options: AdmissionOptions) {
    const { values, clock, log } = options;
    this.#options = options;
    this.#files = new CertificateFiles({
      certificate: values.certificate,
      key: values.key,
      clock,
      onChange: (pair) => {
        this.#server?.setCertificate(pair);
        log.info("admission: the certificate of the webhook was replaced");
      },
      onProblem: (message) => log.error(`admission: ${message}; the last good certificate stays in use`),
    });
  }

  /** Returns the port. Rejects with a `StartError`. */
  async start(): Promise<number> {
    const { host, port } = this.#options.values;
    const certificate = await this.#files.start().catch((cause: unknown) => {
      const message = cause instanceof Error ? cause.message : String(cause);
      throw new StartError(`--validating-webhook-certificate and -key: ${message}`, { cause });
    });
    this.#server = new WebhookServer({
      host,
      port,
      certificate,
      answer: (review) => this.answer(review),
      onTurnedAway: (outcome) => this.#options.metrics.failed(outcome),
    });
    const bound = await this.#server.listen().catch((cause: unknown) => {
      throw listenError("--validating-webhook", host, port, cause);
    });
    return bound.port;
  }

  async close(): Promise<void> {
    this.#files.close();
    await this.#server?.close();
  }

  /** A bug answers 500, which is no answer to the API server: its failurePolicy decides, as when nobody is there. */
  answer(review: unknown): WebhookReply {
    const { metrics, clock } = this.#options;
    const startedAtMs = clock.nowMs();
    try {
      const request = readReview(review);
      const verdict = this.#judge(request);
      metrics.reviewed(verdict.outcome, clock.nowMs() - startedAtMs);
      if (verdict.outcome === "refused") this.#tellRefusal(request, verdict);
      return { status: 200, body: reviewAnswer(request.uid, verdict) };
    } catch (cause) {
      if (cause instanceof ReviewError) return { status: 400, body: cut(cause.message, lineMaxBytes) };
      if (cause instanceof NotReady) {
        metrics.failed("not_ready");
        return { status: 503, body: "there is no table yet to judge by" };
      }
      metrics.failed("error");
      const text = cause instanceof Error ? (cause.stack ?? cause.message) : String(cause);
      this.#tell("error", `a bug in Fairway, a review was not answered: ${text}`);
      return { status: 500, body: "internal error" };
    }
  }

  #judge(request: ReturnType<typeof readReview>): Verdict {
    const { values, isReady, isWatched } = this.#options;
    return judge(request, {
      pathConflicts: values.pathConflicts,
      isWatched: (namespace) => {
        // Until then not even the namespaces are known.
        if (!isReady()) throw new NotReady();
        return isWatched(namespace);
      },
      tryOut: (candidate, old) => {
        const trial = this.#options.tryOut(candidate, old);
        if (trial === null) throw new NotReady();
        return trial;
      },
    });
  }

  #tellRefusal({ operation, namespace, object }: ReturnType<typeof readReview>, { message }: Verdict): void {
    // It was decoded before it was judged.
    const { name } = (object as { readonly metadata: { readonly name: string } }).metadata;
    const line = `admission: refused ${operation} of Ingress ${namespace}/${name}: ${message}`;
    this.#tell("info", cut(line, lineMaxBytes));
  }

  #tell(level: "info" | "error", line: string): void {
    const { log, clock } = this.#options;
    if (clock.nowMs() - this.#linesSinceMs >= 60_000) {
      if (this.#lines > linesPerMinute) {
        log.info(`admission: ${this.#lines - linesPerMinute} more lines were left out`);
      }
      this.#lines = 0;
      this.#linesSinceMs = clock.nowMs();
    }
    this.#lines += 1;
    if (this.#lines <= linesPerMinute) log[level](line);
  }
}
