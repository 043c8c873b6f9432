// The validating webhook. Its server calls these.
import { Histogram } from "./histogram.ts";
import { metricDefinitions } from "./definitions.ts";
import type { MetricSource, Samplers } from "./samples.ts";

const bounds = Float64Array.of(0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1);

export class AdmissionMetrics implements MetricSource {
  readonly #outcomes = new Map<string, number>();
  readonly #durations = new Histogram(bounds);

  reviewed(outcome: string, durationMs: number): void {
    this.failed(outcome);
    this.#durations.observe(durationMs / 1000);
  }

  /** Nothing was judged. */
  failed(outcome: string): void {
    this.#outcomes.set(outcome, (this.#outcomes.get(outcome) ?? 0) + 1);
  }

  readonly samplers: Samplers = {
    admissionReviews: () => [...this.#outcomes].map(([outcome, value]) => ({ labels: { outcome }, value })),
    // Where there is no webhook there is nothing to show.
    admissionDuration: () =>
      this.#outcomes.size === 0 ? [] : this.#durations.samples(metricDefinitions.admissionDuration.name, {}),
  };
}
