// What we write to the cluster. Whoever writes calls these.
import { single, type MetricSource, type Samplers } from "./samples.ts";

export class PublishMetrics implements MetricSource {
  /** Null: there is no election. */
  #leader: { readonly name: string; readonly isLeader: boolean } | null = null;
  #electionErrors = 0;
  #differences = 0;
  readonly #writes = { success: 0, failure: 0 };
  readonly #events = { written: 0, failed: 0, delayed: 0 };

  setLeader(name: string, isLeader: boolean): void {
    this.#leader = { name, isLeader };
  }

  electionFailed(): void {
    this.#electionErrors += 1;
  }

  setStatusDifferences(count: number): void {
    this.#differences = count;
  }

  statusWritten(result: "success" | "failure"): void {
    this.#writes[result] += 1;
  }

  event(result: "written" | "failed" | "delayed", count = 1): void {
    this.#events[result] += count;
  }

  readonly samplers: Samplers = {
    leaderElectionStatus: () =>
      this.#leader === null
        ? []
        : [{ labels: { name: this.#leader.name }, value: this.#leader.isLeader ? 1 : 0 }],
    leaderElectionErrors: () => single(this.#electionErrors),
    statusDifferences: () => single(this.#differences),
    statusWrites: () =>
      Object.entries(this.#writes).map(([result, value]) => ({ labels: { result }, value })),
    events: () => Object.entries(this.#events).map(([result, value]) => ({ labels: { result }, value })),
  };
}
