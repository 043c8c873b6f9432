// One HTTP/1.1 connection of a client: what its reader finds goes to the exchange, what the exchange answers to its
// writer. It knows whose turn it is, how long that may last, and how the connection ends.
import type net from "node:net";
import type { ListenerCounters } from "../../metrics/proxy-metrics.ts";
import type { ConnectionLease } from "../admission/admission.ts";
import type { BufferOwner } from "../buffered-bytes.ts";
import type { ProxyCore } from "../core.ts";
import type { Timed } from "../deadlines.ts";
import { clientLost, type ErrorCode } from "../errors.ts";
import { Exchange } from "../exchange.ts";
import { forwardedLines } from "../forwarding.ts";
import type { Downstream } from "../ports.ts";
import { addressOf, adoptAccepted, readByEvents, type ByteReader } from "../socket-reader.ts";
import { ContentRate } from "./content-rate.ts";
import { Lingering } from "./lingering.ts";
import { RequestReader, type RequestSink } from "./request-reader.ts";
import { ResponseWriter } from "./response-writer.ts";

/** What a connection knows of the listener it came through. */
export interface ListenerInfo {
  readonly isTls: boolean;
  /** The value of X-Forwarded-Port. */
  forwardedPort: number;
  readonly counters: ListenerCounters;
  readonly connections: Set<ServerConnection>;
}

const Phase = {
  /** Reads heads and content, and answers. */
  Open: 0,
  /** Bytes go both ways untouched. */
  Tunnel: 1,
  /** The last response is written: see lingering.ts. */
  Lingering: 2,
  Closed: 3,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** What the current deadline is about. */
const Waiting = { Nothing: 0, Head: 1, NextRequest: 2, Content: 3, Drain: 4 } as const;
type Waiting = (typeof Waiting)[keyof typeof Waiting];

export class ServerConnection implements Downstream, ByteReader, RequestSink, BufferOwner, Timed {
  deadlineAt = Infinity;
  readonly isTls: boolean;
  readonly clientAddress: string;
  readonly forwardedLines: string;
  readonly #core: ProxyCore;
  readonly #lease: ConnectionLease;
  readonly #listener: ListenerInfo;
  readonly #socket: net.Socket;
  readonly #writer: ResponseWriter;
  readonly #reader: RequestReader;
  readonly #exchange: Exchange;
  #phase: Phase = Phase.Open;
  #waiting: Waiting = Waiting.Head;
  #isReadEnded = false;
  #requests = 0;
  /** Of the current request. */
  #isResponseWritten = true;
  #isLast = false;
  #discardMaxBytes = 0;
  readonly #rate: ContentRate;
  #lingering: Lingering | null = null;

  constructor(core: ProxyCore, listener: ListenerInfo, accepted: net.Socket, lease: ConnectionLease) {
    this.#core = core;
    this.#lease = lease;
    this.#listener = listener;
    this.isTls = listener.isTls;
    this.clientAddress = addressOf(accepted);
    this.forwardedLines = forwardedLines(this.clientAddress, listener.isTls, listener.forwardedPort);
    this.#rate = new ContentRate(core.limits);
    this.#exchange = new Exchange(core, this);
    const { headTimeoutMs, lingerTimeoutMs } = core.limits;
    this.#waitFor(Waiting.Head, core.isDraining ? Math.min(headTimeoutMs, lingerTimeoutMs) : headTimeoutMs);
    this.#socket = accepted;
    if (listener.isTls) readByEvents(accepted, this);
    else adoptAccepted(accepted, core.readBuffers, this);
    this.#reader = new RequestReader(core, this.#socket, this);
    this.#writer = new ResponseWriter(this.#socket, core, this);
    this.#socket.on("drain", () => this.#guard(() => this.#onDrain()));
    this.#socket.on("finish", () => this.#guard(() => this.#lingering?.onFinish()));
    this.#socket.on("end", () => this.#guard(() => this.#onEnd()));
    this.#socket.on("error", () => this.#guard(() => this.#closeFor("downstreamClosed")));
    this.#socket.on("close", () => this.#guard(() => this.#closeFor("downstreamClosed")));
    core.deadlines.add(this);
    listener.connections.add(this);
  }

  /**
   * Shutdown: an idle connection ends now, in an orderly way, since its last response may still be on its way; a busy one
   * ends with its response. One that has carried none, or is in the middle of a head, has a moment to complete it.
   */
  drain(): void {
    this.#isLast = true;
    if (this.#phase !== Phase.Open || !this.#reader.isRequestRead || !this.#isResponseWritten) return;
    if (this.#requests > 0 && this.#reader.parser.isHeadEmpty) this.#endGracefully();
    else this.#waitFor(Waiting.Head, this.#core.limits.lingerTimeoutMs);
  }

  destroy(): void {
    this.#closeFor("downstreamClosed");
  }

  // From the socket.

  get isInContent(): boolean {
    return (this.#phase === Phase.Open && !this.#reader.isRequestRead) || this.#phase === Phase.Tunnel;
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    try {
      this.#receive(buffer, start, end);
    } catch (error) {
      this.onBug(error);
    }
  }

  #receive(buffer: Buffer, start: number, end: number): void {
    if (this.#phase === Phase.Tunnel) {
      if (!this.#exchange.onTunnelBytes(buffer, start, end)) this.#socket.pause();
    } else if (this.#phase === Phase.Lingering) this.#lingering?.onBytes(end - start);
    else this.#reader.receive(buffer, start, end);
  }

  // From the reader.

  mayReadHead(): boolean {
    if (!this.#isResponseWritten) return false;
    if (this.#socket.writableNeedDrain) {
      // Responses that the client does not take must not pile up by the number of requests that it pipelines.
      this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
      return false;
    }
    return true;
  }

  /** Most heads come whole, and need no time to complete. */
  onHeadPart(): void {
    if (this.#waiting === Waiting.NextRequest) this.#waitFor(Waiting.Head, this.#core.limits.headTimeoutMs);
  }

  onHead(): void {
    const parser = this.#reader.parser;
    this.#requests += 1;
    this.#isResponseWritten = false;
    this.#writer.begin(parser.minorVersion);
    this.#isLast ||=
      parser.isLast || this.#core.isDraining || this.#requests >= this.#core.limits.requestsPerConnectionMax;
    this.#discardMaxBytes = 0;
    this.#waitUntil(Waiting.Nothing, Infinity);
    this.#exchange.begin(parser);
  }

  onHeadInvalid(code: ErrorCode): void {
    this.#isResponseWritten = false;
    this.#isLast = true;
    this.#exchange.reject(code);
  }

  /** With the response written, nobody wants the content, and it is dropped. */
  mayReadContent(): boolean {
    return this.#isResponseWritten || this.#exchange.wantsContent;
  }

  onContent(buffer: Buffer, start: number, end: number): void {
    if (this.#isResponseWritten) {
      this.#discardMaxBytes -= end - start;
      if (this.#discardMaxBytes < 0) this.#close();
      return;
    }
    const nowMs = this.#core.clock.nowMs();
    this.#waitUntil(Waiting.Content, nowMs + this.#core.limits.contentTimeoutMs);
    if (this.#rate.isTooSlow(end - start, nowMs)) {
      this.#exchange.onRequestFailed("contentTimeout");
      return;
    }
    if (this.#exchange.onContent(buffer, start, end)) return;
    // Nobody takes it now: that is not the client's fault. `resumeContent` starts its clock again.
    if (this.#waiting === Waiting.Content) this.#waitUntil(Waiting.Nothing, Infinity);
  }

  onContentInvalid(code: ErrorCode): void {
    if (this.#isResponseWritten) this.#close();
    else this.#exchange.onRequestFailed(code);
  }

  onContentEnd(): void {
    if (this.#waiting === Waiting.Content) this.#waitUntil(Waiting.Nothing, Infinity);
    if (!this.#isResponseWritten) this.#exchange.onContentEnd();
    else this.#nextRequest();
  }

  onReadPaused(): void {
    this.#exchange.onDownstreamReadDone();
  }

  /** Both halves of an exchange are over. */
  #nextRequest(): void {
    if (this.#phase !== Phase.Open) return;
    if (this.#isLast) {
      this.#endGracefully();
      return;
    }
    this.#reader.next();
    this.#waitFor(Waiting.NextRequest, this.#core.limits.keepAliveTimeoutMs);
    this.#resumeReading();
  }

  #resumeReading(): void {
    if (!this.#reader.resume()) return;
    if (this.#isReadEnded) this.#onAllRead();
    else this.#socket.resume();
  }

  #resumeTunnel(): void {
    const rest = this.#reader.takeRest();
    if (rest !== null && !this.#exchange.onTunnelBytes(rest, 0, rest.length)) return;
    if (!this.#isReadEnded) this.#socket.resume();
  }

  onBuffersFull(): void {
    // An exchange that fails counts it itself.
    const isIdle = this.#reader.isRequestRead && this.#isResponseWritten;
    if (isIdle) this.#core.metrics.refused.add("buffersFull");
    this.#guard(() => this.#closeFor("buffersFull"));
  }

  // From the exchange.

  get takesInterim(): boolean {
    return this.#reader.parser.minorVersion === 1;
  }

  sendInterim(status: number, lines: string): void {
    if (this.takesInterim && !this.#writer.isHeadWritten) this.#writer.interim(status, lines);
  }

  sendHead(status: number, reason: string, lines: string, contentLength: number, hasContent: boolean): void {
    if (!this.#reader.isRequestRead && !this.#mayDiscard()) this.#isLast = true;
    // A shutdown may have begun since the request came.
    const isLast = this.#isLast || this.#core.isDraining;
    this.#isLast = this.#writer.head(status, reason, lines, contentLength, hasContent, isLast);
  }

  sendContent(buffer: Buffer, start: number, end: number): boolean {
    const isOpen = this.#writer.content(buffer, start, end);
    if (!isOpen) this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
    return isOpen;
  }

  sendEnd(trailers: string): void {
    this.#writer.end(trailers);
    this.#isResponseWritten = true;
    if (this.#reader.isRequestRead) {
      this.#nextRequest();
    } else if (this.#isLast) {
      this.#endGracefully();
    } else {
      this.#waitFor(Waiting.Content, this.#core.limits.contentTimeoutMs);
      this.#resumeReading();
    }
  }

  flush(): void {
    this.#writer.flush();
  }

  closeAfterResponse(): void {
    this.#isLast = true;
  }

  /**
   * A message with a length or chunks is visibly cut by the end of the connection; content that ends with the
   * connection needs a reset.
   */
  abort(code: ErrorCode): void {
    if (this.#phase === Phase.Closed) return;
    this.#isResponseWritten = true;
    this.#reader.isRequestRead = true;
    if (this.#writer.isUntilClose || clientLost.has(code)) this.#close();
    else this.#endGracefully();
  }

  resumeContent(): void {
    if (this.#phase === Phase.Tunnel) {
      this.#resumeTunnel();
      return;
    }
    if (this.#phase !== Phase.Open) return;
    if (!this.#reader.isRequestRead) {
      const nowMs = this.#core.clock.nowMs();
      this.#rate.begin(nowMs);
      this.#waitUntil(Waiting.Content, nowMs + this.#core.limits.contentTimeoutMs);
    }
    this.#resumeReading();
  }

  startTunnel(lines: string): void {
    this.#writer.switching(lines);
    this.#phase = Phase.Tunnel;
    this.#resumeTunnel();
    if (this.#isReadEnded) this.#exchange.onTunnelEnd();
  }

  sendTunnelBytes(buffer: Buffer, start: number, end: number): boolean {
    const isOpen = this.#writer.appendBytes(buffer, start, end);
    this.#writer.flush();
    if (!isOpen) this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
    return isOpen;
  }

  endTunnel(): void {
    if (this.#isReadEnded) this.#endGracefully();
    else this.#socket.end();
  }

  /** A bug of ours costs this connection, not the proxy. */
  onBug(error: unknown): void {
    this.#core.onBug(error);
    try {
      this.#exchange.onRequestFailed("internalError");
    } finally {
      if (this.#phase !== Phase.Lingering) this.#close();
    }
  }

  // Time.

  onDeadline(): void {
    this.#guard(() => {
      switch (this.#waiting) {
        case Waiting.Nothing:
          return;
        case Waiting.Head:
          this.#onHeadTimeout();
          return;
        case Waiting.NextRequest:
          this.#endGracefully();
          return;
        case Waiting.Content:
          if (this.#isResponseWritten) this.#close();
          else this.#exchange.onRequestFailed("contentTimeout");
          return;
        case Waiting.Drain:
          this.#closeFor("downstreamStalled");
      }
    });
  }

  /** A client that sent nothing at all gets nothing. */
  #onHeadTimeout(): void {
    if (this.#reader.parser.isHeadEmpty) {
      this.#close();
      return;
    }
    this.#isResponseWritten = false;
    this.#isLast = true;
    this.#exchange.reject("headTimeout");
  }

  #waitFor(waiting: Waiting, timeoutMs: number): void {
    this.#waitUntil(waiting, this.#core.clock.nowMs() + timeoutMs);
  }

  #waitUntil(waiting: Waiting, atMs: number): void {
    this.#waiting = waiting;
    this.deadlineAt = atMs;
  }

  // The end.

  /** Content that nobody wants any more is read and dropped when it is surely little, to keep the connection. */
  #mayDiscard(): boolean {
    const { contentLength, expectsContinue } = this.#reader.parser;
    if (expectsContinue || contentLength < 0 || contentLength > this.#core.limits.lingerMaxBytes)
      return false;
    this.#discardMaxBytes = contentLength;
    return true;
  }

  #onDrain(): void {
    if (this.#waiting === Waiting.Drain) this.#waitUntil(Waiting.Nothing, Infinity);
    this.#writer.settle(false);
    this.#exchange.onDownstreamDrain();
    if (this.#phase !== Phase.Open || !this.#reader.isRequestRead || !this.#isResponseWritten) return;
    if (this.#waiting === Waiting.Nothing) {
      this.#waitFor(Waiting.NextRequest, this.#core.limits.keepAliveTimeoutMs);
    }
    this.#resumeReading();
  }

  /** The client will send no more; it may still wait for the answer to a complete request. */
  #onEnd(): void {
    this.#isReadEnded = true;
    if (this.#phase === Phase.Tunnel) {
      this.#exchange.onTunnelEnd();
      if (this.#socket.writableEnded) this.#endGracefully();
    } else if (this.#phase === Phase.Lingering) this.#lingering?.onEnd();
    else if (this.#reader.isEmpty) this.#onAllRead();
  }

  /** The client has ended, and all that it sent before has been looked at: what is incomplete stays so. */
  #onAllRead(): void {
    if (this.#phase !== Phase.Open) return;
    if (!this.#reader.isRequestRead) this.#closeFor("downstreamClosed");
    else if (this.#isResponseWritten) this.#endGracefully();
  }

  #endGracefully(): void {
    if (this.#phase === Phase.Closed || this.#phase === Phase.Lingering) return;
    this.#writer.flush();
    this.#reader.end();
    this.#phase = Phase.Lingering;
    this.#waitUntil(Waiting.Nothing, Infinity);
    const close = (): void => this.#guard(() => this.#close());
    this.#lingering = new Lingering(this.#core, this.#socket, this.#isReadEnded, close);
    this.#lingering.begin();
  }

  #closeFor(code: ErrorCode): void {
    if (this.#phase === Phase.Closed) return;
    this.#exchange.onRequestFailed(code);
    this.#close();
  }

  #close(): void {
    if (this.#phase === Phase.Closed) return;
    this.#phase = Phase.Closed;
    this.#waitUntil(Waiting.Nothing, Infinity);
    this.#reader.end();
    this.#writer.settle(true);
    this.#core.deadlines.delete(this);
    this.#lingering?.stop();
    this.#listener.connections.delete(this);
    this.#listener.counters.closed();
    this.#lease.release();
    if (this.#writer.isUntilClose && !this.isTls) this.#socket.resetAndDestroy();
    else this.#socket.destroy();
  }

  #guard(action: () => void): void {
    try {
      action();
    } catch (error) {
      this.onBug(error);
    }
  }
}
