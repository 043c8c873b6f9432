// Request content that is kept, so that it can be sent once an endpoint is chosen, and again to the next one. What all
// exchanges keep together is bounded: beyond it content is passed on as it comes.

/** Shared by all exchanges of a proxy. */
export class ContentBuffers {
  readonly #maxBytes: number;
  #bytes = 0;

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes;
  }

  add(bytes: number): void {
    this.#bytes += bytes;
  }
}

/** Of one exchange. */
export class ContentBuffer {
  readonly #shared: ContentBuffers;
  readonly #pieces: Buffer[] = [];
  #bytes = 0;

  constructor(shared: ContentBuffers) {
    this.#shared = shared;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get pieces(): readonly Buffer[] {
    return this.#pieces;
  }

  /** Keeps a copy: read buffers are shared. */
  append(buffer: Buffer, start: number, end: number): void {
    this.#pieces.push(Buffer.from(buffer.subarray(start, end)));
    this.#bytes += end - start;
    this.#shared.add(end - start);
  }

  clear(): void {
    if (this.#bytes === 0) return;
    this.#shared.add(-this.#bytes);
    this.#pieces.length = 0;
    this.#bytes = 0;
  }
}
