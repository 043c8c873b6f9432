// Reading from sockets into buffers of ours (read-buffers.ts). Ordinary `data` events allocate and shrink 64 KiB for
// every read, which costs a fifth of a proxied request's CPU (docs/decisions/001-own-http-path.md).
import net from "node:net";
import type { BodyBuffer, ReadBuffers } from "./read-buffers.ts";

export interface ByteReader {
  /** More content, or bytes of a tunnel, is to come. */
  readonly isInContent: boolean;
  /** `buffer[start, end)` was read. The buffer belongs to somebody else as soon as this returns. */
  onBytes(buffer: Buffer, start: number, end: number): void;
}

/** A body buffer whose last read brought less is given back: the body comes in drops. */
const bodyReadMinBytes = 8 * 1024;

/** Which buffer one socket reads into. */
class SocketReading {
  readonly #buffers: ReadBuffers;
  readonly #reader: ByteReader;
  #body: BodyBuffer | null = null;
  #lastBytes = 0;

  constructor(buffers: ReadBuffers, reader: ByteReader) {
    this.#buffers = buffers;
    this.#reader = reader;
  }

  /** The `onread` option of a socket. */
  get option(): { buffer: () => Uint8Array; callback: (bytes: number, buffer: Uint8Array) => boolean } {
    return {
      buffer: () => this.#nextBuffer(),
      callback: (bytes, buffer) => {
        this.#lastBytes = bytes;
        this.#buffers.copiedBytes = 0;
        // Only what `#nextBuffer` returned comes here.
        this.#reader.onBytes(buffer as Buffer, 0, bytes);
        return true;
      },
    };
  }

  close(): void {
    this.#body?.leave();
    this.#body = null;
  }

  /**
   * Asked at first, and then after each callback, for the next read. The socket keeps the answer for as long as no read
   * comes, so it is this socket's own affair and cannot change from outside.
   */
  #nextBuffer(): Uint8Array {
    const body = this.#body;
    if (body === null) {
      const isWanted = this.#lastBytes > 0 && this.#buffers.wantsBody && this.#reader.isInContent;
      if (isWanted) this.#body = this.#buffers.takeBody();
    } else if (this.#lastBytes < bodyReadMinBytes || !this.#reader.isInContent) {
      this.close();
    } else if (body.isWaiting) {
      body.leave();
      this.#body = this.#buffers.takeBody();
    }
    return this.#body?.bytes ?? this.#buffers.shared;
  }
}

/** Connects a socket that is read by `reader`. */
export function connectReading(
  options: net.TcpNetConnectOpts,
  buffers: ReadBuffers,
  reader: ByteReader,
): net.Socket {
  const reading = new SocketReading(buffers, reader);
  const socket = net.connect({ ...options, onread: reading.option });
  socket.on("close", () => reading.close());
  return socket;
}

/** What is not documented: the part of a socket that reads, and where a socket keeps its `onread` option. */
interface SocketInternals {
  readonly _handle: { useUserBuffer(buffer: Uint8Array): void } | null;
  [symbol: symbol]: unknown;
}

/** Undefined where a Node release keeps the option elsewhere. */
const onReadSymbols = findOnReadSymbols();

function findOnReadSymbols(): { buffer: symbol; callback: symbol; next: symbol } | undefined {
  const onread = { buffer: () => new Uint8Array(1), callback: () => true };
  const probe = new net.Socket({ onread });
  const symbols = Object.getOwnPropertySymbols(probe);
  const find = (name: string): symbol | undefined => symbols.find(({ description }) => description === name);
  const [buffer, callback, next] = [find("kBuffer"), find("kBufferCb"), find("kBufferGen")];
  const values = probe as unknown as SocketInternals;
  if (buffer === undefined || callback === undefined || next === undefined) return undefined;
  const isAsExpected = values[callback] === onread.callback && values[next] === onread.buffer;
  return isAsExpected ? { buffer, callback, next } : undefined;
}

/**
 * Puts an accepted, still paused socket under our buffers. `onread` exists only for sockets that are made with it; an
 * accepted one gets it by the same steps that its constructor takes. (To move its handle to a new socket is less
 * dependent on Node's inside, but a second socket for each connection.) Where a Node release does not allow
 * that, `data` events do the reading.
 */
export function adoptAccepted(accepted: net.Socket, buffers: ReadBuffers, reader: ByteReader): void {
  const internals = accepted as unknown as SocketInternals;
  const handle = internals._handle;
  if (onReadSymbols === undefined || typeof handle?.useUserBuffer !== "function") {
    readByEvents(accepted, reader);
    // It was paused on purpose, which a listener for its data does not change.
    accepted.resume();
    return;
  }
  const reading = new SocketReading(buffers, reader);
  const { buffer: next, callback } = reading.option;
  const first = next();
  internals[onReadSymbols.buffer] = first;
  internals[onReadSymbols.next] = next;
  internals[onReadSymbols.callback] = callback;
  handle.useUserBuffer(first);
  accepted.on("close", () => reading.close());
  accepted.resume();
}

/** Reads by `data` events: for TLS sockets, which bring buffers of the size of a record that nobody reuses. */
export function readByEvents(socket: net.Socket, reader: ByteReader): void {
  socket.on("data", (chunk: Buffer) => reader.onBytes(chunk, 0, chunk.length));
}

/** Of the peer; an IPv4 peer of a dual-stack socket has an IPv4 address. */
export function addressOf({ remoteAddress: address = "" }: net.Socket): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}
