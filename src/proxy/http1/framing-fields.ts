// The fields that say where a message ends and which fields go no further (RFC 9112, 6; RFC 9110, 7.6.1).
// Requests and responses read them by the same rules.
import type { ErrorCode } from "../errors.ts";
import { equalsLower } from "../field-section.ts";

const SP = 32;
const HTAB = 9;
const EQUALS = 61;

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

/** The value of `timeout` in a Keep-Alive field, up to six digits; -1: none. Nearly all consist of just that. */
export function readKeepAliveSeconds(text: string, start: number, end: number): number {
  const equals = start + "timeout".length;
  if (
    end <= equals + 7 &&
    text.charCodeAt(equals) === EQUALS &&
    equalsLower(text, start, equals, "timeout")
  ) {
    const seconds = readContentLength(text, equals + 1, end);
    if (seconds >= 0) return seconds;
  }
  return Number(/(?:^|[ ,])timeout=(\d{1,6})/i.exec(text.slice(start, end))?.[1] ?? -1);
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

/** Options of all Connection fields of a message. No honest client comes near; each costs a look at every field. */
export const connectionOptionsMax = 32;

/**
 * The options of a Connection field, lower case, empty ones dropped; null when there are more than
 * `connectionOptionsMax`. By index: a regular expression for the blanks would look at a run of them once for each.
 */
export function readConnectionOptions(value: string): string[] | null {
  const options: string[] = [];
  let start = 0;
  while (start <= value.length) {
    const comma = value.indexOf(",", start);
    const end = comma < 0 ? value.length : comma;
    const option = trimBlanks(value, start, end);
    if (option !== "") {
      if (options.length === connectionOptionsMax) return null;
      options.push(option.toLowerCase());
    }
    start = end + 1;
  }
  return options;
}

/** Only SP and HTAB are blanks: `trim` would also take a no-break space for one. */
function trimBlanks(text: string, from: number, to: number): string {
  let start = from;
  let end = to;
  while (start < end && isBlank(text.charCodeAt(start))) start += 1;
  while (end > start && isBlank(text.charCodeAt(end - 1))) end -= 1;
  return text.slice(start, end);
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}
