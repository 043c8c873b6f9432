// The memory that sockets are read into. Normally all sockets of a thread share one buffer, so whatever has to outlive
// a read is copied. While a large body runs, a socket reads into a body buffer instead: the socket on the other side
// writes it without a copy, and the reader goes on in another one until the first has been written. The number of body
// buffers is bounded; beyond it bodies are read into the shared buffer and copied. socket-reader.ts hands them out to
// sockets, http1/output-buffer.ts writes from them.

/** A longer one makes no difference for bodies (64 KiB and 1 MiB measured within 5 % of each other without TLS). */
export const readBufferBytes = 64 * 1024;
/** So much copied of one read makes the next one go into a body buffer. */
const copyMinBytes = 16 * 1024;

export class ReadBuffers {
  /** Filled by whichever socket is being read; valid only inside that socket's callback. */
  readonly shared = Buffer.allocUnsafeSlow(readBufferBytes);
  /** What was copied of the shared buffer since the last read began. */
  copiedBytes = 0;
  readonly #bodiesMax: number;
  readonly #free: BodyBuffer[] = [];
  /** By its memory, which is all that a writer is given. */
  readonly #bodies = new WeakMap<Buffer, BodyBuffer>();
  #inUse = 0;

  /** `bodiesMaxBytes`: of all body buffers together. */
  constructor(bodiesMaxBytes: number) {
    this.#bodiesMax = Math.floor(bodiesMaxBytes / readBufferBytes);
  }

  /** Body buffers that a socket reads into, or that are still being written. */
  get bodyBytes(): number {
    return this.#inUse * readBufferBytes;
  }

  /** The last read is worth a body buffer for the next one. */
  get wantsBody(): boolean {
    return this.copiedBytes >= copyMinBytes;
  }

  /** Null: all of them are in use. */
  takeBody(): BodyBuffer | null {
    if (this.#inUse >= this.#bodiesMax) return null;
    this.#inUse += 1;
    const body = this.#free.pop() ?? this.#makeBody();
    body.take();
    return body;
  }

  /** The body buffer whose memory this is; undefined: other memory. */
  bodyOf(buffer: Buffer): BodyBuffer | undefined {
    return this.#bodies.get(buffer);
  }

  #makeBody(): BodyBuffer {
    const body = new BodyBuffer((free) => {
      this.#inUse -= 1;
      if (this.#free.length < freeBodiesMax) this.#free.push(free);
    });
    this.#bodies.set(body.bytes, body);
    return body;
  }
}

/** Kept for the next body (2 MiB); more than that goes back to the system after a burst. */
const freeBodiesMax = 32;

export class BodyBuffer {
  readonly bytes = Buffer.allocUnsafeSlow(readBufferBytes);
  /** Some of it waits to be written: reading into it would change what is sent. */
  isWaiting = false;
  /** For the callback of each `write` that was announced by `startWrite`. */
  readonly onWritten: () => void;
  readonly #onFree: (body: BodyBuffer) => void;
  #writes = 0;
  #isRead = false;

  constructor(onFree: (body: BodyBuffer) => void) {
    this.#onFree = onFree;
    this.onWritten = () => {
      this.#writes -= 1;
      this.#freeIfDone();
    };
  }

  /** A socket begins to read into it. */
  take(): void {
    this.#isRead = true;
    this.isWaiting = false;
  }

  /** No socket reads into it any more. */
  leave(): void {
    this.#isRead = false;
    this.#freeIfDone();
  }

  startWrite(): void {
    this.#writes += 1;
  }

  #freeIfDone(): void {
    if (this.#writes === 0 && !this.#isRead) this.#onFree(this);
  }
}
