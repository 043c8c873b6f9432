import { expect, test } from "vitest";
import { ResponseReader } from "../../bench/lib/response-reader.ts";

const head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n";
/** What an earlier read left in the buffer must not be taken for part of this one. */
const stale = "\r\n\r\n".repeat(20);

function readAll(pieces: readonly string[]): { readonly ends: number[]; readonly reader: ResponseReader } {
  const reader = new ResponseReader();
  const ends = pieces.flatMap((piece, index) =>
    reader.read(Buffer.from(piece + stale, "latin1"), piece.length) ? [index] : [],
  );
  return { ends, reader };
}

test("a response ends with its content, however it is split", () => {
  const text = `${head}hello`;
  for (let at = 1; at < text.length; at += 1) {
    const { ends, reader } = readAll([text.slice(0, at), text.slice(at), text]);
    expect({ at, ends }).toEqual({ at, ends: [1, 2] });
    expect(reader.isGood).toBe(true);
  }
});

test("a response in single bytes ends with the last one", () => {
  const pieces = `${head}hello`.split("");
  expect(readAll(pieces).ends).toEqual([pieces.length - 1]);
});

test.each([
  ["another status", head.replace("200 OK", "502 Bad Gateway"), "hello"],
  ["no Content-Length", "HTTP/1.1 200 OK\r\n\r\n", ""],
  ["more content than announced", head, "hello!"],
])("%s is not a good response", (_what, start, content) => {
  const { ends, reader } = readAll([start + content]);
  expect(ends).toEqual([0]);
  expect(reader.isGood).toBe(false);
});

test("Connection: close is seen, and only there", () => {
  expect(readAll([`${head}hello`]).reader.isLast).toBe(false);
  const closing = head.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n");
  expect(readAll([`${closing}hello`]).reader.isLast).toBe(true);
});
