// One endpoint under one check: its probes, one at a time, and their verdict, which goes to the memory that workers
// share. Whichever upstreams have both have this object.
import type { HealthCheckMetrics } from "../../metrics/health-check-metrics.ts";
import type { Cancel, Clock } from "../../util/clock.ts";
import type { EndpointDirectory, SharedEndpoint } from "../across-workers/endpoint-directory.ts";
import type { HealthCheckSettings } from "../filter.ts";
import { endpointKey, verdictKey } from "../upstream/health.ts";
import { describeProbe, ProbeTimeout, type Prober, type ProbeOutcome, type ProbeTarget } from "./probe.ts";
import type { Job, ProbeQueue } from "./probe-queue.ts";
import { Verdict, type CheckState } from "./verdict.ts";

/** Intervals are longer or shorter by up to this part, so that endpoints do not fall into step. */
const jitter = 0.1;

export interface CheckServices {
  readonly directory: EndpointDirectory;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly prober: Prober;
  readonly queue: ProbeQueue;
  readonly metrics: HealthCheckMetrics;
  readonly onChange: (change: CheckChange) => void;
}

/** An endpoint is no longer used because of its check, or is used again. */
export interface CheckChange {
  readonly endpoint: string;
  /** Sorted. */
  readonly upstreams: readonly string[];
  readonly isUsed: boolean;
  readonly reason: string;
}

/** For people: the admin page and its JSON. */
export interface CheckReport {
  /** As `verdictKey` makes it. */
  readonly key: string;
  readonly state: CheckState;
  /** Since when, as an age. */
  readonly forMs: number;
  /** What was wrong with the last probe; empty when it passed, or before the first. */
  readonly reason: string;
  /** How long ago the last probe ended; null: there was none. */
  readonly lastProbeAgoMs: number | null;
}

export class CheckedEndpoint {
  readonly key: string;
  readonly endpoint: string;
  /** Who has it, with the key of the cells by which each knows ejections. Without anybody it is to be closed. */
  readonly upstreams = new Map<string, string>();
  readonly #settings: HealthCheckSettings;
  readonly #services: CheckServices;
  readonly #target: ProbeTarget;
  readonly #verdict: Verdict;
  /** The cells of the verdict. */
  readonly #shared: SharedEndpoint;
  #sinceMs: number;
  #reason = "";
  #lastProbeAtMs = -1;
  #cancelNext: Cancel;
  #probe: AbortController | null = null;
  #isClosed = false;

  constructor(
    target: ProbeTarget,
    { settings, check }: { readonly settings: HealthCheckSettings; readonly check: string },
    services: CheckServices,
  ) {
    const { directory, clock, random, metrics } = services;
    const nowMs = clock.nowMs();
    this.endpoint = endpointKey(target.address, target.port);
    this.key = verdictKey(this.endpoint, check);
    this.#settings = settings;
    this.#services = services;
    this.#target = { address: target.address, port: settings.port ?? target.port };
    this.#verdict = new Verdict(settings);
    this.#shared = directory.acquire(this.key, nowMs);
    // A worker may still have the cells of an earlier check like this one.
    this.#shared.cells.failedCheck = false;
    this.#sinceMs = nowMs;
    metrics.endpoints[this.#verdict.state] += 1;
    this.#cancelNext = clock.after(settings.intervalMs * random(), () => services.queue.add(this.#job));
  }

  get isFailing(): boolean {
    return this.#verdict.state === "failing";
  }

  report(): CheckReport {
    const nowMs = this.#services.clock.nowMs();
    return {
      key: this.key,
      state: this.#verdict.state,
      forMs: nowMs - this.#sinceMs,
      reason: this.#reason,
      lastProbeAgoMs: this.#lastProbeAtMs < 0 ? null : nowMs - this.#lastProbeAtMs,
    };
  }

  /** No more probes; one under way is ended. */
  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#cancelNext();
    this.#services.queue.remove(this.#job);
    this.#probe?.abort(new Error("the check is over"));
    this.#services.metrics.endpoints[this.#verdict.state] -= 1;
    this.#shared.release();
  }

  readonly #job: Job = async () => {
    const { clock, random, queue } = this.#services;
    const startedAtMs = clock.nowMs();
    const outcome = await this.#runProbe();
    if (this.#isClosed) return;
    this.#take(outcome);
    const dueAtMs = startedAtMs + this.#settings.intervalMs * (1 - jitter + 2 * jitter * random());
    this.#cancelNext = clock.after(Math.max(0, dueAtMs - clock.nowMs()), () => queue.add(this.#job));
  };

  async #runProbe(): Promise<ProbeOutcome> {
    const { clock, prober } = this.#services;
    const { timeoutMs } = this.#settings;
    const controller = new AbortController();
    this.#probe = controller;
    const cancelTimeout = clock.after(timeoutMs, () => controller.abort(new ProbeTimeout(timeoutMs)));
    const outcome = await prober(this.#target, this.#settings, controller.signal);
    cancelTimeout();
    this.#probe = null;
    return outcome;
  }

  #take({ result, words }: ProbeOutcome): void {
    const { clock, metrics, onChange } = this.#services;
    const nowMs = clock.nowMs();
    this.#lastProbeAtMs = nowMs;
    metrics.probed(this.#settings.kind, result);
    this.#reason = words;
    if (result === "ownFault") return;
    const before = this.#verdict.state;
    if (!this.#verdict.add(result === "passed")) return;
    const { state } = this.#verdict;
    metrics.endpoints[before] -= 1;
    metrics.endpoints[state] += 1;
    this.#sinceMs = nowMs;
    this.#shared.cells.failedCheck = state === "failing";
    if (state !== "failing" && before !== "failing") return;
    if (state === "passing") this.#hastenTrial(nowMs);
    const isUsed = state !== "failing";
    const reason = isUsed ? `${describeProbe(this.#settings)} passed` : words;
    onChange({
      endpoint: this.endpoint,
      upstreams: [...this.upstreams.keys()].sort(),
      isUsed,
      reason: `check: ${reason}, ${times(this.#verdict.inARow)}`,
    });
  }

  /** An endpoint that comes back need not sit out the rest of an ejection: the next request is its trial. */
  #hastenTrial(nowMs: number): void {
    for (const key of new Set(this.upstreams.values())) {
      const { cells, release } = this.#services.directory.acquire(key, nowMs);
      if (cells.level > 0) cells.trialAtMs = Math.min(cells.trialAtMs, nowMs);
      release();
    }
  }
}

function times(count: number): string {
  return count === 1 ? "once" : `${count} times in a row`;
}
