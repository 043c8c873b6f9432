// What requests and responses have in common: a head, then content as the head says.
import type { ErrorCode } from "../errors.ts";
import type { ProxyLimits } from "../limits.ts";
import { ContentReader, Framing } from "./content-reader.ts";
import { HeadReader, Step } from "./head-reader.ts";

export abstract class MessageParser extends HeadReader {
  framing: Framing = Framing.None;
  /** The value of Content-Length; -1: none. */
  contentLength = -1;
  readonly content: ContentReader;
  #isInHead = true;

  constructor(limits: ProxyLimits) {
    super(limits);
    this.content = new ContentReader(limits);
  }

  /** Checks that need all fields; sets `framing`. Returns an error, or null. */
  protected abstract finishHead(): ErrorCode | null;
  /** What to call an error of the head or the content. */
  protected abstract nameError(error: ErrorCode): ErrorCode;

  get hasContent(): boolean {
    return this.framing !== Framing.None;
  }

  get isInHead(): boolean {
    return this.#isInHead;
  }

  /** After `Head`, `Content` and `End` follow from further calls, `End` even without further bytes. */
  read(buffer: Buffer, start: number, end: number): Step {
    if (this.#isInHead) return this.#readToContent(buffer, start, end);
    const step = this.content.read(buffer, start, end);
    this.position = this.content.position;
    return step === Step.Error ? this.#fail("chunkInvalid") : step;
  }

  /** Makes ready for another message. */
  protected beginMessage(): void {
    this.resetHead();
    this.#isInHead = true;
  }

  #readToContent(buffer: Buffer, start: number, end: number): Step {
    const step = this.readHead(buffer, start, end);
    if (step === Step.More) return step;
    const error = step === Step.Head ? this.finishHead() : this.error;
    if (error !== null) return this.#fail(error);
    this.#isInHead = false;
    this.content.begin(this.framing, this.contentLength);
    return Step.Head;
  }

  #fail(error: ErrorCode): Step {
    this.error = this.nameError(error);
    return Step.Error;
  }
}
