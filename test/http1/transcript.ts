// Feeds bytes to the parsers in pieces, the way the data path does, and writes down what they report. Each piece lies
// in the middle of one shared, dirty buffer: reading past its end, or keeping a reference to it, changes the transcript.
import { Framing } from "../../src/proxy/http1/content-reader.ts";
import { type HeadReader, Step } from "../../src/proxy/http1/head-reader.ts";
import { RequestParser } from "../../src/proxy/http1/request-parser.ts";
import { ResponseParser } from "../../src/proxy/http1/response-parser.ts";
import { defaultLimits } from "../../src/proxy/limits.ts";

/** Bytes that would complete a line, a head, a chunk or a message if a parser read them. */
const hostile = Buffer.from("\r\n\r\n0\r\n\r\nGET /stolen HTTP/1.1\r\nHost: evil\r\nX: ", "latin1");
const margin = hostile.length;

let arena = Buffer.alloc(0);

/** The piece inside the dirty buffer; valid until the next call. */
function place(piece: Buffer): { buffer: Buffer; start: number; end: number } {
  const needed = piece.length + 2 * margin;
  if (arena.length < needed) arena = Buffer.alloc(needed * 2);
  const end = margin + piece.length;
  hostile.copy(arena, 0);
  piece.copy(arena, margin);
  hostile.copy(arena, end);
  return { buffer: arena, start: margin, end };
}

interface Reader extends HeadReader {
  readonly content: RequestParser["content"];
  read(buffer: Buffer, start: number, end: number): Step;
}

/** What follows a step. */
const Next = { Continue: 0, Stop: 1 } as const;
type Next = (typeof Next)[keyof typeof Next];

/**
 * One line per event: heads, `content: ...` (adjacent pieces joined), `end`, and last, when the input stops elsewhere
 * than between two messages, why: `error: code`, `more` (incomplete), `rest: n` (bytes after the last message).
 */
class Transcript {
  readonly lines: string[] = [];
  #content = "";

  add(line: string): void {
    if (this.#content !== "") this.lines.push(`content: ${this.#content}`);
    this.#content = "";
    this.lines.push(line);
  }

  addContent(text: string): void {
    this.#content += text;
  }

  finish(): string[] {
    if (this.#content !== "") this.add("more");
    return this.lines;
  }
}

function framingText(framing: Framing, length: number): string {
  switch (framing) {
    case Framing.None:
      return "none";
    case Framing.Length:
      return `length:${length}`;
    case Framing.Chunked:
      return "chunked";
    case Framing.UntilClose:
      return "until-close";
  }
}

function fieldsText(reader: HeadReader, isHostShown: boolean): string {
  let text = "";
  for (let i = 0; i < reader.fields.count; i += 1) {
    if (!isHostShown && reader.fields.nameEquals(i, "host")) continue;
    text += ` | ${reader.fields.name(i)}: ${reader.fields.value(i)}`;
  }
  return text;
}

function requestHead(parser: RequestParser): string {
  let text = `${parser.method} ${parser.target} host=${parser.hostField}`;
  text += ` ${framingText(parser.framing, parser.contentLength)}`;
  if (parser.minorVersion === 0) text += " 1.0";
  if (parser.isLast) text += " last";
  if (parser.hasUpgrade) text += " upgrade";
  if (parser.expectsContinue) text += " expects";
  if (parser.connectionNames !== null) text += ` hop=${parser.connectionNames.join(",")}`;
  return text + fieldsText(parser, false);
}

function responseHead(parser: ResponseParser): string {
  let text = `${parser.status} ${parser.reason === "" ? "-" : parser.reason}`;
  text += ` ${framingText(parser.framing, parser.contentLength)}`;
  if (parser.framing === Framing.None && parser.contentLength >= 0) text += ` told:${parser.contentLength}`;
  if (parser.isLast) text += " last";
  if (parser.hasUpgrade) text += " upgrade";
  if (parser.keepAliveSeconds >= 0) text += ` keep=${parser.keepAliveSeconds}`;
  if (parser.connectionNames !== null) text += ` hop=${parser.connectionNames.join(",")}`;
  return text + fieldsText(parser, true);
}

function endText(trailers: string): string {
  return trailers === "" ? "end" : `end | ${trailers.slice(0, -2).replaceAll("\r\n", " | ")}`;
}

interface Handler {
  onHead(): Next;
  onEnd(): Next;
}

/** Drives a parser over the pieces. Throws when it breaks a promise about `position`. */
function drive(pieces: readonly Buffer[], parser: Reader, transcript: Transcript, handler: Handler): void {
  let left = 0;
  for (const piece of pieces) left += piece.length;
  let isBetweenMessages = true;
  for (const piece of pieces) {
    const { buffer, start, end } = place(piece);
    let pos = start;
    // A message may end without a further byte, so a step is taken after the last one of the piece as well.
    while (pos < end || !isBetweenMessages) {
      const step = parser.read(buffer, pos, end);
      if (step === Step.Error) {
        transcript.add(`error: ${parser.error}`);
        return;
      }
      const { position, content } = parser;
      if (position < pos || position > end) throw new Error(`position ${position} is outside ${pos}..${end}`);
      if (step === Step.Content) {
        if (content.contentStart < pos || content.contentEnd !== position)
          throw new Error("content lies outside of what was taken");
        transcript.addContent(buffer.toString("latin1", content.contentStart, content.contentEnd));
      }
      pos = position;
      if (step === Step.More) {
        if (position !== end) throw new Error("wants more bytes but left some");
        isBetweenMessages = false;
        break;
      }
      isBetweenMessages = step === Step.End;
      const next =
        step === Step.Head ? handler.onHead() : step === Step.End ? handler.onEnd() : Next.Continue;
      if (next === Next.Stop) {
        left -= pos - start;
        if (left > 0) transcript.add(`rest: ${left}`);
        return;
      }
    }
    left -= piece.length;
  }
  if (!isBetweenMessages) transcript.add(parser.content.endsWithConnection ? "until close" : "more");
}

/** Reads requests until one that is the last of its connection. */
export function readRequests(pieces: readonly Buffer[], parser = new RequestParser(defaultLimits)): string[] {
  const transcript = new Transcript();
  parser.reset();
  drive(pieces, parser, transcript, {
    onHead() {
      transcript.add(requestHead(parser));
      return Next.Continue;
    },
    onEnd() {
      transcript.add(endText(parser.content.trailers));
      if (parser.isLast) return Next.Stop;
      parser.reset();
      return Next.Continue;
    },
  });
  return transcript.finish();
}

/** Reads interim responses and one final response to a request. */
export function readResponse(
  pieces: readonly Buffer[],
  isHeadRequest: boolean,
  parser = new ResponseParser(defaultLimits),
): string[] {
  const transcript = new Transcript();
  parser.begin(isHeadRequest);
  drive(pieces, parser, transcript, {
    onHead() {
      transcript.add(responseHead(parser));
      if (parser.status === 101) return Next.Stop;
      if (parser.status < 200) parser.continueAfterInterim();
      return Next.Continue;
    },
    onEnd() {
      transcript.add(endText(parser.content.trailers));
      return Next.Stop;
    },
  });
  return transcript.finish();
}
