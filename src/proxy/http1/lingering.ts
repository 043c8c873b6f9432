// The orderly end of a client's connection: what was written reaches the client, however slowly it reads, as long as it
// reads; then what it still sends is thrown away for a moment, so that a reset does not eat the last response
// (RFC 9112, 9.6).
import type net from "node:net";
import type { ProxyCore } from "../core.ts";
import type { Timed } from "../deadlines.ts";

export class Lingering implements Timed {
  deadlineAt: number;
  readonly #core: ProxyCore;
  readonly #socket: net.Socket;
  readonly #close: () => void;
  #isReadEnded: boolean;
  #bytes = 0;

  /** `isReadEnded`: the client has sent its end before. `close` is called once it is over. */
  constructor(core: ProxyCore, socket: net.Socket, isReadEnded: boolean, close: () => void) {
    this.#core = core;
    this.#socket = socket;
    this.#isReadEnded = isReadEnded;
    this.#close = close;
    this.deadlineAt = core.clock.nowMs() + core.limits.downstreamStallTimeoutMs;
  }

  begin(): void {
    this.#core.deadlines.add(this);
    this.#socket.end();
    this.#socket.resume();
    if (this.#socket.writableFinished) this.onFinish();
  }

  stop(): void {
    this.#core.deadlines.delete(this);
  }

  onBytes(bytes: number): void {
    this.#bytes += bytes;
    if (!this.#isOverLimit()) return;
    // What is still to be written goes out first.
    if (this.#socket.writableFinished) this.#close();
    else this.#socket.pause();
  }

  /** The client will send no more. */
  onEnd(): void {
    this.#isReadEnded = true;
    if (this.#socket.writableFinished) this.#close();
  }

  /** Everything was sent, our end included. */
  onFinish(): void {
    if (this.#isReadEnded || this.#isOverLimit()) this.#close();
    else this.deadlineAt = this.#core.clock.nowMs() + this.#core.limits.lingerTimeoutMs;
  }

  /** The client takes nothing any more, or does not end. */
  onDeadline(): void {
    this.#close();
  }

  #isOverLimit(): boolean {
    return this.#bytes > this.#core.limits.lingerMaxBytes;
  }
}
