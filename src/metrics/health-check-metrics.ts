// Active health checks. Who probes calls these.
import { single, type MetricSource, type Sample, type Samplers } from "./samples.ts";

export class HealthCheckMetrics implements MetricSource {
  /** Pairs of endpoint and check, by their state. */
  readonly endpoints = { unknown: 0, passing: 0, failing: 0 };
  readonly queue = { active: 0, waiting: 0 };
  /** Failing endpoints of each upstream that has a check. */
  readFailing: () => readonly Sample[] = () => [];
  /** By type, then by result. */
  readonly #probes = new Map<string, Map<string, number>>();

  probed(type: string, result: string): void {
    let results = this.#probes.get(type);
    if (results === undefined) {
      results = new Map();
      this.#probes.set(type, results);
    }
    results.set(result, (results.get(result) ?? 0) + 1);
  }

  readonly samplers: Samplers = {
    healthCheckProbes: () =>
      [...this.#probes].flatMap(([type, results]) =>
        [...results].map(([result, value]) => ({ labels: { type, result }, value })),
      ),
    healthCheckProbesActive: () => single(this.queue.active),
    healthCheckProbesWaiting: () => single(this.queue.waiting),
    healthCheckEndpoints: () =>
      Object.entries(this.endpoints).map(([state, value]) => ({ labels: { state }, value })),
    healthCheckFailing: () => this.readFailing(),
  };
}
