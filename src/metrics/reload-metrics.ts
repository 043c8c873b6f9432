// What became of the configuration: table generation, reloads, diagnostics, certificates. The composition root calls
// these, a few times for each change of configuration.
import { metricDefinitions, reloadBucketsSeconds } from "./definitions.ts";
import { Histogram } from "./histogram.ts";
import { single, type MetricSource, type Samplers } from "./samples.ts";

const reloadBounds = Float64Array.from(reloadBucketsSeconds);

export interface CertificateExpiry {
  readonly namespace: string;
  readonly secret: string;
  readonly notAfterMs: number;
}

export class ReloadMetrics implements MetricSource {
  #generation = 0;
  #successes = 0;
  #failures = 0;
  #isLastSuccessful = false;
  #lastSuccessMs = 0;
  readonly #durations = new Histogram(reloadBounds);
  #diagnostics: Readonly<Record<string, number>> = { error: 0, warning: 0, info: 0 };
  #certificates: readonly CertificateExpiry[] = [];

  /** A table was handed to the workers. */
  published(generation: number): void {
    this.#generation = generation;
  }

  /** A table is in use. `unixMs` is the time of day. */
  applied(generation: number, durationMs: number, unixMs: number): void {
    this.#generation = Math.max(this.#generation, generation);
    this.#successes += 1;
    this.#isLastSuccessful = true;
    this.#lastSuccessMs = unixMs;
    this.#durations.observe(durationMs / 1000);
  }

  /** A table could not be built; the last good one stays. */
  failed(): void {
    this.#failures += 1;
    this.#isLastSuccessful = false;
  }

  setDiagnostics(bySeverity: Readonly<Record<"error" | "warning" | "info", number>>): void {
    this.#diagnostics = bySeverity;
  }

  setCertificates(certificates: readonly CertificateExpiry[]): void {
    this.#certificates = certificates;
  }

  readonly samplers: Samplers = {
    tableGeneration: () => single(this.#generation),
    reloads: () => [
      { labels: { result: "success" }, value: this.#successes },
      { labels: { result: "failure" }, value: this.#failures },
    ],
    reloadDuration: () => this.#durations.samples(metricDefinitions.reloadDuration.name, {}),
    lastReloadSuccessful: () => single(this.#isLastSuccessful ? 1 : 0),
    lastReloadSuccess: () => single(this.#lastSuccessMs / 1000),
    diagnostics: () =>
      Object.entries(this.#diagnostics).map(([severity, value]) => ({ labels: { severity }, value })),
    certificateExpiry: () =>
      this.#certificates.map(({ namespace, secret, notAfterMs }) => ({
        labels: { namespace, secret },
        value: notAfterMs / 1000,
      })),
  };
}
