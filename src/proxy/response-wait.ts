// What a client waits for after its request's head, and for how long: the word that it may send the content it holds
// back (`Expect: 100-continue`), and the head of the response. The exchange acts on it; here is only the time.
import type { Deadlines, Timed } from "./deadlines.ts";

export interface WaitingExchange {
  /** The endpoint has not said whether it wants the content. */
  askForContent(): void;
  /** The response takes too long. */
  onAnswerTimeout(): void;
}

export class ResponseWait implements Timed {
  /** The earlier of the two times below. */
  deadlineAt = Infinity;
  /** The client has not been told to go on yet. */
  mayContinue = false;
  readonly #deadlines: Deadlines;
  readonly #exchange: WaitingExchange;
  /** When to ask the client for the content. */
  #continueAt = Infinity;
  /** When the head of the response must be there. */
  #answerBy = Infinity;

  constructor(deadlines: Deadlines, exchange: WaitingExchange) {
    this.#deadlines = deadlines;
    this.#exchange = exchange;
  }

  setAnswerBy(atMs: number): void {
    this.#watch(Infinity, atMs);
  }

  setContinueAt(atMs: number): void {
    this.#watch(atMs, this.#answerBy);
  }

  /** Whether the client is to be told to go on: true at most once. */
  takeContinue(): boolean {
    if (!this.mayContinue) return false;
    this.mayContinue = false;
    if (this.#continueAt !== Infinity) this.#watch(Infinity, this.#answerBy);
    return true;
  }

  end(): void {
    this.mayContinue = false;
    if (this.deadlineAt !== Infinity) this.#watch(Infinity, Infinity);
  }

  onDeadline(nowMs: number): void {
    if (nowMs >= this.#answerBy) this.#exchange.onAnswerTimeout();
    else this.#exchange.askForContent();
  }

  #watch(continueAt: number, answerBy: number): void {
    this.#continueAt = continueAt;
    this.#answerBy = answerBy;
    this.deadlineAt = Math.min(continueAt, answerBy);
    if (this.deadlineAt === Infinity) this.#deadlines.delete(this);
    else this.#deadlines.add(this);
  }
}
