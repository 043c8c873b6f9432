// Reads the content of an HTTP/1.1 message by its framing: a length, chunks, or the end of the connection
// (RFC 9112, 6 and 7). Bytes in, steps out. Chunk extensions are checked and dropped; trailers are checked and kept.
import { FieldId, readFieldName } from "../field-section.ts";
import type { ProxyLimits } from "../limits.ts";
import { Step } from "./head-reader.ts";

export const Framing = { None: 0, Length: 1, Chunked: 2, UntilClose: 3 } as const;
export type Framing = (typeof Framing)[keyof typeof Framing];

const State = {
  Done: 0,
  Length: 1,
  UntilClose: 2,
  ChunkSize: 3,
  ChunkExtension: 4,
  ChunkSizeLf: 5,
  ChunkData: 6,
  ChunkDataCr: 7,
  ChunkDataLf: 8,
  Trailers: 9,
} as const;
type State = (typeof State)[keyof typeof State];

/** Where in a quoted string of an extension. */
const Quote = { None: 0, Open: 1, Escaped: 2 } as const;
type Quote = (typeof Quote)[keyof typeof Quote];

const CR = 13;
const LF = 10;
const hexDigitsMax = 16;

/** Trailers that are never forwarded although their name is unknown to the data path (RFC 9110, 6.5.1). */
const forbiddenTrailers: ReadonlySet<string> = new Set([
  "age",
  "cache-control",
  "content-encoding",
  "content-range",
  "content-type",
  "expires",
  "if-match",
  "if-modified-since",
  "if-none-match",
  "if-range",
  "if-unmodified-since",
  "location",
  "max-forwards",
  "pragma",
  "range",
  "retry-after",
  "set-cookie",
  "vary",
  "warning",
  "www-authenticate",
]);
/** Names by which proxies tell endpoints who the client is and what it asked for. */
const forbiddenTrailer = /^x-(?:auth|forwarded|original)-/;

export class ContentReader {
  /** The piece of content of the last `Content` step. */
  contentStart = 0;
  contentEnd = 0;
  /** Offset in the buffer of the first byte that was not taken. */
  position = 0;
  /** Field lines of the trailer section that may be forwarded, each ending in CRLF. */
  trailers = "";
  readonly #limits: ProxyLimits;
  #state: State = State.Done;
  #left = 0;
  #digits = 0;
  #quote: Quote = Quote.None;
  #extensionBytes = 0;
  #extensionBytesTotal = 0;
  #trailerLine = "";
  #trailerBytes = 0;
  #trailerCount = 0;

  constructor(limits: ProxyLimits) {
    this.#limits = limits;
  }

  begin(framing: Framing, length: number): void {
    this.trailers = "";
    this.#extensionBytesTotal = 0;
    this.#trailerBytes = 0;
    this.#trailerCount = 0;
    this.#trailerLine = "";
    this.#digits = 0;
    this.#left = 0;
    if (framing === Framing.Chunked) this.#state = State.ChunkSize;
    else if (framing === Framing.UntilClose) this.#state = State.UntilClose;
    else if (framing === Framing.Length && length > 0) {
      this.#state = State.Length;
      this.#left = length;
    } else this.#state = State.Done;
  }

  /** Content that ends with the connection is complete when the connection is. */
  get endsWithConnection(): boolean {
    return this.#state === State.UntilClose;
  }

  read(buffer: Buffer, start: number, end: number): Step {
    let pos = start;
    for (;;) {
      if (this.#state === State.Done) {
        this.position = pos;
        return Step.End;
      }
      if (pos >= end) {
        this.position = pos;
        return Step.More;
      }
      if (this.#state === State.Length || this.#state === State.ChunkData) return this.#takeData(pos, end);
      if (this.#state === State.UntilClose) {
        this.#take(pos, end);
        return Step.Content;
      }
      if (this.#state === State.Trailers) {
        pos = this.#readTrailers(buffer, pos, end);
        if (pos < 0) return Step.Error;
      } else {
        if (!this.#readChunkByte(buffer[pos] ?? 0)) return Step.Error;
        pos += 1;
      }
    }
  }

  #take(start: number, end: number): void {
    this.contentStart = start;
    this.contentEnd = end;
    this.position = end;
  }

  #takeData(start: number, end: number): Step {
    const length = Math.min(this.#left, end - start);
    this.#take(start, start + length);
    this.#left -= length;
    if (this.#left === 0) this.#state = this.#state === State.Length ? State.Done : State.ChunkDataCr;
    return Step.Content;
  }

  /** One byte of the chunk grammar outside of data. False: not acceptable. */
  #readChunkByte(byte: number): boolean {
    switch (this.#state) {
      case State.ChunkSize:
        return this.#readSizeByte(byte);
      case State.ChunkExtension:
        return this.#readExtensionByte(byte);
      case State.ChunkSizeLf:
        this.#state = this.#left === 0 ? State.Trailers : State.ChunkData;
        return byte === LF;
      case State.ChunkDataCr:
        this.#state = State.ChunkDataLf;
        return byte === CR;
      case State.ChunkDataLf:
        this.#state = State.ChunkSize;
        this.#digits = 0;
        return byte === LF;
      default:
        return false;
    }
  }

  #readSizeByte(byte: number): boolean {
    const digit = hexValue(byte);
    if (digit >= 0) {
      this.#digits += 1;
      this.#left = this.#left * 16 + digit;
      return this.#digits <= hexDigitsMax && this.#left <= Number.MAX_SAFE_INTEGER;
    }
    if (this.#digits === 0) return false;
    this.#extensionBytes = 0;
    this.#quote = Quote.None;
    if (byte === CR) this.#state = State.ChunkSizeLf;
    else if (byte === 59) this.#state = State.ChunkExtension;
    else return false;
    return true;
  }

  /**
   * Extensions are dropped, so their grammar does not matter, except where the line ends: a quoted value cannot hold a
   * CRLF (RFC 9110, 5.6.4), but there are parsers that read on to the closing quote.
   */
  #readExtensionByte(byte: number): boolean {
    if (byte === CR) {
      this.#state = State.ChunkSizeLf;
      return this.#quote === Quote.None;
    }
    if ((byte < 32 && byte !== 9) || byte === 127) return false;
    if (this.#quote === Quote.Escaped) this.#quote = Quote.Open;
    else if (byte === 34) this.#quote = this.#quote === Quote.None ? Quote.Open : Quote.None;
    else if (byte === 92 && this.#quote === Quote.Open) this.#quote = Quote.Escaped;
    this.#extensionBytes += 1;
    this.#extensionBytesTotal += 1;
    return (
      this.#extensionBytes <= this.#limits.chunkExtensionMaxBytes &&
      this.#extensionBytesTotal <= this.#limits.chunkExtensionsTotalMaxBytes
    );
  }

  /** Takes bytes up to the next LF. Returns the new position, -1 when the line is not acceptable. */
  #readTrailers(buffer: Buffer, start: number, end: number): number {
    let lf = start;
    while (lf < end && buffer[lf] !== LF) lf += 1;
    const taken = Math.min(lf + 1, end);
    this.#trailerBytes += taken - start;
    if (this.#trailerBytes > this.#limits.headMaxBytes) return -1;
    this.#trailerLine += buffer.toString("latin1", start, taken);
    // Both bytes of a CRLF, or the CR of a line that is still to end, do not count.
    const lineBytes = this.#trailerLine.length - (lf === end ? 1 : 2);
    if (lineBytes > this.#limits.fieldLineMaxBytes) return -1;
    if (lf === end) return end;
    const line = this.#trailerLine;
    this.#trailerLine = "";
    if (line === "\r\n") this.#state = State.Done;
    else if (!this.#addTrailer(line)) return -1;
    return taken;
  }

  #addTrailer(line: string): boolean {
    const end = line.length - 2;
    if (line.charCodeAt(end) !== CR || /[\0-\x08\x0a-\x1f\x7f]/.test(line.slice(0, end))) return false;
    this.#trailerCount += 1;
    if (this.#trailerCount > this.#limits.fieldsMax) return false;
    const colon = line.indexOf(":");
    const id = readFieldName(line, 0, colon);
    if (id < 0) return false;
    if (id === FieldId.Other && mayForwardTrailer(line.slice(0, colon).toLowerCase())) this.trailers += line;
    return true;
  }
}

function mayForwardTrailer(lower: string): boolean {
  return !forbiddenTrailers.has(lower) && !forbiddenTrailer.test(lower);
}

function hexValue(byte: number): number {
  if (byte >= 48 && byte <= 57) return byte - 48;
  const lower = byte | 32;
  return lower >= 97 && lower <= 102 ? lower - 87 : -1;
}
