// One HTTP/1.1 connection to an endpoint: carries one exchange at a time, and waits in its pool in between.
// It goes back to the pool only when the request was written to its last byte and the response was read to its last
// byte, with nothing after it: anything else would hand one client's bytes to another (limits and reasons: docs/limits.md).
import type net from "node:net";
import type { BufferOwner } from "../buffered-bytes.ts";
import type { ErrorCode } from "../errors.ts";
import type { UpstreamEvents, UpstreamRequest } from "../ports.ts";
import { connectReading, type ByteReader } from "../socket-reader.ts";
import type { Timed } from "../deadlines.ts";
import type { ConnectionOwner, PooledConnection, UpstreamTimeouts } from "../upstream/connection-owner.ts";
import { Step } from "./head-reader.ts";
import { ResponseParser } from "./response-parser.ts";
import { OutputBuffer } from "./output-buffer.ts";

const State = { Connecting: 0, Idle: 1, Busy: 2, Tunnel: 3, Closed: 4 } as const;
type State = (typeof State)[keyof typeof State];

/** What the current deadline is about. */
const Waiting = { Nothing: 0, Connect: 1, Send: 2, Response: 3 } as const;
type Waiting = (typeof Waiting)[keyof typeof Waiting];

export class ClientConnection implements PooledConnection, ByteReader, BufferOwner, Timed {
  deadlineAt = Infinity;
  isReused = false;
  hasReceived = false;
  readonly #pool: ConnectionOwner;
  readonly #socket: net.Socket;
  readonly #output: OutputBuffer;
  readonly #parser: ResponseParser;
  readonly #openedAt: number;
  #events: UpstreamEvents | null;
  #timeouts: UpstreamTimeouts;
  #state: State = State.Connecting;
  #waiting: Waiting = Waiting.Connect;
  #exchanges = 0;
  #interimResponses = 0;
  #isChunkedRequest = false;
  #isRequestSent = false;
  #hasOfferedUpgrade = false;
  #isResponseComplete = false;
  /** The client is slow, so the endpoint may be silent for as long. */
  #isPaused = false;
  /** Nobody wants the rest of the response; so much of it is read nevertheless. -1: somebody does. */
  #discardMaxBytes = -1;
  #keepAliveMs = Infinity;

  /** Starts to connect; `events` learns how it went. */
  constructor(pool: ConnectionOwner, events: UpstreamEvents, timeouts: UpstreamTimeouts) {
    this.#pool = pool;
    this.#events = events;
    this.#timeouts = timeouts;
    this.#parser = new ResponseParser(pool.services.limits);
    this.#openedAt = pool.services.clock.nowMs();
    this.deadlineAt = this.#openedAt + timeouts.connectTimeoutMs;
    const { address: host, port, services } = pool;
    const options = { host, port, noDelay: true, keepAlive: true, allowHalfOpen: true };
    const socket = connectReading(options, services.readBuffers, this);
    this.#socket = socket;
    this.#output = new OutputBuffer(socket, services, this);
    socket.on("connect", () => this.#guard(() => this.#onConnect()));
    socket.on("drain", () => this.#guard(() => this.#onDrain()));
    socket.on("end", () => this.#guard(() => this.#onEnd()));
    socket.on("error", (error) => this.#guard(() => this.#onGone(errorText(error))));
    socket.on("close", () => this.#guard(() => this.#onGone("connection closed")));
    pool.services.deadlines.add(this);
  }

  get isIdle(): boolean {
    return this.#state === State.Idle;
  }

  get isInContent(): boolean {
    const isContent = this.#state === State.Busy && !this.#isResponseComplete && !this.#parser.isInHead;
    return isContent || this.#state === State.Tunnel;
  }

  /** Takes an idle connection for another exchange. */
  reuse(events: UpstreamEvents, timeouts: UpstreamTimeouts): void {
    this.#events = events;
    this.#timeouts = timeouts;
    this.isReused = true;
  }

  sendRequest(request: UpstreamRequest): void {
    this.#state = State.Busy;
    this.#exchanges += 1;
    this.#interimResponses = 0;
    this.#isResponseComplete = false;
    this.hasReceived = false;
    this.#parser.begin(request.method === "HEAD");
    this.#isChunkedRequest = request.hasContent && request.contentLength < 0;
    this.#hasOfferedUpgrade = request.upgrade !== "";
    this.#isRequestSent = !request.hasContent;
    this.#output.sendText(encodeRequestHead(request));
    this.#waitForResponse();
  }

  sendContent(buffer: Buffer, start: number, end: number): boolean {
    if (this.#state !== State.Busy) return true;
    const isOpen = this.#isChunkedRequest
      ? this.#output.appendChunk(buffer, start, end)
      : this.#output.appendBytes(buffer, start, end);
    if (isOpen) this.#waitForResponse();
    else this.#waitToSend();
    return isOpen;
  }

  sendEnd(trailers: string): void {
    if (this.#state !== State.Busy) return;
    if (this.#isChunkedRequest) this.#output.appendText(`0\r\n${trailers}\r\n`);
    this.#output.flush();
    this.#isRequestSent = true;
    if (this.#waiting !== Waiting.Send) this.#waitForResponse();
  }

  flush(): void {
    this.#output.flush();
  }

  pause(): void {
    this.#socket.pause();
    this.#isPaused = true;
    if (this.#waiting === Waiting.Response) this.deadlineAt = Infinity;
  }

  resume(): void {
    if (this.#state !== State.Busy && this.#state !== State.Tunnel) return;
    this.#socket.resume();
    this.#isPaused = false;
    if (this.#waiting === Waiting.Response) this.#waitForResponse();
  }

  sendTunnelBytes(buffer: Buffer, start: number, end: number): boolean {
    const isOpen = this.#output.appendBytes(buffer, start, end);
    this.#output.flush();
    if (isOpen) this.#waitForResponse();
    else this.#waitToSend();
    return isOpen;
  }

  endTunnel(): void {
    this.#socket.end();
  }

  release(isRequestComplete: boolean): void {
    this.#events = null;
    if (this.#state === State.Tunnel) {
      // Both ends were sent: the socket closes by itself once the last bytes have left.
      this.#waitToSend();
      return;
    }
    const now = this.#pool.services.clock.nowMs();
    const { limits } = this.#pool.services;
    const mayStay =
      this.#state === State.Busy &&
      isRequestComplete &&
      this.#isRequestSent &&
      this.#isResponseComplete &&
      !this.#parser.isLast &&
      !this.#socket.readableEnded &&
      this.#exchanges < limits.requestsPerUpstreamConnectionMax &&
      now - this.#openedAt < limits.upstreamConnectionMaxAgeMs;
    if (!mayStay) {
      this.destroy();
      return;
    }
    this.#state = State.Idle;
    this.#waiting = Waiting.Nothing;
    this.#isPaused = false;
    this.deadlineAt = now + Math.min(limits.idleUpstreamTimeoutMs, this.#keepAliveMs);
    this.#socket.resume();
    this.#pool.putIdle(this);
  }

  discard(): void {
    this.#events = null;
    const { limits, clock } = this.#pool.services;
    const { hasContent, contentLength } = this.#parser;
    if (!this.#isRequestSent || (hasContent && contentLength > limits.lingerMaxBytes)) {
      this.#close();
      return;
    }
    this.#discardMaxBytes = limits.lingerMaxBytes;
    this.#waiting = Waiting.Response;
    this.deadlineAt = clock.nowMs() + limits.lingerTimeoutMs;
  }

  destroy(): void {
    this.#events = null;
    this.#close();
  }

  onBuffersFull(): void {
    this.#guard(() => this.#fail("buffersFull", "took no request bytes while all buffers were full"));
  }

  onDeadline(): void {
    this.#guard(() => this.#onDeadline());
  }

  #onDeadline(): void {
    switch (this.#waiting) {
      case Waiting.Nothing:
        this.#close();
        return;
      case Waiting.Connect:
        this.#fail("upstreamConnectTimeout", `no connection after ${this.#timeouts.connectTimeoutMs} ms`);
        return;
      case Waiting.Send:
        this.#fail("upstreamSendTimeout", `took no request bytes for ${this.#timeouts.sendTimeoutMs} ms`);
        return;
      case Waiting.Response:
        this.#fail("upstreamReadTimeout", `sent nothing for ${this.#timeouts.readTimeoutMs} ms`);
    }
  }

  onBytes(buffer: Buffer, start: number, end: number): void {
    const events = this.#events;
    try {
      this.#receive(buffer, start, end);
    } catch (error) {
      this.#onBug(error, events);
    }
  }

  #receive(buffer: Buffer, start: number, end: number): void {
    if (this.#state === State.Tunnel) {
      if (this.#waiting === Waiting.Response) this.#waitForResponse();
      this.#events?.onUpstreamTunnelBytes(buffer, start, end);
      return;
    }
    if (this.#state !== State.Busy || this.#isResponseComplete) {
      // Bytes that no request asked for would become the answer to the next one.
      this.#close();
      return;
    }
    this.hasReceived = true;
    const events = this.#events;
    this.#readSteps(buffer, start, end);
    // After the last read of a response there is nothing to wait for.
    if (this.#state === State.Busy && !this.#isResponseComplete && this.#waiting === Waiting.Response) {
      this.#waitForResponse();
    }
    events?.onUpstreamReadDone();
  }

  #readSteps(buffer: Buffer, start: number, end: number): void {
    let pos = start;
    while (this.#state === State.Busy) {
      const step = this.#parser.read(buffer, pos, end);
      if (step === Step.Error) {
        this.#fail(this.#parser.error, "malformed response");
        return;
      }
      if (step === Step.More) return;
      pos = this.#parser.position;
      if (step === Step.Content) {
        const { contentStart, contentEnd } = this.#parser.content;
        if (this.#discardMaxBytes >= 0) this.#onDiscarded(contentEnd - contentStart);
        else this.#events?.onUpstreamContent(buffer, contentStart, contentEnd);
      } else if (step === Step.Head) {
        this.#onHead(buffer, pos, end);
      } else {
        this.#onResponseEnd(pos < end);
        return;
      }
    }
  }

  #onHead(buffer: Buffer, pos: number, end: number): void {
    const parser = this.#parser;
    this.#pool.onAlive();
    if (parser.status === 101) {
      if (!this.#hasOfferedUpgrade || !parser.hasUpgrade) {
        this.#fail("upstreamInvalid", "101 without a request to switch protocols");
        return;
      }
      this.#state = State.Tunnel;
      this.#waitForResponse();
      this.#events?.onUpstreamSwitched(parser);
      if (pos < end) this.#events?.onUpstreamTunnelBytes(buffer, pos, end);
      return;
    }
    if (parser.status < 200) {
      this.#interimResponses += 1;
      if (this.#interimResponses > this.#pool.services.limits.interimResponsesMax) {
        this.#fail("upstreamInvalid", "too many interim responses");
        return;
      }
      this.#events?.onUpstreamInterim(parser);
      parser.continueAfterInterim();
      return;
    }
    if (parser.keepAliveSeconds >= 0) {
      // A second less than the endpoint promises: a request that meets its close would have to be retried.
      this.#keepAliveMs = Math.max(0, parser.keepAliveSeconds - 1) * 1000;
    }
    this.#events?.onUpstreamHead(parser);
  }

  #onDiscarded(bytes: number): void {
    if (bytes > this.#discardMaxBytes) this.#close();
    else this.#discardMaxBytes -= bytes;
  }

  #onResponseEnd(hasMoreBytes: boolean): void {
    this.#isResponseComplete = !hasMoreBytes;
    this.deadlineAt = Infinity;
    if (this.#discardMaxBytes >= 0) {
      this.#discardMaxBytes = -1;
      this.release(true);
      return;
    }
    this.#events?.onUpstreamEnd(this.#parser.content.trailers);
  }

  #onConnect(): void {
    if (this.#state !== State.Connecting) return;
    this.#state = State.Busy;
    this.#events?.onUpstreamConnected(this);
  }

  #onDrain(): void {
    this.#output.settle(false);
    if (this.#waiting === Waiting.Send) this.#waitForResponse();
    this.#events?.onUpstreamDrain();
  }

  #onEnd(): void {
    if (this.#state === State.Tunnel) {
      this.#events?.onUpstreamTunnelEnd();
      return;
    }
    const isComplete =
      this.#state === State.Busy && !this.#parser.isInHead && this.#parser.content.endsWithConnection;
    if (isComplete) {
      this.#onResponseEnd(false);
      this.#close();
      return;
    }
    this.#onGone("connection closed by the endpoint");
  }

  #onGone(detail: string): void {
    if (this.#state === State.Connecting) this.#fail("upstreamConnectFailed", detail);
    else if (this.#state !== State.Closed) this.#fail("upstreamReset", detail);
  }

  /** Tells the exchange, if there is one, and closes. */
  #fail(code: ErrorCode, detail: string): void {
    const events = this.#events;
    const wasConnecting = this.#state === State.Connecting;
    // A stale connection says nothing about its endpoint, and what fails after the head of a response is one response.
    const isEndpointAtFault =
      code !== "buffersFull" && this.#state === State.Busy && !this.isReused && this.#parser.isInHead;
    this.#events = null;
    this.#close();
    if (wasConnecting) this.#pool.onConnectFailed(code, detail);
    else if (isEndpointAtFault) this.#pool.onExchangeFailed(detail);
    events?.onUpstreamFailed(code, `${this.#pool.key}: ${detail}`);
  }

  #close(): void {
    if (this.#state === State.Closed) return;
    this.#pool.onClosed(this);
    this.#state = State.Closed;
    this.deadlineAt = Infinity;
    this.#pool.services.deadlines.delete(this);
    this.#output.settle(true);
    this.#socket.destroy();
  }

  /**
   * The endpoint has its time to answer once it has the whole request; before that the client's time to send it counts.
   */
  #waitForResponse(): void {
    if (this.#discardMaxBytes >= 0) return;
    const isItsTurn = this.#isRequestSent || !this.#parser.isInHead;
    this.#waiting = Waiting.Response;
    this.deadlineAt =
      isItsTurn && !this.#isPaused
        ? this.#pool.services.clock.nowMs() + this.#timeouts.readTimeoutMs
        : Infinity;
  }

  #waitToSend(): void {
    this.#waiting = Waiting.Send;
    this.deadlineAt = this.#pool.services.clock.nowMs() + this.#timeouts.sendTimeoutMs;
  }

  #guard(action: () => void): void {
    const events = this.#events;
    try {
      action();
    } catch (error) {
      this.#onBug(error, events);
    }
  }

  /** A bug of ours costs the two connections of the exchange, not the proxy. */
  #onBug(error: unknown, events: UpstreamEvents | null): void {
    this.#events = null;
    this.#close();
    if (events === null) this.#pool.services.onBug(error);
    else events.onUpstreamBug(error);
  }
}

/** With its code, which says whether the fault is ours: `EMFILE: ...`. */
function errorText(error: Error): string {
  return "code" in error && typeof error.code === "string" && !error.message.includes(error.code)
    ? `${error.code}: ${error.message}`
    : error.message;
}

/** RFC 9112, 3. The lines come from checked fields; framing and Connection are this connection's own. */
function encodeRequestHead(request: UpstreamRequest): string {
  let head = `${request.method} ${request.target} HTTP/1.1\r\n${request.lines}`;
  if (request.hasContent) {
    head +=
      request.contentLength < 0
        ? "Transfer-Encoding: chunked\r\n"
        : `Content-Length: ${request.contentLength}\r\n`;
  } else if (request.contentLength === 0) {
    head += "Content-Length: 0\r\n";
  }
  if (request.upgrade !== "") head += `Connection: upgrade\r\nUpgrade: ${request.upgrade}\r\n`;
  else if (request.takesTrailers) head += "Connection: te\r\nTE: trailers\r\n";
  return `${head}\r\n`;
}
