// The content of one response on its way to the client: sent as it comes, and, where the route or the endpoint asks for
// it, read ahead of a client that is slower than its endpoint. What is kept counts as kept content (content-buffer.ts)
// and is bounded for each response and for all together; beyond it the endpoint is paused. exchange.ts drives it.
import { ContentBuffer, type ContentBuffers } from "./content-buffer.ts";
import { FieldId, type FieldSection } from "./field-section.ts";
import type { RouteSettings } from "./filter.ts";
import type { Downstream } from "./ports.ts";

export class ResponseRelay {
  readonly #downstream: Downstream;
  readonly #total: ContentBuffers;
  readonly #kept: ContentBuffer;
  /** Of the response under way; 0: it is not read ahead. */
  #maxBytes = 0;
  /** The client takes nothing at present. */
  #isBlocked = false;
  #isEndpointPaused = false;
  #hasEnded = false;
  #trailers = "";

  constructor(downstream: Downstream, total: ContentBuffers) {
    this.#downstream = downstream;
    this.#total = total;
    this.#kept = new ContentBuffer(total);
  }

  /** All of the response has come, and all of its content was sent: what remains is its end. */
  get isComplete(): boolean {
    return this.#hasEnded && this.#kept.bytes === 0;
  }

  get trailers(): string {
    return this.#trailers;
  }

  reset(): void {
    this.#kept.clear();
    this.#maxBytes = 0;
    this.#isBlocked = false;
    this.#isEndpointPaused = false;
    this.#hasEnded = false;
    this.#trailers = "";
  }

  begin(fields: FieldSection, { readsAhead, readAheadMaxBytes }: Readonly<RouteSettings>): void {
    if (readsAhead || fields.find(FieldId.XAccel) >= 0) {
      this.#maxBytes = mayReadAhead(fields, readsAhead) ? readAheadMaxBytes : 0;
    }
  }

  /** False: the endpoint is to be paused. */
  send(buffer: Buffer, start: number, end: number): boolean {
    if (this.#isBlocked && this.#maxBytes > 0) {
      this.#kept.append(buffer, start, end);
    } else if (this.#downstream.sendContent(buffer, start, end)) {
      return true;
    }
    this.#isBlocked = true;
    return this.#mayKeepMore() || !this.pause();
  }

  /** The client's side is full, and nothing may be kept. False: the endpoint is paused already. */
  pause(): boolean {
    if (this.#isEndpointPaused) return false;
    this.#isBlocked = true;
    this.#isEndpointPaused = true;
    return true;
  }

  /** The client takes more. True: the endpoint was paused, and is to go on. */
  drain(): boolean {
    if (!this.#isBlocked) return false;
    this.#isBlocked = false;
    for (let piece = this.#kept.shift(); piece !== undefined; piece = this.#kept.shift()) {
      this.#isBlocked = !this.#downstream.sendContent(piece, 0, piece.length);
      if (this.#isBlocked) break;
    }
    this.#downstream.flush();
    if (!this.#isEndpointPaused || (this.#isBlocked && !this.#mayKeepMore())) return false;
    this.#isEndpointPaused = false;
    return true;
  }

  end(trailers: string): void {
    this.#hasEnded = true;
    this.#trailers = trailers;
  }

  /** One read more than the limit may be kept: what came is taken whole. */
  #mayKeepMore(): boolean {
    return this.#kept.bytes < this.#maxBytes && !this.#total.isFull;
  }
}

/** As nginx reads it: an endpoint decides for its response, and other values than these say nothing. */
function mayReadAhead(fields: FieldSection, readsAhead: boolean): boolean {
  const value = fields.get("x-accel-buffering")?.toLowerCase();
  return value === "yes" || (readsAhead && value !== "no");
}
