// One thread, seen from the controller's: messages, questions with their answers, heartbeats and the end.
import { Worker } from "node:worker_threads";
import type { Cancel, Clock } from "../../util/clock.ts";
import type { Answers, FromWorker, QuestionOf, ToWorker, WorkerStart } from "./protocol.ts";

export interface Heartbeat {
  /** Between two questions for a sign of life. */
  readonly intervalMs: number;
  /** So many intervals without an answer, and the worker is stuck. */
  readonly missedMax: number;
}

/** 10 s in all. */
export const defaultHeartbeat: Heartbeat = { intervalMs: 1_000, missedMax: 10 };

export interface ThreadEvents {
  onMessage(message: Exclude<FromWorker, { readonly kind: "answer" | "failure" }>): void;
  /** No sign of life for too long. Called once; the thread still exists. */
  onStuck(): void;
  /** The thread is gone. `error`: what it threw; null: it was ended. */
  onExit(error: Error | null): void;
}

/** To load its code may take a thread this much longer than any answer, on a machine that is busy. */
const startFactor = 10;

interface Waiting {
  readonly resolve: (answer: Answers[keyof Answers]) => void;
  readonly reject: (error: Error) => void;
}

export class WorkerThread {
  readonly exited: Promise<void>;
  readonly #worker: Worker;
  readonly #events: ThreadEvents;
  readonly #heartbeat: Heartbeat;
  readonly #cancelHeartbeat: Cancel;
  readonly #waiting = new Map<number, Waiting>();
  #questions = 0;
  #missed = 0;
  #isPinged = false;
  /** It has said something, so its code is loaded. */
  #hasStarted = false;
  #isStuck = false;
  #isGone = false;
  #error: Error | null = null;

  /** `entry`: a file that calls `runWorker`. */
  constructor(
    entry: URL,
    start: WorkerStart,
    options: { readonly clock: Clock; readonly heartbeat: Heartbeat; readonly events: ThreadEvents },
  ) {
    this.#events = options.events;
    this.#heartbeat = options.heartbeat;
    this.#worker = new Worker(entry, { workerData: start, name: `worker ${start.worker}` });
    this.#worker.on("message", (message: FromWorker) => this.#receive(message));
    this.#worker.on("error", (error) => {
      this.#error = error instanceof Error ? error : new Error(String(error));
    });
    const { promise, resolve } = Promise.withResolvers<void>();
    this.exited = promise;
    this.#worker.on("exit", () => {
      this.#onExit();
      resolve();
    });
    this.#cancelHeartbeat = options.clock.every(this.#heartbeat.intervalMs, () => this.#beat());
  }

  /** To a thread that is gone it does nothing. */
  send(message: ToWorker): void {
    if (!this.#isGone) this.#worker.postMessage(message);
  }

  /** Rejects with what went wrong in the worker, or when it ends before it answers. */
  ask<Kind extends keyof Answers>(question: QuestionOf<Kind>): Promise<Answers[Kind]> {
    if (this.#isGone) return Promise.reject(new Error("the worker has ended"));
    this.#questions += 1;
    const id = this.#questions;
    const { promise, resolve, reject } = Promise.withResolvers<Answers[keyof Answers]>();
    this.#waiting.set(id, { resolve, reject });
    this.send({ kind: "ask", id, question });
    // The protocol pairs questions and answers by kind.
    return promise as Promise<Answers[Kind]>;
  }

  /** Whatever it is doing, connections included. */
  async terminate(): Promise<void> {
    await this.#worker.terminate();
    await this.exited;
  }

  #receive(message: FromWorker): void {
    this.#hasStarted = true;
    if (message.kind !== "answer" && message.kind !== "failure") {
      this.#events.onMessage(message);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.kind === "answer") waiting?.resolve(message.answer);
    else
      waiting?.reject(Object.assign(new Error(message.message), message.code ? { code: message.code } : {}));
  }

  /** Counted in questions rather than in time: when this thread was busy itself, the worker has missed one at most. */
  #beat(): void {
    if (this.#isStuck) return;
    if (this.#isPinged) {
      this.#missed += 1;
      const missedMax = this.#heartbeat.missedMax * (this.#hasStarted ? 1 : startFactor);
      if (this.#missed < missedMax) return;
      this.#isStuck = true;
      this.#events.onStuck();
      return;
    }
    this.#isPinged = true;
    const onAnswer = (): void => {
      this.#isPinged = false;
      this.#missed = 0;
    };
    // The end of the thread is told by `onExit`.
    this.ask<"ping">({ kind: "ping" }).then(onAnswer, () => undefined);
  }

  #onExit(): void {
    this.#isGone = true;
    this.#cancelHeartbeat();
    for (const { reject } of this.#waiting.values()) reject(this.#error ?? new Error("the worker has ended"));
    this.#waiting.clear();
    this.#events.onExit(this.#error);
  }
}
