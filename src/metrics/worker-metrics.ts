// The worker threads themselves. Their owner calls these.
import { single, type MetricSource, type Samplers } from "./samples.ts";

/** What overload is about. */
export type OverloadKind = "event_loop" | "heap" | "memory";

export type RestartReason = "crash" | "stuck";

export class WorkerMetrics implements MetricSource {
  /** Those that serve. */
  running = 0;
  /** The table that every worker has applied. */
  generation = 0;
  readonly #restarts: Record<RestartReason, number> = { crash: 0, stuck: 0 };

  /** Workers, and the process for its memory. */
  readonly overloaded: Record<OverloadKind, number> = { event_loop: 0, heap: 0, memory: 0 };

  restarted(reason: RestartReason): void {
    this.#restarts[reason] += 1;
  }

  readonly samplers: Samplers = {
    workers: () => single(this.running),
    workerGeneration: () => single(this.generation),
    overloaded: () =>
      Object.entries(this.overloaded).map(([reason, value]) => ({ labels: { reason }, value })),
    workerRestarts: () =>
      Object.entries(this.#restarts).map(([reason, value]) => ({ labels: { reason }, value })),
  };
}
