// Content that is kept: of a request, so that it can be sent once an endpoint is chosen, and again to the next one; of a
// response, so that a slow client does not hold its endpoint. What all exchanges keep together is bounded: beyond it
// content is passed on as it comes.

/** Shared by all exchanges of a proxy, for both directions: the one count of kept content. */
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

/** Content that comes in drops is collected in blocks of this size: a piece for each drop would be many times as large. */
const blockBytes = 4096;

/** Of one message. */
export class ContentBuffer {
  readonly #shared: ContentBuffers;
  readonly #pieces: Buffer[] = [];
  /** The memory of the last piece; null: it has no room for more. */
  #block: Buffer | null = null;
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
    const added = end - start;
    this.#bytes += added;
    this.#shared.add(added);
    const isMore = this.#pieces.length > 0;
    const taken = this.#block === null ? 0 : this.#fillBlock(this.#block, buffer, start, end);
    if (taken === added) return;
    const rest = buffer.subarray(start + taken, end);
    if (isMore && rest.length < blockBytes) {
      this.#block = Buffer.allocUnsafe(blockBytes);
      this.#pieces.push(this.#block.subarray(0, rest.copy(this.#block)));
    } else {
      this.#block = null;
      this.#pieces.push(Buffer.from(rest));
    }
  }

  /** The oldest piece, which is no longer kept. */
  shift(): Buffer | undefined {
    const piece = this.#pieces.shift();
    if (piece === undefined) return undefined;
    // A piece that is on its way grows no more.
    if (this.#pieces.length === 0) this.#block = null;
    this.#bytes -= piece.length;
    this.#shared.add(-piece.length);
    return piece;
  }

  clear(): void {
    if (this.#bytes === 0) return;
    this.#shared.add(-this.#bytes);
    this.#pieces.length = 0;
    this.#block = null;
    this.#bytes = 0;
  }

  /** Returns how many bytes had room. Those that are there already stay as they are. */
  #fillBlock(block: Buffer, buffer: Buffer, start: number, end: number): number {
    const used = this.#pieces.at(-1)?.length ?? 0;
    const taken = buffer.copy(block, used, start, end);
    this.#pieces[this.#pieces.length - 1] = block.subarray(0, used + taken);
    return taken;
  }
}
