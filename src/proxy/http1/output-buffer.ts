// What one connection is about to write. Heads and small content are collected as one latin1 text, so that a message
// leaves in one write; larger content is written beside it.
import type net from "node:net";

/** Content up to here joins the text; above it a copy is cheaper than a conversion. */
const textPieceMaxBytes = 4096;
/** Collected text beyond this is written at once. */
const textMaxLength = 16 * 1024;

export class OutputBuffer {
  readonly #socket: net.Socket;
  #text = "";

  constructor(socket: net.Socket) {
    this.#socket = socket;
  }

  /** Text of latin1 characters: field lines and start lines. */
  appendText(text: string): void {
    this.#text += text;
  }

  /** Bytes as they are. False: the socket is full, wait for its `drain`. The buffer may be reused afterwards. */
  appendBytes(buffer: Buffer, start: number, end: number): boolean {
    if (end - start <= textPieceMaxBytes) {
      this.#text += buffer.toString("latin1", start, end);
      if (this.#text.length > textMaxLength) this.flush();
    } else {
      this.#writeLarge(buffer, start, end);
    }
    return !this.#socket.writableNeedDrain;
  }

  /** Bytes as one chunk (RFC 9112, 7.1). */
  appendChunk(buffer: Buffer, start: number, end: number): boolean {
    this.#text += `${(end - start).toString(16)}\r\n`;
    this.appendBytes(buffer, start, end);
    this.#text += "\r\n";
    return !this.#socket.writableNeedDrain;
  }

  flush(): void {
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    if (this.#socket.writable) this.#socket.write(text, "latin1");
  }

  #writeLarge(buffer: Buffer, start: number, end: number): void {
    // The read buffer is shared: what a socket may keep past this call has to be a copy.
    const copy = Buffer.from(buffer.subarray(start, end));
    this.#socket.cork();
    this.flush();
    if (this.#socket.writable) this.#socket.write(copy);
    this.#socket.uncork();
  }
}
