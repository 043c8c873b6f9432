// The place of one worker: the thread that fills it, its replacement after a crash, and what was last heard of it.
import { closedCounts } from "../../metrics/proxy-metrics.ts";
import type { RestartReason } from "../../metrics/worker-metrics.ts";
import type { Cancel, Clock } from "../../util/clock.ts";
import type { HealthReport } from "../upstream/health.ts";
import type { ToWorker, WorkerCounts, WorkerPorts, WorkerStart } from "./protocol.ts";
import { WorkerThread, type Heartbeat, type ThreadEvents } from "./worker-thread.ts";

/** Before the first restart; doubles with each one that follows within `stableMs`. */
export const restartMinMs = 100;
export const restartMaxMs = 10_000;
/** A worker that has served for so long has shown that it can. */
export const stableMs = 60_000;

export interface SlotOptions {
  /** From 0. */
  readonly worker: number;
  readonly entry: URL;
  readonly clock: Clock;
  readonly heartbeat: Heartbeat;
  readonly ports: () => WorkerPorts;
  readonly makeStart: (counts: WorkerCounts | null) => WorkerStart;
  /** To be handled before the worker listens. */
  readonly firstMessages: () => readonly ToWorker[];
  readonly mayRestart: () => boolean;
  /** Connections of clients that the worker has. */
  readonly openConnections: () => number;
  readonly events: SlotEvents;
}

export interface SlotEvents {
  /** The worker has applied a table, or has begun to serve. */
  onProgress(): void;
  onNotApplied(message: string): void;
  onBug(message: string): void;
  /** The thread has ended, for whatever reason. */
  onGone(): void;
  /** It has ended by itself, or had to be ended, and is replaced. */
  onLost(reason: RestartReason, message: string): void;
  onBack(message: string): void;
}

export class WorkerSlot {
  appliedGeneration = 0;
  problems: readonly string[] = [];
  isServing = false;
  readonly #options: SlotOptions;
  #thread: WorkerThread | null = null;
  #lastCounts: WorkerCounts | null = null;
  #isStuck = false;
  /** Why its replacement could not serve; empty: it could. */
  #listenFailure = "";
  /** Crashes without `stableMs` between them. */
  #crashes = 0;
  #startedAtMs = 0;
  #cancelRestart: Cancel | null = null;
  /** The first start reports its failure to its caller, and is not repeated. */
  #hasServed = false;
  #isClosed = false;

  constructor(options: SlotOptions) {
    this.#options = options;
  }

  start(): void {
    const { entry, makeStart, clock, heartbeat } = this.#options;
    this.appliedGeneration = 0;
    this.#isStuck = false;
    this.#listenFailure = "";
    this.#startedAtMs = clock.nowMs();
    const events = this.#threadEvents();
    this.#thread = new WorkerThread(entry, makeStart(this.#lastCounts), { clock, heartbeat, events });
    for (const message of this.#options.firstMessages()) this.#thread.send(message);
  }

  async listen(ports: WorkerPorts): Promise<WorkerPorts> {
    if (this.#thread === null) throw new Error("the worker has ended");
    const bound = await this.#thread.ask<"listen">({ kind: "listen", ports });
    this.isServing = true;
    this.#hasServed = true;
    this.#options.events.onProgress();
    return bound;
  }

  send(message: ToWorker): void {
    this.#thread?.send(message);
  }

  /** Of a worker that does not answer, as it was told last. */
  async counts(maxMs: number): Promise<WorkerCounts | null> {
    const question = this.#thread?.ask<"counts">({ kind: "counts" });
    const counts = await this.#within(question, maxMs);
    // A worker that died meanwhile has left newer ones.
    if (counts !== null && this.isServing) this.#lastCounts = counts;
    return counts ?? this.#lastCounts;
  }

  async health(maxMs: number): Promise<readonly HealthReport[]> {
    return (await this.#within(this.#thread?.ask<"health">({ kind: "health" }), maxMs)) ?? [];
  }

  async stopAccepting(maxMs: number): Promise<void> {
    await this.#within(this.#thread?.ask<"stopAccepting">({ kind: "stopAccepting" }), maxMs);
  }

  /** Returns the number of connections that were cut. A worker that does not say so in time is ended. */
  async drain(deadlineMs: number, marginMs: number): Promise<number> {
    const question = this.#thread?.ask<"drain">({ kind: "drain", deadlineMs });
    const cut = (await this.#within(question, deadlineMs + marginMs)) ?? this.#options.openConnections();
    await this.close();
    return cut;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.isServing = false;
    this.#cancelRestart?.();
    await this.#thread?.terminate();
  }

  #threadEvents(): ThreadEvents {
    const { events } = this.#options;
    return {
      onMessage: (message) => {
        switch (message.kind) {
          case "applied":
            this.appliedGeneration = message.generation;
            this.problems = message.problems;
            events.onProgress();
            return;
          case "notApplied":
            events.onNotApplied(message.message);
            return;
          case "bug":
            events.onBug(message.message);
            return;
          case "lastCounts":
            this.#lastCounts = message.counts;
        }
      },
      onStuck: () => {
        this.#isStuck = true;
        // Its end is noticed by `onExit`.
        void this.#thread?.terminate();
      },
      onExit: (error) => this.#onExit(error),
    };
  }

  #onExit(error: Error | null): void {
    const { clock, events, worker, mayRestart } = this.#options;
    this.#thread = null;
    this.isServing = false;
    if (this.#lastCounts !== null) {
      this.#lastCounts = { ...this.#lastCounts, proxy: closedCounts(this.#lastCounts.proxy) };
    }
    events.onGone();
    if (this.#isClosed || !this.#hasServed || !mayRestart()) return;
    if (clock.nowMs() - this.#startedAtMs >= stableMs) this.#crashes = 0;
    const delayMs = Math.min(restartMaxMs, restartMinMs * 2 ** this.#crashes);
    this.#crashes += 1;
    const what = this.#isStuck ? "no longer answers and was ended" : "died";
    const why = error === null ? this.#listenFailure : (error.stack ?? error.message);
    events.onLost(
      this.#isStuck ? "stuck" : "crash",
      `worker ${worker} ${what}; its connections are lost, another one starts in ${delayMs} ms: ${why}`.replace(
        /: $/,
        "",
      ),
    );
    this.#cancelRestart = clock.after(delayMs, () => void this.#restart());
  }

  /** Never throws. */
  async #restart(): Promise<void> {
    const { worker, events, ports } = this.#options;
    this.#cancelRestart = null;
    this.start();
    try {
      await this.listen(ports());
      events.onBack(`worker ${worker} serves again`);
    } catch (cause) {
      // A thread that could not listen is of no use; its end leads to the next try.
      this.#listenFailure = cause instanceof Error ? cause.message : String(cause);
      await this.#thread?.terminate();
    }
  }

  /** Null: it failed, or took too long. */
  async #within<T>(answer: Promise<T> | undefined, maxMs: number): Promise<T | null> {
    if (answer === undefined) return null;
    const { promise, resolve } = Promise.withResolvers<null>();
    const cancel = this.#options.clock.after(maxMs, () => resolve(null));
    try {
      return await Promise.race([answer, promise]);
    } catch {
      return null;
    } finally {
      cancel();
    }
  }
}
