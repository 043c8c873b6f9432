// The fields that say where a message ends and which fields go no further (RFC 9112, 6; RFC 9110, 7.6.1).
// Requests and responses read them by the same rules.
import type { ErrorCode } from "../errors.ts";

const SP = 32;
const HTAB = 9;

/** `1*DIGIT` up to 2^53 - 1; -1 for anything else: signs, blanks, lists, hexadecimal. */
export function readContentLength(text: string, start: number, end: number): number {
  if (end === start || end - start > 16) return -1;
  let length = 0;
  for (let i = start; i < end; i += 1) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    length = length * 10 + digit;
  }
  return length <= Number.MAX_SAFE_INTEGER ? length : -1;
}

/**
 * Only `chunked`, in any case. Known codings before it are 501, every other spelling is 400 (RFC 9112, 6.1).
 * HTAB around the value is white space by the grammar, but there are parsers that see another coding in it.
 */
export function readTransferEncoding(text: string, start: number, end: number): ErrorCode | null {
  if (hasTabAround(text, start, end)) return "framingInvalid";
  const value = text.slice(start, end).toLowerCase();
  if (value === "chunked") return null;
  return /^(?:(?:gzip|x-gzip|deflate|compress|x-compress) *, *)+chunked$/.test(value)
    ? "codingUnsupported"
    : "framingInvalid";
}

/** A field value lies between a colon, a CR, and the blanks that belong to neither. */
function hasTabAround(text: string, start: number, end: number): boolean {
  let before = start - 1;
  while (text.charCodeAt(before) === SP) before -= 1;
  let after = end;
  while (text.charCodeAt(after) === SP) after += 1;
  return text.charCodeAt(before) === HTAB || text.charCodeAt(after) === HTAB;
}

const OWS = /^[ \t]+|[ \t]+$/g;

/** The options of a Connection field, lower case, empty ones dropped. */
export function readConnectionOptions(value: string): string[] {
  return value
    .toLowerCase()
    .split(",")
    .map((option) => option.replace(OWS, ""))
    .filter((option) => option !== "");
}
