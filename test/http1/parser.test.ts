// The corpus, however its bytes are cut into reads: whole, byte by byte, in two pieces, in random ones.
import { describe, expect, test } from "vitest";
import { RequestParser } from "../../src/proxy/http1/request-parser.ts";
import { ResponseParser } from "../../src/proxy/http1/response-parser.ts";
import { defaultLimits } from "../../src/proxy/limits.ts";
import { effortTimeoutMs, factor, isLong, longSeed } from "../effort.ts";
import { type MessageCase, requestCases, responseCases } from "./corpus.ts";
import { readRequests, readResponse } from "./transcript.ts";

/** Above this many bytes (a head at its limit) not every offset is tried in `npm test`: near the ends all, in between a sample. */
const everyOffsetMaxBytes = 9_500;

type Read = (message: MessageCase, pieces: readonly Buffer[]) => string[];
const readAsRequests: Read = (_message, pieces) => readRequests(pieces);
const readAsResponse: Read = (message, pieces) => readResponse(pieces, message.isHead ?? false);

/** Mulberry32: small, seeded, good enough to choose where to cut. */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function randomPieces(bytes: Buffer, random: () => number): Buffer[] {
  const pieces: Buffer[] = [];
  const longest = 1 + Math.floor(random() ** 3 * Math.min(bytes.length, 5_000));
  for (let at = 0; at < bytes.length;) {
    const length = 1 + Math.floor(random() * longest);
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

function splitOffsets(length: number): number[] {
  const offsets: number[] = [];
  for (let at = 1; at < length; at += 1) {
    const isNearEnd = at < 200 || length - at < 200;
    if (isLong || length <= everyOffsetMaxBytes || isNearEnd || at % 61 === 0) offsets.push(at);
  }
  return offsets;
}

const titles = (cases: readonly MessageCase[]): [string, MessageCase][] =>
  cases.map((message) => [`${message.name} (${message.section})`, message]);

describe.each([
  ["request", requestCases, 150, readAsRequests],
  ["response", responseCases, 60, readAsResponse],
] as const)("%s parser", (_, cases, casesMin, read) => {
  test("has a corpus of distinct cases", () => {
    expect(cases.length).toBeGreaterThanOrEqual(casesMin);
    expect(new Set(cases.map((message) => message.name)).size).toBe(cases.length);
  });

  test.each(titles(cases))(
    "%s",
    (_title, message) => {
      const bytes = Buffer.from(message.bytes, "latin1");
      expect(read(message, [bytes])).toEqual(message.events);
      expect(
        read(
          message,
          Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1)),
        ),
      ).toEqual(message.events);
      // `toEqual` is far dearer than a comparison of texts, and there are a million splits.
      const expected = JSON.stringify(message.events);
      for (const at of splitOffsets(bytes.length)) {
        const actual = read(message, [bytes.subarray(0, at), bytes.subarray(at)]);
        if (JSON.stringify(actual) !== expected) expect(actual, `split at ${at}`).toEqual(message.events);
      }
      const random = randomFrom(bytes.length + 1 + longSeed);
      for (let run = 0; run < 20 * Math.min(factor, 4); run += 1) {
        const pieces = randomPieces(bytes, random);
        const actual = read(message, pieces);
        const cuts = pieces.map((piece) => piece.length).join(" ");
        if (JSON.stringify(actual) !== expected) expect(actual, `pieces of ${cuts}`).toEqual(message.events);
      }
    },
    effortTimeoutMs(30),
  );
});

test("one parser reads every message of the corpus, whatever came before", () => {
  const requestParser = new RequestParser(defaultLimits);
  for (const { bytes, events } of requestCases) {
    expect(readRequests([Buffer.from(bytes, "latin1")], requestParser)).toEqual(events);
  }
  const responseParser = new ResponseParser(defaultLimits);
  for (const { bytes, events, isHead } of responseCases) {
    const pieces = [Buffer.from(bytes, "latin1")];
    expect(readResponse(pieces, isHead ?? false, responseParser)).toEqual(events);
  }
});

test("the limit of the head also ends a start line whose own limit is higher", () => {
  const limits = { ...defaultLimits, headMaxBytes: 100 };
  const bytes = Buffer.from(`GET /${"a".repeat(200)}`);
  const byByte = Array.from(bytes, (_byte, at) => bytes.subarray(at, at + 1));
  expect(readRequests([bytes], new RequestParser(limits))).toEqual(["error: requestLineTooLong"]);
  expect(readRequests(byByte, new RequestParser(limits))).toEqual(["error: requestLineTooLong"]);
});

test("a head is empty until its first byte, and again after the line that may be skipped", () => {
  const parser = new RequestParser(defaultLimits);
  const seen: boolean[] = [parser.isHeadEmpty];
  for (const piece of ["\r", "\n", "G"]) {
    parser.read(Buffer.from(piece), 0, 1);
    seen.push(parser.isHeadEmpty);
  }
  expect(seen).toEqual([true, false, true, false]);
});
