// One HTTP/1.1 connection of a client: reads requests one after the other, hands them to its exchange and writes what
// the exchange answers. Pipelined requests wait their turn as bytes (RFC 9112, 9.3.2); nothing reads further ahead.
import type net from "node:net";
import type { ListenerCounters } from "../../metrics/proxy-metrics.ts";
import type { ConnectionLease } from "../admission/admission.ts";
import type { ProxyCore } from "../core.ts";
import type { Timed } from "../deadlines.ts";
import { reasonPhrases, type ErrorCode } from "../errors.ts";
import { Exchange } from "../exchange.ts";
import type { Downstream } from "../ports.ts";
import { adoptAccepted, readByEvents, type ByteReader } from "../socket-reader.ts";
import { Step } from "./head-reader.ts";
import { OutputBuffer } from "./output-buffer.ts";
import { RequestParser } from "./request-parser.ts";

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
  /** The last response is written; what still comes is thrown away, so that a reset does not eat it (RFC 9112, 9.6). */
  Lingering: 2,
  Closed: 3,
} as const;
type Phase = (typeof Phase)[keyof typeof Phase];

/** What the current deadline is about. */
const Waiting = { Nothing: 0, Head: 1, NextRequest: 2, Content: 3, Drain: 4, Linger: 5 } as const;
type Waiting = (typeof Waiting)[keyof typeof Waiting];

/** Bytes that wait for their turn before the socket is paused. */
const stashPauseBytes = 4096;

export class ServerConnection implements Downstream, ByteReader, Timed {
  deadlineAt = Infinity;
  readonly isTls: boolean;
  readonly clientAddress: string;
  readonly forwardedLines: string;
  readonly #core: ProxyCore;
  readonly #lease: ConnectionLease;
  readonly #listener: ListenerInfo;
  readonly #socket: net.Socket;
  readonly #output: OutputBuffer;
  readonly #parser: RequestParser;
  readonly #exchange: Exchange;
  #phase: Phase = Phase.Open;
  #waiting: Waiting = Waiting.Head;
  /** Bytes that came while nobody could take them; never empty. */
  #stash: Buffer | null = null;
  #isProcessing = false;
  #isReadEnded = false;
  #requests = 0;
  /** Of the current request. */
  #isRequestRead = true;
  #isResponseWritten = true;
  #isHeadWritten = false;
  #isLast = false;
  #isChunked = false;
  #isUntilClose = false;
  #discardMaxBytes = 0;
  #contentBytes = 0;
  #contentSince = 0;
  #lingerBytes = 0;

  constructor(core: ProxyCore, listener: ListenerInfo, accepted: net.Socket, lease: ConnectionLease) {
    this.#core = core;
    this.#lease = lease;
    this.#listener = listener;
    this.isTls = listener.isTls;
    this.clientAddress = plainAddress(accepted.remoteAddress ?? "");
    this.forwardedLines = forwardedLines(this.clientAddress, listener);
    this.#parser = new RequestParser(core.limits);
    this.#exchange = new Exchange(core, this);
    const { headTimeoutMs, lingerTimeoutMs } = core.limits;
    this.#waitFor(Waiting.Head, core.isDraining ? Math.min(headTimeoutMs, lingerTimeoutMs) : headTimeoutMs);
    if (listener.isTls) {
      this.#socket = accepted;
      readByEvents(accepted, this);
    } else {
      this.#socket = adoptAccepted(accepted, core.readBuffers, this);
    }
    this.#output = new OutputBuffer(this.#socket, core.readBuffers);
    this.#socket.on("drain", () => this.#guard(() => this.#onDrain()));
    this.#socket.on("finish", () => this.#guard(() => this.#onFinish()));
    this.#socket.on("end", () => this.#guard(() => this.#onEnd()));
    this.#socket.on("error", () => this.#guard(() => this.#onClosed()));
    this.#socket.on("close", () => this.#guard(() => this.#onClosed()));
    core.deadlines.add(this);
    listener.connections.add(this);
  }

  /**
   * Shutdown: an idle connection ends now, in an orderly way, since its last response may still be on its way; a busy one
   * ends with its response. One that has carried none, or is in the middle of a head, has a moment to complete it.
   */
  drain(): void {
    this.#isLast = true;
    if (this.#phase !== Phase.Open || !this.#isRequestRead || !this.#isResponseWritten) return;
    if (this.#requests > 0 && this.#parser.isHeadEmpty) this.#endGracefully();
    else this.#waitFor(Waiting.Head, this.#core.limits.lingerTimeoutMs);
  }

  destroy(): void {
    this.#exchange.onRequestFailed("downstreamClosed");
    this.#close();
  }

  // From the socket.

  get isInContent(): boolean {
    return (this.#phase === Phase.Open && !this.#isRequestRead) || this.#phase === Phase.Tunnel;
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
    } else if (this.#phase === Phase.Lingering) {
      this.#lingerBytes += end - start;
      if (this.#lingerBytes <= this.#core.limits.lingerMaxBytes) return;
      // What is still to be written goes out first.
      if (this.#socket.writableFinished) this.#close();
      else this.#socket.pause();
    } else if (this.#stash === null) {
      const pos = this.#process(buffer, start, end);
      if (pos < end) this.#keep(Buffer.from(buffer.subarray(pos, end)));
    } else {
      this.#keep(Buffer.concat([this.#stash, buffer.subarray(start, end)]));
    }
  }

  /** Takes what it can from `buffer[start, end)` and returns the position of the rest. */
  #process(buffer: Buffer, start: number, end: number): number {
    let pos = start;
    this.#isProcessing = true;
    while (pos < end && this.#phase === Phase.Open) {
      const next = this.#isRequestRead
        ? this.#readHead(buffer, pos, end)
        : this.#readContent(buffer, pos, end);
      if (next < 0) break;
      pos = next;
    }
    this.#isProcessing = false;
    // Content that came with this read leaves now; the next piece may be long in coming.
    if (!this.#isRequestRead) this.#exchange.onDownstreamReadDone();
    return this.#phase === Phase.Lingering || this.#phase === Phase.Closed ? end : pos;
  }

  /** Returns the new position; -1: not now. */
  #readHead(buffer: Buffer, pos: number, end: number): number {
    if (!this.#isResponseWritten) return -1;
    if (this.#socket.writableNeedDrain) {
      // Responses that the client does not take must not pile up by the number of requests that it pipelines.
      this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
      return -1;
    }
    if (this.#waiting === Waiting.NextRequest) this.#waitFor(Waiting.Head, this.#core.limits.headTimeoutMs);
    const step = this.#parser.read(buffer, pos, end);
    if (step === Step.More) return end;
    if (step === Step.Error) {
      this.#isResponseWritten = false;
      this.#isLast = true;
      this.#exchange.reject(this.#parser.error);
      return end;
    }
    const next = this.#parser.position;
    this.#begin();
    return next;
  }

  #begin(): void {
    const parser = this.#parser;
    this.#requests += 1;
    this.#isRequestRead = !parser.hasContent;
    this.#isResponseWritten = false;
    this.#isHeadWritten = false;
    this.#isLast ||=
      parser.isLast || this.#core.isDraining || this.#requests >= this.#core.limits.requestsPerConnectionMax;
    this.#discardMaxBytes = 0;
    this.#waiting = Waiting.Nothing;
    this.deadlineAt = Infinity;
    this.#exchange.begin(parser);
  }

  #readContent(buffer: Buffer, pos: number, end: number): number {
    const isDiscarding = this.#isResponseWritten;
    if (!isDiscarding && !this.#exchange.wantsContent) return -1;
    const step = this.#parser.read(buffer, pos, end);
    const next = this.#parser.position;
    if (step === Step.Error) {
      if (isDiscarding) this.#close();
      else this.#exchange.onRequestFailed(this.#parser.error);
      return end;
    }
    if (step === Step.Content) this.#onContent(buffer, isDiscarding);
    // The last byte of content and the end of the message are found by one read.
    if (step === Step.End || (step === Step.Content && this.#isAtEnd(buffer, next))) this.#onContentEnd();
    return step === Step.More ? end : next;
  }

  #isAtEnd(buffer: Buffer, pos: number): boolean {
    return (
      this.#phase === Phase.Open && !this.#isRequestRead && this.#parser.read(buffer, pos, pos) === Step.End
    );
  }

  #onContent(buffer: Buffer, isDiscarding: boolean): void {
    const { contentStart, contentEnd } = this.#parser.content;
    if (isDiscarding) {
      this.#discardMaxBytes -= contentEnd - contentStart;
      if (this.#discardMaxBytes < 0) this.#close();
      return;
    }
    this.#contentBytes += contentEnd - contentStart;
    if (this.#isTooSlow()) {
      this.#exchange.onRequestFailed("contentTimeout");
      return;
    }
    if (this.#exchange.onContent(buffer, contentStart, contentEnd)) return;
    // Nobody takes it now: that is not the client's fault. `resumeContent` starts its clock again.
    if (this.#waiting === Waiting.Content) this.#waitForNothing();
  }

  #onContentEnd(): void {
    this.#isRequestRead = true;
    if (this.#waiting === Waiting.Content) this.#waitForNothing();
    if (!this.#isResponseWritten) this.#exchange.onContentEnd();
    else this.#nextRequest();
  }

  /** Both halves of an exchange are over. */
  #nextRequest(): void {
    if (this.#phase !== Phase.Open) return;
    if (this.#isLast) {
      this.#endGracefully();
      return;
    }
    this.#parser.reset();
    this.#waitFor(Waiting.NextRequest, this.#core.limits.keepAliveTimeoutMs);
    if (!this.#isProcessing) this.#processStash();
  }

  #processStash(): void {
    const stash = this.#stash;
    if (stash !== null) {
      this.#stash = null;
      if (this.#phase === Phase.Tunnel) {
        if (!this.#exchange.onTunnelBytes(stash, 0, stash.length)) return;
      } else {
        const pos = this.#process(stash, 0, stash.length);
        if (pos < stash.length) this.#stash = stash.subarray(pos);
      }
    }
    if (this.#stash !== null) return;
    if (this.#isReadEnded) this.#onAllRead();
    else this.#socket.resume();
  }

  /** A little is kept without pausing: only a socket that is read tells that its client has gone. */
  #keep(bytes: Buffer): void {
    this.#stash = bytes;
    if (bytes.length > stashPauseBytes) this.#socket.pause();
  }

  // From the exchange.

  get takesInterim(): boolean {
    return this.#parser.minorVersion === 1;
  }

  sendInterim(status: number, lines: string): void {
    if (!this.takesInterim || this.#isHeadWritten) return;
    this.#output.appendText(`HTTP/1.1 ${status} ${reasonPhrases[status] ?? ""}\r\n${lines}\r\n`);
    this.#output.flush();
  }

  sendHead(status: number, reason: string, lines: string, contentLength: number, hasContent: boolean): void {
    this.#isHeadWritten = true;
    this.#isChunked = false;
    this.#isUntilClose = false;
    if (!this.#isRequestRead && !this.#mayDiscard()) this.#isLast = true;
    // A shutdown may have begun since the request came.
    if (this.#core.isDraining) this.#isLast = true;
    let head = `HTTP/1.1 ${status} ${reason}\r\n${lines}`;
    if (contentLength >= 0) {
      if (status !== 204) head += `Content-Length: ${contentLength}\r\n`;
    } else if (hasContent && this.takesInterim) {
      this.#isChunked = true;
      head += "Transfer-Encoding: chunked\r\n";
    } else if (hasContent) {
      // An HTTP/1.0 client knows no chunks: the end of the connection is the end of the content.
      this.#isUntilClose = true;
      this.#isLast = true;
    }
    if (this.#isLast) head += "Connection: close\r\n";
    else if (this.#parser.minorVersion === 0) head += "Connection: keep-alive\r\n";
    this.#output.appendText(`${head}\r\n`);
  }

  sendContent(buffer: Buffer, start: number, end: number): boolean {
    const isOpen = this.#isChunked
      ? this.#output.appendChunk(buffer, start, end)
      : this.#output.appendBytes(buffer, start, end);
    if (!isOpen) this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
    return isOpen;
  }

  sendEnd(trailers: string): void {
    if (this.#isChunked) this.#output.appendText(`0\r\n${trailers}\r\n`);
    this.#output.flush();
    this.#isResponseWritten = true;
    this.#isUntilClose = false;
    if (this.#isRequestRead) {
      this.#nextRequest();
    } else if (this.#isLast) {
      this.#endGracefully();
    } else {
      this.#waitFor(Waiting.Content, this.#core.limits.contentTimeoutMs);
      if (!this.#isProcessing) this.#processStash();
    }
  }

  flush(): void {
    this.#output.flush();
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
    this.#isRequestRead = true;
    const isClientLost = code === "downstreamClosed" || code === "downstreamStalled";
    if (this.#isUntilClose || isClientLost) this.#close();
    else this.#endGracefully();
  }

  resumeContent(): void {
    if (this.#phase !== Phase.Open && this.#phase !== Phase.Tunnel) return;
    if (this.#phase === Phase.Open && !this.#isRequestRead) this.#startContentClock();
    if (!this.#isProcessing) this.#processStash();
  }

  startTunnel(lines: string): void {
    this.#isHeadWritten = true;
    this.#output.appendText(`HTTP/1.1 101 Switching Protocols\r\n${lines}Connection: upgrade\r\n\r\n`);
    this.#output.flush();
    this.#phase = Phase.Tunnel;
    if (!this.#isProcessing) this.#processStash();
    if (this.#isReadEnded) this.#exchange.onTunnelEnd();
  }

  sendTunnelBytes(buffer: Buffer, start: number, end: number): boolean {
    const isOpen = this.#output.appendBytes(buffer, start, end);
    this.#output.flush();
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
    this.#isProcessing = false;
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
          this.#waitForNothing();
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
          this.#exchange.onRequestFailed("downstreamStalled");
          this.#close();
          return;
        case Waiting.Linger:
          this.#close();
      }
    });
  }

  /** A client that sent nothing at all gets nothing. */
  #onHeadTimeout(): void {
    if (this.#parser.isHeadEmpty) {
      this.#close();
      return;
    }
    this.#isResponseWritten = false;
    this.#isLast = true;
    this.#exchange.reject("headTimeout");
  }

  #waitFor(waiting: Waiting, timeoutMs: number): void {
    this.#waiting = waiting;
    this.deadlineAt = this.#core.clock.nowMs() + timeoutMs;
  }

  #waitForNothing(): void {
    this.#waiting = Waiting.Nothing;
    this.deadlineAt = Infinity;
  }

  #startContentClock(): void {
    this.#contentBytes = 0;
    this.#contentSince = this.#core.clock.nowMs();
    this.#waitFor(Waiting.Content, this.#core.limits.contentTimeoutMs);
  }

  /** Moves the deadline for the next read, and judges the rate once per window. */
  #isTooSlow(): boolean {
    const { contentTimeoutMs, contentMinBytesPerSecond } = this.#core.limits;
    this.#waitFor(Waiting.Content, contentTimeoutMs);
    const elapsedMs = this.deadlineAt - contentTimeoutMs - this.#contentSince;
    if (elapsedMs < contentTimeoutMs) return false;
    const isTooSlow = this.#contentBytes * 1000 < contentMinBytesPerSecond * elapsedMs;
    this.#contentBytes = 0;
    this.#contentSince += elapsedMs;
    return isTooSlow;
  }

  // The end.

  /** Content that nobody wants any more is read and dropped when it is surely little, to keep the connection. */
  #mayDiscard(): boolean {
    const { contentLength, expectsContinue } = this.#parser;
    if (expectsContinue || contentLength < 0 || contentLength > this.#core.limits.lingerMaxBytes)
      return false;
    this.#discardMaxBytes = contentLength;
    return true;
  }

  #onDrain(): void {
    if (this.#waiting === Waiting.Drain && this.#phase !== Phase.Lingering) this.#waitForNothing();
    this.#exchange.onDownstreamDrain();
    if (this.#phase !== Phase.Open || !this.#isRequestRead || !this.#isResponseWritten) return;
    if (this.#waiting === Waiting.Nothing) {
      this.#waitFor(Waiting.NextRequest, this.#core.limits.keepAliveTimeoutMs);
    }
    this.#processStash();
  }

  /** The client will send no more; it may still wait for the answer to a complete request. */
  #onEnd(): void {
    this.#isReadEnded = true;
    if (this.#phase === Phase.Tunnel) {
      this.#exchange.onTunnelEnd();
      if (this.#socket.writableEnded) this.#endGracefully();
    } else if (this.#phase === Phase.Lingering) {
      if (this.#socket.writableFinished) this.#close();
    } else if (this.#stash === null) {
      this.#onAllRead();
    }
  }

  /** The client has ended, and all that it sent before has been looked at: what is incomplete stays so. */
  #onAllRead(): void {
    if (this.#phase !== Phase.Open) return;
    if (!this.#isRequestRead) {
      this.#exchange.onRequestFailed("downstreamClosed");
      this.#close();
    } else if (this.#isResponseWritten) this.#endGracefully();
  }

  /** Everything that was written reaches the client, however slowly it reads, as long as it reads. */
  #endGracefully(): void {
    if (this.#phase === Phase.Closed || this.#phase === Phase.Lingering) return;
    this.#output.flush();
    this.#stash = null;
    this.#phase = Phase.Lingering;
    this.#waitFor(Waiting.Drain, this.#core.limits.downstreamStallTimeoutMs);
    this.#socket.end();
    this.#socket.resume();
    if (this.#socket.writableFinished) this.#onFinish();
  }

  /** The end was sent. In a tunnel the other direction goes on. */
  #onFinish(): void {
    if (this.#phase !== Phase.Lingering) return;
    if (this.#isReadEnded || this.#lingerBytes > this.#core.limits.lingerMaxBytes) this.#close();
    else this.#waitFor(Waiting.Linger, this.#core.limits.lingerTimeoutMs);
  }

  #onClosed(): void {
    if (this.#phase === Phase.Closed) return;
    this.#exchange.onRequestFailed("downstreamClosed");
    this.#close();
  }

  #close(): void {
    if (this.#phase === Phase.Closed) return;
    this.#phase = Phase.Closed;
    this.#waitForNothing();
    this.#stash = null;
    this.#core.deadlines.delete(this);
    this.#listener.connections.delete(this);
    this.#listener.counters.closed();
    this.#lease.release();
    if (this.#isUntilClose && !this.isTls) this.#socket.resetAndDestroy();
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

function forwardedLines(address: string, listener: ListenerInfo): string {
  const scheme = listener.isTls ? "https" : "http";
  return (
    `X-Real-IP: ${address}\r\nX-Forwarded-For: ${address}\r\nX-Forwarded-Port: ${listener.forwardedPort}\r\n` +
    `X-Forwarded-Proto: ${scheme}\r\nX-Forwarded-Scheme: ${scheme}\r\nX-Scheme: ${scheme}\r\n`
  );
}

/** An IPv4 peer of a dual-stack socket is an IPv4 address. */
function plainAddress(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
