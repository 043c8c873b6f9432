// Writes HTTP/1.1 responses to a client: framing (RFC 9112, 6) and the Connection field. What happens when is the
// connection's part.
import { reasonPhrases } from "../errors.ts";
import { OutputBuffer } from "./output-buffer.ts";

const okLine = "HTTP/1.1 200 OK\r\n";

export class ResponseWriter extends OutputBuffer {
  /** Of the current response; an interim one does not count. */
  isHeadWritten = false;
  /** The end of the connection is the end of the content that is being written. */
  isUntilClose = false;
  /** What the client speaks. One of HTTP/1.0 gets neither chunks nor interim responses. */
  #minorVersion = 1;
  #isChunked = false;

  begin(minorVersion: number): void {
    this.isHeadWritten = false;
    this.#minorVersion = minorVersion;
  }

  interim(status: number, lines: string): void {
    this.appendText(`HTTP/1.1 ${status} ${reasonPhrases[status] ?? ""}\r\n${lines}\r\n`);
    this.flush();
  }

  switching(lines: string): void {
    this.isHeadWritten = true;
    this.appendText(`HTTP/1.1 101 Switching Protocols\r\n${lines}Connection: upgrade\r\n\r\n`);
    this.flush();
  }

  /** `isLast`: the connection ends after the response. Returns that, since the framing may require it. */
  head(
    status: number,
    reason: string,
    lines: string,
    contentLength: number,
    hasContent: boolean,
    isLast: boolean,
  ): boolean {
    this.isHeadWritten = true;
    this.#isChunked = hasContent && contentLength < 0 && this.#minorVersion === 1;
    this.isUntilClose = hasContent && contentLength < 0 && !this.#isChunked;
    const closes = isLast || this.isUntilClose;
    const startLine = status === 200 && reason === "OK" ? okLine : `HTTP/1.1 ${status} ${reason}\r\n`;
    let head = startLine + lines;
    if (this.#isChunked) head += "Transfer-Encoding: chunked\r\n";
    else if (contentLength >= 0 && status !== 204) head += `Content-Length: ${contentLength}\r\n`;
    if (closes) head += "Connection: close\r\n";
    else if (this.#minorVersion === 0) head += "Connection: keep-alive\r\n";
    this.appendText(`${head}\r\n`);
    return closes;
  }

  /** False: the socket is full. */
  content(buffer: Buffer, start: number, end: number): boolean {
    return this.#isChunked ? this.appendChunk(buffer, start, end) : this.appendBytes(buffer, start, end);
  }

  end(trailers: string): void {
    if (this.#isChunked) this.appendText(`0\r\n${trailers}\r\n`);
    this.flush();
    this.isUntilClose = false;
  }
}
