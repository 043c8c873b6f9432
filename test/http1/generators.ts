// HTTP/1.1 messages for the differential tests: mostly valid ones, bent where parsers are known to disagree. The
// structure is bent first (spacing, line ends, repeated and contradicting framing, chunk grammar), then single bytes.
import {
  type Arbitrary,
  array,
  boolean,
  constant,
  constantFrom,
  nat,
  oneof,
  record,
  tuple,
} from "fast-check";

const crlf = "\r\n";

function mostly<T>(usual: Arbitrary<T>, odd: Arbitrary<T>, weight = 30): Arbitrary<T> {
  return oneof({ weight, arbitrary: usual }, { weight: 1, arbitrary: odd });
}

/** Content, sizes and the like are never large: what matters are the joints. */
const lineEnd = mostly(
  constant(crlf),
  constantFrom(
    "\n",
    "\r",
    "\r\r\n",
    "\n\r\n",
    "\r\n ",
    " \r\n",
    "\t\r\n",
    "\r\n\r\n",
    "\0\r\n",
    "",
    "\x0b\r\n",
  ),
  60,
);

const colon = mostly(
  constantFrom(": ", ":", ": ", ":\t"),
  constantFrom(" : ", "\t:", ": \x0b", ":\r\n ", ":\0", "", "::", ":\r", ":\xa0", "\xa0:"),
  40,
);

const method = mostly(
  constantFrom("GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE"),
  constantFrom("get", "BREW", "CONNECT", "PRI", "G", "QUERY", "M-SEARCH", "SOURCE", "GET\t", "", "GE T"),
);

const target = mostly(
  constantFrom(
    "/",
    "/a?b=c",
    "//a",
    "/a/../b",
    "http://a/b",
    "/%00",
    "/a;b",
    "/\xe4",
    "https://b",
    "http://u@a:1/?c",
  ),
  constantFrom(
    "*",
    "a:80",
    "/a b",
    "/#a",
    "",
    "http://",
    "/\x7f",
    "/\t",
    "http:/a",
    "//",
    "?",
    "ftp://a",
    "/\x0c",
  ),
);

const version = mostly(
  constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
  constantFrom(
    "HTTP/1.2",
    "HTTP/2.0",
    "http/1.1",
    "HTTP/1.10",
    "HTTP/0.9",
    "HTTP/1",
    "",
    "HTTP/1.1 ",
    "ICE/1.0",
  ),
);

const plainField = constantFrom(
  "Accept: */*",
  "X: y",
  "X:",
  "X: \t",
  "X: a\tb",
  "X: \xff\x80",
  'X: "a, b"',
  "X: a: b",
  "X: y ",
  "X: y\t ",
  "Cookie: a=b; c=d",
  "Content_Length: 9",
  "X-Content-Length: 9",
  "Content-Length-X: 9",
  "Te: trailers",
  "Trailer: X",
  "!#$%&'*+-.^_`|~: z",
);

const controlField = constantFrom(
  "Connection: keep-alive",
  "Connection: close",
  "Connection: X, close",
  "Connection: close\xa0",
  "Connection: x\tclose",
  "Connection: closed",
  "Connection: close, keep-alive",
  "Connection: content-length",
  "Proxy-Connection: close",
  "Keep-Alive: timeout=5",
  "Connection: upgrade\r\nUpgrade: websocket",
  "Upgrade: h2c",
  "Expect: 100-continue",
  "Host: b",
);

const oddField = constantFrom(
  " X: y",
  "\tfolded",
  "X y",
  ": y",
  "X\0: y",
  "X: \0",
  "X: \x7f",
  "X: a\rb",
  "X: a\nY: b",
  "X\xe4: y",
  " ",
  "X(: y",
  "X",
);

const lengthValue = mostly(
  nat({ max: 12 }).map(String),
  constantFrom(
    "+3",
    "-3",
    "0x3",
    "3,3",
    "3, 3",
    "3 3",
    "",
    "03",
    "3a",
    "3;",
    "99999999999999999999",
    "3\x0b",
    "3\xa0",
  ),
  8,
);

const codingValue = mostly(
  constantFrom("chunked", "Chunked"),
  constantFrom(
    "identity",
    "xchunked",
    "chunked,",
    ",chunked",
    "chunked, chunked",
    "gzip, chunked",
    "chunked, gzip",
    "chunked\x0b",
    "chunked\xa0",
    '"chunked"',
    "chunked;a=b",
    "",
    "\x0bchunked",
    "chunked identity",
  ),
  6,
);

const content = constantFrom(
  "",
  "a",
  "abc",
  "hello world",
  "0\r\n\r\n",
  "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
  "\r\n",
  "\0\xff",
);

const extension = constantFrom(
  "",
  "",
  "",
  ";a",
  ";a=b",
  ';a="b;c"',
  '; a = "\\""',
  ";",
  ";;",
  ';a="',
  ";\xe4",
  " ;a",
  ";a\t",
);
const sizeEnd = mostly(
  constant(crlf),
  constantFrom("\n", "\r", "\r\r\n", " \r\n", "\r\n\n", "\t\r\n", ""),
  40,
);
const dataEnd = mostly(
  constant(crlf),
  constantFrom("\n", "\r", "", "\n\r", "x\n", "\rx", "x\r\n", "\r\n\r\n", " \r\n"),
  40,
);
const sizeText = tuple(
  mostly(
    constantFrom("", "", "0", "00"),
    constantFrom("+", "-", "0x", " ", "\t", "0".repeat(16), "f".repeat(15)),
    30,
  ),
  boolean(),
);

const chunk = tuple(
  content,
  sizeText,
  extension,
  sizeEnd,
  dataEnd,
  mostly(constant(0), constantFrom(-1, 1, 2), 40),
).map(([data, [prefix, isUpper], ext, afterSize, afterData, error]) => {
  if (data === "") return "";
  const size = Math.max(1, data.length + error).toString(16);
  return `${prefix}${isUpper ? size.toUpperCase() : size}${ext}${afterSize}${data}${afterData}`;
});

const lastChunk = tuple(
  mostly(constantFrom("0", "0", "000"), constantFrom("", "-0", "0x0", "0 ", "00000000000000000"), 30),
  extension,
  sizeEnd,
  array(tuple(oneof(plainField, plainField, oddField), lineEnd), { maxLength: 2 }),
  dataEnd,
).map(
  ([zeros, ext, afterSize, trailers, last]) => `${zeros}${ext}${afterSize}${trailers.flat().join("")}${last}`,
);

/** Field lines about the content, and the content. */
const framed: Arbitrary<readonly [string, string]> = oneof(
  { weight: 3, arbitrary: constant(["", ""] as const) },
  {
    weight: 4,
    arbitrary: tuple(content, colon, lineEnd).map(
      ([data, sep, end]) => [`Content-Length${sep}${data.length}${end}`, data] as const,
    ),
  },
  {
    weight: 2,
    arbitrary: tuple(content, array(tuple(lengthValue, colon, lineEnd), { minLength: 1, maxLength: 2 })).map(
      ([data, lengths]) =>
        [lengths.map(([value, sep, end]) => `Content-Length${sep}${value}${end}`).join(""), data] as const,
    ),
  },
  {
    weight: 5,
    arbitrary: tuple(
      mostly(constant("chunked"), codingValue, 8),
      colon,
      lineEnd,
      array(chunk, { maxLength: 3 }),
      lastChunk,
      mostly(constant(""), constantFrom("Content-Length: 3\r\n", "Transfer-Encoding: chunked\r\n"), 10),
    ).map(
      ([coding, sep, end, chunks, last, other]) =>
        [`Transfer-Encoding${sep}${coding}${end}${other}`, chunks.join("") + last] as const,
    ),
  },
);

const fieldLines = array(
  tuple(
    oneof(
      { weight: 20, arbitrary: plainField },
      { weight: 6, arbitrary: controlField },
      { weight: 1, arbitrary: oddField },
    ),
    lineEnd,
  ),
  { maxLength: 4 },
).map((lines) => lines.flat().join(""));

const hostLine = mostly(
  constant(`Host: a${crlf}`),
  constantFrom("", "Host:\r\n", "Host : a\r\n", "Host: a\r\nHost: a\r\n", "host:a \t\r\n"),
  20,
);

const separator = mostly(constant(" "), constantFrom("  ", "\t", "", "\x0b", "\xa0"), 60);

const request = record({
  method,
  target,
  version,
  separator,
  lineEnd,
  hostLine,
  before: fieldLines,
  framed,
  after: fieldLines,
  last: lineEnd,
}).map(
  (r) =>
    `${r.method} ${r.target}${r.separator}${r.version}${r.lineEnd}` +
    `${r.hostLine}${r.before}${r.framed[0]}${r.after}${r.last}${r.framed[1]}`,
);

const statusLine = mostly(
  tuple(
    constantFrom("HTTP/1.1", "HTTP/1.1", "HTTP/1.0"),
    constantFrom("200", "204", "304", "404", "500"),
  ).map(([name, status]) => `${name} ${status} OK`),
  constantFrom(
    "HTTP/1.1 200",
    "HTTP/1.1 200 ",
    "HTTP/1.2 200 OK",
    "HTTP/2.0 200 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 2000",
    "HTTP/1.1 099 x",
    "HTTP/1.1 999 x",
    "ICY 200 OK",
    "HTTP/1.1 200 a\xe4\tb",
  ),
  6,
);

const interim = mostly(
  constant(""),
  constantFrom(
    "HTTP/1.1 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early\r\nLink: a\r\n\r\n",
    "\r\n",
    "HTTP/1.1 102 x\r\nContent-Length: 3\r\n\r\n",
  ),
  5,
);

const response = record({
  interim,
  statusLine,
  lineEnd,
  before: fieldLines,
  framed,
  after: fieldLines,
  last: lineEnd,
}).map(
  (r) => `${r.interim}${r.statusLine}${r.lineEnd}${r.before}${r.framed[0]}${r.after}${r.last}${r.framed[1]}`,
);

const nasty = [
  ...'\r\n\0 \t\x0b\x0c\x7f\x80\xa0\xff:;,+-0_"#5fA/'.split(""),
  crlf,
  "\r\n\r\n",
  "0\r\n\r\n",
  "\r\n ",
  "x\n",
  "\rx",
  " chunked",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
  "GET / HTTP/1.1\r\nHost: b\r\n\r\n",
  "1;a=b\r\n",
];

const Edit = { Insert: 0, Delete: 1, Replace: 2, Duplicate: 3, Truncate: 4 } as const;
type Edit = (typeof Edit)[keyof typeof Edit];

const edit = record({
  kind: constantFrom<Edit>(
    Edit.Insert,
    Edit.Insert,
    Edit.Delete,
    Edit.Replace,
    Edit.Duplicate,
    Edit.Truncate,
  ),
  /** Where, as a share of the places there are. */
  at: nat({ max: 9_999 }),
  isAtJoint: boolean(),
  length: nat({ max: 6 }),
  text: constantFrom(...nasty),
});

/** Offsets next to bytes that mean something to a parser. */
function joints(text: string): number[] {
  const found: number[] = [];
  for (const { index } of text.matchAll(/[\r\n:;, ]|\b/g)) found.push(index);
  return found.length === 0 ? [0] : found;
}

function apply(
  text: string,
  { kind, at, isAtJoint, length, text: inserted }: typeof edit extends Arbitrary<infer T> ? T : never,
): string {
  const places = isAtJoint ? joints(text) : null;
  const count = places === null ? text.length + 1 : places.length;
  const index = Math.floor((at / 10_000) * count);
  const start = places === null ? index : (places[index] ?? 0);
  switch (kind) {
    case Edit.Insert:
      return text.slice(0, start) + inserted + text.slice(start);
    case Edit.Delete:
      return text.slice(0, start) + text.slice(start + 1 + (length >> 1));
    case Edit.Replace:
      return text.slice(0, start) + inserted + text.slice(start + 1);
    case Edit.Duplicate:
      return text.slice(0, start + length) + text.slice(start);
    case Edit.Truncate:
      return text.slice(0, start);
  }
}

const edits = oneof(
  { weight: 2, arbitrary: constant([]) },
  { weight: 3, arbitrary: array(edit, { minLength: 1, maxLength: 3 }) },
);

function edited(base: Arbitrary<string>, changes = edits): Arbitrary<string> {
  return tuple(base, changes).map(([text, list]) => list.reduce(apply, text));
}

/** What one connection sends: one to three requests. */
export const requestStream: Arbitrary<string> = edited(
  array(request, { minLength: 1, maxLength: 3 }).map((requests) => requests.join("")),
);

/** One response and perhaps interim ones before it. */
export const responseStream: Arbitrary<string> = edited(response);

/** Neighbours of known messages. */
export function near(texts: readonly string[]): Arbitrary<string> {
  return edited(constantFrom(...texts), array(edit, { maxLength: 2 }));
}
