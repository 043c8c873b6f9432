// Finds where a response ends, as cheaply as a load must: status, Content-Length, and `Connection: close`. Responses
// without Content-Length are not what these benchmarks ask for, and count as bad.

const STATUS_AT = "HTTP/1.1 ".length;

export class ResponseReader {
  /** Valid when `read` has returned true: a 200 with Content-Length. */
  isGood = false;
  /** Valid when `read` has returned true: the server ends the connection after it. */
  isLast = false;
  #head = "";
  /** Bytes of content still to come; -1 while the head is not complete. */
  #left = -1;

  /** True when these bytes complete a response. Requests are not pipelined, so nothing follows it. */
  read(buffer: Buffer, bytes: number): boolean {
    if (this.#left < 0) {
      const end = buffer.indexOf("\r\n\r\n");
      const isComplete = end >= 0 && end + 4 <= bytes;
      if (!isComplete || this.#head !== "") return this.#readSplit(buffer, bytes);
      this.#parse(buffer.toString("latin1", 0, end + 2));
      this.#left -= bytes - end - 4;
    } else {
      this.#left -= bytes;
    }
    return this.#isEnd();
  }

  /** The rare head that arrives in pieces. */
  #readSplit(buffer: Buffer, bytes: number): boolean {
    const text = this.#head + buffer.toString("latin1", 0, bytes);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) {
      this.#head = text;
      return false;
    }
    this.#head = "";
    this.#parse(text.slice(0, end + 2));
    this.#left -= text.length - end - 4;
    return this.#isEnd();
  }

  #parse(head: string): void {
    const length = /\r\ncontent-length: *(\d+)\r\n/i.exec(head)?.[1];
    this.isLast = /\r\nconnection: *close\r\n/i.test(head);
    this.isGood = head.startsWith("200 ", STATUS_AT) && length !== undefined;
    this.#left = length === undefined ? 0 : Number(length);
  }

  #isEnd(): boolean {
    if (this.#left > 0) return false;
    if (this.#left < 0) this.isGood = false;
    this.#left = -1;
    return true;
  }
}
