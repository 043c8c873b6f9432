// Connections that are not taken, and are told so: a small answer, made beforehand, once the client has said anything,
// and the end. Nothing of the request is read. An answer before the request would be one that nobody asked for, and a
// connection that is closed at once would take the answer with it (RFC 9112, 9.6).
import type net from "node:net";
import type { Clock } from "../../util/clock.ts";
import { httpDate, retryAfterSeconds } from "../core.ts";
import type { Deadlines, Timed } from "../deadlines.ts";
import { reasonPhrases } from "../errors.ts";
import type { ProxyLimits } from "../limits.ts";
import type { RefusalReason } from "./admission.ts";

/** Without content, so that it answers every method. */
function answer(reason: RefusalReason): string {
  const status = reason === "client" ? 429 : 503;
  return (
    `HTTP/1.1 ${status} ${reasonPhrases[status] ?? ""}\r\nDate: ${httpDate()}\r\n` +
    `Retry-After: ${retryAfterSeconds}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`
  );
}

type RefusalLimits = Pick<ProxyLimits, "refusalsMax" | "lingerTimeoutMs" | "lingerMaxBytes">;

export class Refusals {
  readonly #clock: Clock;
  readonly #deadlines: Deadlines;
  readonly #limits: RefusalLimits;
  /** Oldest first. */
  readonly #refusals = new Set<Refusal>();

  constructor(clock: Clock, deadlines: Deadlines, limits: RefusalLimits) {
    this.#clock = clock;
    this.#deadlines = deadlines;
    this.#limits = limits;
  }

  get size(): number {
    return this.#refusals.size;
  }

  /** `socket` is paused, and nobody else reads it. */
  tell(socket: net.Socket, reason: RefusalReason): void {
    const deadlineAt = this.#clock.nowMs() + this.#limits.lingerTimeoutMs;
    const refusal = new Refusal(socket, reason, { deadlineAt, readMaxBytes: this.#limits.lingerMaxBytes });
    this.#refusals.add(refusal);
    this.#deadlines.add(refusal);
    socket.once("close", () => {
      this.#refusals.delete(refusal);
      this.#deadlines.delete(refusal);
    });
    if (this.#refusals.size <= this.#limits.refusalsMax) return;
    const [oldest] = this.#refusals;
    oldest?.destroy();
  }

  close(): void {
    for (const refusal of this.#refusals) refusal.destroy();
  }
}

class Refusal implements Timed {
  readonly deadlineAt: number;
  readonly #socket: net.Socket;

  constructor(
    socket: net.Socket,
    reason: RefusalReason,
    bounds: { readonly deadlineAt: number; readonly readMaxBytes: number },
  ) {
    this.#socket = socket;
    this.deadlineAt = bounds.deadlineAt;
    let left = bounds.readMaxBytes;
    socket.once("data", () => socket.end(answer(reason)));
    socket.on("data", (chunk: Buffer) => {
      left -= chunk.length;
      if (left < 0) socket.destroy();
    });
    // One that said nothing gets nothing; after an answer both halves are closed, and so is the socket.
    socket.on("end", () => {
      if (left === bounds.readMaxBytes) socket.destroy();
    });
    socket.on("error", () => socket.destroy());
    socket.resume();
  }

  onDeadline(): void {
    this.destroy();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}
