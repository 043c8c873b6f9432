// Bytes to lines, without keeping more than the line that is not complete yet.

const newline = 0x0a;

export class LineSplitter {
  readonly #maxBytes: number;
  #rest: Buffer[] = [];
  #restBytes = 0;

  /** A longer line throws. */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Bytes of a line that has not ended. */
  get pendingBytes(): number {
    return this.#restBytes;
  }

  /** The lines that `chunk` completes, in order; empty ones are left out. */
  push(chunk: Buffer): readonly string[] {
    const lines: string[] = [];
    let start = 0;
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      const line = this.#complete(chunk.subarray(start, end));
      if (line !== "") lines.push(line);
      start = end + 1;
    }
    if (start < chunk.length) {
      this.#restBytes += chunk.length - start;
      if (this.#restBytes > this.#maxBytes)
        throw new RangeError(`a line is longer than ${this.#maxBytes} bytes`);
      // A copy: what is left must not hold on to the whole chunk.
      this.#rest.push(Buffer.from(chunk.subarray(start)));
    }
    return lines;
  }

  #complete(end: Buffer): string {
    if (this.#rest.length === 0) return end.toString("utf8").trim();
    const line = Buffer.concat([...this.#rest, end])
      .toString("utf8")
      .trim();
    this.#rest = [];
    this.#restBytes = 0;
    return line;
  }
}
