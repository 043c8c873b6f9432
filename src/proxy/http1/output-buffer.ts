// What one connection is about to write. Heads and small content are collected as one latin1 text, so that a message
// leaves in one write; larger content is written beside it.
import type net from "node:net";
import tls from "node:tls";
import { HeldBytes, type BufferedBytes, type BufferOwner } from "../buffered-bytes.ts";
import { readBufferBytes, type ReadBuffers } from "../read-buffers.ts";

/** Content up to here joins the text; above it a copy is cheaper than a conversion. */
const textPieceMaxBytes = 4096;
/** Collected text beyond this is written at once. */
const textMaxLength = 16 * 1024;

/** What is shorter and has to wait waits as a copy of its size, not in a body buffer. */
const queuedBodyMinBytes = readBufferBytes / 2;

export class OutputBuffer {
  readonly #socket: net.Socket;
  readonly #buffers: ReadBuffers;
  readonly #isTls: boolean;
  readonly #held: HeldBytes;
  #text = "";

  constructor(
    socket: net.Socket,
    memory: { readonly readBuffers: ReadBuffers; readonly buffered: BufferedBytes },
    owner: BufferOwner,
  ) {
    this.#held = new HeldBytes(memory.buffered, owner, () => socket.writableLength);
    const buffers = memory.readBuffers;
    this.#socket = socket;
    this.#buffers = buffers;
    this.#isTls = socket instanceof tls.TLSSocket;
  }

  /** Text of latin1 characters: field lines and start lines. */
  appendText(text: string): void {
    this.#text += text;
  }

  /**
   * Bytes as they are. False: the socket is full, wait for its `drain`. The shared read buffer may be reused afterwards,
   * a body buffer once it says so; any other memory must stay as it is.
   */
  appendBytes(buffer: Buffer, start: number, end: number): boolean {
    if (end - start <= textPieceMaxBytes) {
      this.#text += buffer.toString("latin1", start, end);
      if (this.#text.length > textMaxLength) this.flush();
    } else {
      this.#writeLarge(buffer, start, end);
    }
    return !this.#isFull();
  }

  /** Bytes as one chunk (RFC 9112, 7.1). */
  appendChunk(buffer: Buffer, start: number, end: number): boolean {
    this.#text += `${(end - start).toString(16)}\r\n`;
    this.appendBytes(buffer, start, end);
    this.#text += "\r\n";
    return !this.#isFull();
  }

  /** Text that leaves now, after what was collected. */
  sendText(text: string): void {
    const all = this.#text === "" ? text : this.#text + text;
    if (this.#text !== "") this.#text = "";
    if (!this.#socket.writable) return;
    this.#socket.write(all, "latin1");
    this.#held.update(this.#socket.writableLength);
  }

  flush(): void {
    if (this.#text !== "") this.sendText("");
  }

  /** The socket has taken what it could, or is about to be destroyed: then nothing waits any more. */
  settle(isClosed: boolean): void {
    if (isClosed) this.#held.update(0);
    else this.#held.refresh();
  }

  /** `drain` is due also after a large write that the system took at once: nothing waits then. */
  #isFull(): boolean {
    return this.#socket.writableNeedDrain && this.#socket.writableLength > 0;
  }

  #writeLarge(buffer: Buffer, start: number, end: number): void {
    const socket = this.#socket;
    if (!socket.writable) {
      this.#text = "";
      return;
    }
    const isQueued = socket.writableLength > 0;
    // With nothing queued before, TLS encrypts inside the write, into memory of its own.
    const isTakenAtOnce = this.#isTls && !isQueued;
    let body = isTakenAtOnce ? undefined : this.#buffers.bodyOf(buffer);
    let piece = buffer.subarray(start, end);
    if (buffer === this.#buffers.shared && !isTakenAtOnce) {
      piece = Buffer.from(piece);
      this.#buffers.copiedBytes += piece.length;
    } else if (body !== undefined && isQueued && piece.length < queuedBodyMinBytes) {
      piece = Buffer.from(piece);
      body = undefined;
    }
    const text = this.#text;
    if (text !== "") {
      this.#text = "";
      socket.cork();
      socket.write(text, "latin1");
    }
    body?.startWrite();
    socket.write(piece, body?.onWritten);
    if (text !== "") socket.uncork();
    // What the system did not take is read from this memory later.
    const waiting = socket.writableLength;
    if (body !== undefined && waiting > 0) body.isWaiting = true;
    this.#held.update(waiting);
  }
}
