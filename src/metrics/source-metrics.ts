// How the Kubernetes API is being read. The source calls these for every answer and every failure.
import { type MetricSource, type Samplers } from "./samples.ts";

export class SourceMetrics implements MetricSource {
  readonly #nowMs: () => number;
  /** By kind. */
  readonly #contacts = new Map<string, number>();
  readonly #restarts = new Map<string, number>();
  readonly #errors = new Map<string, { readonly kind: string; readonly reason: string; count: number }>();

  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  contact(kind: string): void {
    this.#contacts.set(kind, this.#nowMs());
    if (!this.#restarts.has(kind)) this.#restarts.set(kind, 0);
  }

  watchRestarted(kind: string): void {
    this.#restarts.set(kind, (this.#restarts.get(kind) ?? 0) + 1);
  }

  failed(kind: string, reason: string): void {
    const key = `${kind} ${reason}`;
    const error = this.#errors.get(key) ?? { kind, reason, count: 0 };
    error.count += 1;
    this.#errors.set(key, error);
  }

  readonly samplers: Samplers = {
    apiContactAge: () =>
      [...this.#contacts].map(([kind, atMs]) => ({
        labels: { kind },
        value: Math.max(0, this.#nowMs() - atMs) / 1000,
      })),
    apiWatchRestarts: () => [...this.#restarts].map(([kind, value]) => ({ labels: { kind }, value })),
    apiErrors: () =>
      [...this.#errors.values()].map(({ kind, reason, count }) => ({
        labels: { kind, reason },
        value: count,
      })),
  };
}
