// Reads the requests of one client connection from its bytes as they come, one request at a time. Bytes that nobody can
// take yet wait here: pipelined requests for their turn (RFC 9112, 9.3.2), content for the endpoint.
import type net from "node:net";
import { HeldBytes, type BufferedBytes, type BufferOwner } from "../buffered-bytes.ts";
import type { ErrorCode } from "../errors.ts";
import type { ProxyLimits } from "../limits.ts";
import { Step } from "./head-reader.ts";
import { RequestParser } from "./request-parser.ts";

/** Bytes that wait for their turn before the socket is paused. */
const stashPauseBytes = 4096;

/** The connection, as its reader sees it. */
export interface RequestSink {
  /** Asked before bytes of a head are read. */
  mayReadHead(): boolean;
  /** A head has begun, or goes on, and is not complete. */
  onHeadPart(): void;
  /** The head of a request is complete: see the parser. */
  onHead(): void;
  onHeadInvalid(code: ErrorCode): void;
  /** Asked before content is read. */
  mayReadContent(): boolean;
  onContent(buffer: Buffer, start: number, end: number): void;
  onContentInvalid(code: ErrorCode): void;
  onContentEnd(): void;
  /** Part of some content was handed over; the next piece may be long in coming. */
  onReadPaused(): void;
}

export class RequestReader {
  readonly parser: RequestParser;
  /** The current request was read to its end, or there is none. */
  isRequestRead = true;
  readonly #socket: net.Socket;
  readonly #sink: RequestSink;
  /** Never empty. */
  #stash: Buffer | null = null;
  readonly #held: HeldBytes;
  #isReading = false;
  #isEnded = false;

  constructor(
    services: { readonly limits: ProxyLimits; readonly buffered: BufferedBytes },
    socket: net.Socket,
    sink: RequestSink & BufferOwner,
  ) {
    this.parser = new RequestParser(services.limits);
    this.#held = new HeldBytes(services.buffered, sink, () => this.#heldBytes());
    this.#socket = socket;
    this.#sink = sink;
  }

  get isEmpty(): boolean {
    return this.#stash === null;
  }

  receive(buffer: Buffer, start: number, end: number): void {
    if (this.#stash === null) {
      const pos = this.#read(buffer, start, end);
      if (pos < end) this.#keep(Buffer.from(buffer.subarray(pos, end)));
    } else {
      this.#keep(Buffer.concat([this.#stash, buffer.subarray(start, end)]));
    }
    this.#held.update(this.#heldBytes());
  }

  /** Bytes that wait, and those of a head that is not complete. */
  #heldBytes(): number {
    if (this.#isEnded) return 0;
    return (this.#stash === null ? 0 : this.#stash.length) + this.parser.carriedBytes;
  }

  /** Reads what waits. False: some of it still waits. */
  resume(): boolean {
    if (this.#isReading) return false;
    const stash = this.#stash;
    if (stash === null) return true;
    this.#stash = null;
    const pos = this.#read(stash, 0, stash.length);
    if (pos < stash.length) this.#stash = stash.subarray(pos);
    this.#held.update(this.#heldBytes());
    return this.#stash === null;
  }

  /** Gives what waits to a tunnel. */
  takeRest(): Buffer | null {
    const rest = this.#stash;
    this.#stash = null;
    this.#held.update(this.#heldBytes());
    return rest;
  }

  next(): void {
    this.parser.reset();
    this.#held.update(this.#heldBytes());
  }

  /** Nothing is read any more. */
  end(): void {
    this.#isEnded = true;
    this.parser.fields.reset();
    this.#stash = null;
    this.#held.update(0);
  }

  /** A little is kept without pausing: only a socket that is read tells that its client has gone. */
  #keep(bytes: Buffer): void {
    this.#stash = bytes;
    if (bytes.length > stashPauseBytes) this.#socket.pause();
  }

  /** Takes what it can from `buffer[start, end)` and returns the position of the rest. */
  #read(buffer: Buffer, start: number, end: number): number {
    let pos = start;
    this.#isReading = true;
    try {
      while (pos < end && !this.#isEnded) {
        const next = this.isRequestRead
          ? this.#readHead(buffer, pos, end)
          : this.#readContent(buffer, pos, end);
        if (next < 0) break;
        pos = next;
      }
    } finally {
      this.#isReading = false;
    }
    if (!this.isRequestRead) this.#sink.onReadPaused();
    return this.#isEnded ? end : pos;
  }

  /** Returns the new position; -1: not now. */
  #readHead(buffer: Buffer, pos: number, end: number): number {
    if (!this.#sink.mayReadHead()) return -1;
    const step = this.parser.read(buffer, pos, end);
    if (step === Step.More) {
      this.#sink.onHeadPart();
      return end;
    }
    if (step === Step.Error) {
      this.#sink.onHeadInvalid(this.parser.error);
      return end;
    }
    const next = this.parser.position;
    this.isRequestRead = !this.parser.hasContent;
    this.#sink.onHead();
    return next;
  }

  #readContent(buffer: Buffer, pos: number, end: number): number {
    if (!this.#sink.mayReadContent()) return -1;
    const step = this.parser.read(buffer, pos, end);
    const next = this.parser.position;
    if (step === Step.Error) {
      this.#sink.onContentInvalid(this.parser.error);
      return end;
    }
    if (step === Step.Content) {
      const { contentStart, contentEnd } = this.parser.content;
      this.#sink.onContent(buffer, contentStart, contentEnd);
    }
    // The last byte of content and the end of the message are found by one read.
    if (step === Step.End || (step === Step.Content && this.#isAtEnd(buffer, next))) {
      this.isRequestRead = true;
      this.#sink.onContentEnd();
    }
    return step === Step.More ? end : next;
  }

  #isAtEnd(buffer: Buffer, pos: number): boolean {
    return !this.#isEnded && !this.isRequestRead && this.parser.read(buffer, pos, pos) === Step.End;
  }
}
