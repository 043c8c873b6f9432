// HTTP/1.1 messages as data: what the parsers take, what they refuse and with which error, and the rule behind it.
// Both sides of every line stand next to each other. Events are written as `transcript.ts` writes them. Whether a
// syntactically fine Host or target makes sense is judged by the exchange, not here.
import type { ErrorCode } from "../../src/proxy/errors.ts";

export interface MessageCase {
  /** A sentence about behaviour, after "the parser". */
  readonly name: string;
  /** RFC 9112 unless it says otherwise. */
  readonly section: string;
  /** latin1: one character is one byte. */
  readonly bytes: string;
  /** What is reported, the error last. */
  readonly events: readonly string[];
  /** Of responses: they answer a HEAD request. */
  readonly isHead?: boolean;
}

/** Lines, each ended by CRLF, and the empty line of a head. */
function head(...lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join("") + "\r\n";
}

/** A GET with Host and further field lines. */
const get = (...lines: readonly string[]): string => head("GET / HTTP/1.1", "Host: a", ...lines);
/** A POST with Host and further field lines. */
const post = (...lines: readonly string[]): string => head("POST / HTTP/1.1", "Host: a", ...lines);
/** A chunked POST and its content. */
const chunked = (content: string): string => post("Transfer-Encoding: chunked") + content;

const getHead = "GET / host=a none";
const chunkedHead = "POST / host=a chunked | Transfer-Encoding: chunked";
const error = (code: ErrorCode): string => `error: ${code}`;

const requests: MessageCase[] = [];
const responses: MessageCase[] = [];

function takes(section: string, name: string, bytes: string, ...events: readonly string[]): void {
  requests.push({ name: `takes ${name}`, section, bytes, events });
}

function refuses(
  section: string,
  name: string,
  bytes: string,
  code: ErrorCode,
  ...before: readonly string[]
): void {
  requests.push({ name: `refuses ${name}`, section, bytes, events: [...before, error(code)] });
}

function hex(code: number): string {
  return `0x${code.toString(16).padStart(2, "0")}`;
}

// ---- Line ends, control bytes and blanks (RFC 9112, 2.2; RFC 9110, 5.5).

takes("3", "the shortest request", get(), getHead, "end");
refuses("2.2", "bare LF as every line end", "GET / HTTP/1.1\nHost: a\n\n", "requestLineInvalid");
refuses("2.2", "bare LF after the request line", "GET / HTTP/1.1\nHost: a\r\n\r\n", "requestLineInvalid");
refuses("2.2", "bare LF after a field line", "GET / HTTP/1.1\r\nHost: a\n\r\n", "fieldInvalid");
refuses("2.2", "bare LF as the empty line", "GET / HTTP/1.1\r\nHost: a\r\n\n", "fieldInvalid");
refuses("2.2", "a bare LF inside a value", get("X: a\nY: b"), "fieldInvalid");
takes("2.2", "nothing of a head whose lines end in bare CR", "GET / HTTP/1.1\rHost: a\r\r", "more");
refuses(
  "2.2",
  "bare CR as line end once a line is complete",
  "GET / HTTP/1.1\rHost: a\r\r\n",
  "requestLineInvalid",
);
refuses("2.2", "a bare CR inside a value", get("X: a\rb"), "fieldInvalid");
refuses("2.2", "a bare CR at the start of a value", get("X:\ra"), "fieldInvalid");
refuses("2.2", "a second CR before the line end", get("X: a\r"), "fieldInvalid");
refuses(
  "2.2",
  "a bare CR in place of the empty line",
  "GET / HTTP/1.1\r\nHost: a\r\n\rX\r\n",
  "fieldInvalid",
);
refuses(
  "2.2",
  "one byte and a bare LF in place of the empty line",
  "GET / HTTP/1.1\r\nHost: a\r\nX\n",
  "fieldInvalid",
);
refuses(
  "2.2",
  "a blank and a bare LF in place of the empty line",
  `${get().slice(0, -2)} \n`,
  "fieldInvalid",
);
refuses("2.2", "one byte and a bare LF before the request line", `X\n${get()}`, "requestLineInvalid");
refuses("2.2", "a bare CR that hides a second field", get("X: a\rContent-Length: 5"), "fieldInvalid");
refuses("2.2", "a bare CR inside a name", get("X\rY: a"), "fieldInvalid");
refuses("2.2", "a bare CR inside the target", head("GET /\ra HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses(
  "2.2",
  "a second CR after the request line",
  "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
  "requestLineInvalid",
);
refuses("2.2", "a CR before the method", "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n", "requestLineInvalid");

for (const code of [0x00, 0x01, 0x07, 0x08, 0x0b, 0x0c, 0x0e, 0x1b, 0x1f, 0x7f]) {
  const char = String.fromCharCode(code);
  refuses("RFC 9110, 5.5", `the control byte ${hex(code)} in a value`, get(`X: a${char}b`), "fieldInvalid");
}
for (const code of [0x00, 0x0b, 0x7f]) {
  const char = String.fromCharCode(code);
  refuses("RFC 9110, 5.5", `${hex(code)} as the last byte of a value`, get(`X: a${char}`), "fieldInvalid");
  refuses("RFC 9110, 5.6.2", `${hex(code)} in a name`, get(`X${char}: a`), "fieldInvalid");
  refuses("3", `${hex(code)} in a method`, head(`G${char}ET / HTTP/1.1`, "Host: a"), "requestLineInvalid");
  refuses("3.2", `${hex(code)} in a target`, head(`GET /${char} HTTP/1.1`, "Host: a"), "requestLineInvalid");
}
takes("RFC 9110, 5.5", "HTAB inside a value", get("X: a\tb"), `${getHead} | X: a\tb`, "end");
takes("RFC 9110, 5.5", "bytes above 0x7f in a value", get("X: \x80\xff"), `${getHead} | X: \x80\xff`, "end");
takes("5.1", "a value without a blank before it", get("X:a"), `${getHead} | X: a`, "end");
takes("5.1", "a value and drops blanks around it", get("X: \t a b \t "), `${getHead} | X: a b`, "end");
takes("5.1", "an empty value", get("X:"), `${getHead} | X: `, "end");
takes("5.1", "a value of blanks as an empty one", get("X: \t "), `${getHead} | X: `, "end");
takes("5.1", "a colon inside a value", get("X: a:b:"), `${getHead} | X: a:b:`, "end");
takes("2.2", "one empty line before the request line", `\r\n${get()}`, getHead, "end");
refuses("2.2", "two empty lines before the request line", `\r\n\r\n${get()}`, "requestLineInvalid");
refuses("2.2", "a bare LF before the request line", `\n${get()}`, "requestLineInvalid");
refuses("2.2", "a blank before the request line", ` ${get()}`, "requestLineInvalid");
refuses("2.2", "a line of blanks before the request line", ` \r\n${get()}`, "requestLineInvalid");
refuses(
  "2.2",
  "a blank line that holds a blank after a skipped one",
  `\r\n \r\n${get()}`,
  "requestLineInvalid",
);
refuses("2.2", "a field line that starts the head", head("Host: a"), "requestLineInvalid");
refuses("2.2", "a blank before the first field line", head("GET / HTTP/1.1", " Host: a"), "fieldInvalid");
refuses(
  "2.2",
  "a line of blanks before the first field",
  head("GET / HTTP/1.1", " ", "Host: a"),
  "fieldInvalid",
);
refuses("5.2", "a line folded with SP", get("X: a", " b"), "fieldInvalid");
refuses("5.2", "a line folded with HTAB", get("X: a", "\tb"), "fieldInvalid");
refuses("5.2", "a folded empty value", get("Transfer-Encoding:", " chunked"), "framingInvalid");
refuses("5.2", "a line of blanks after the last field", get(" "), "fieldInvalid");

// ---- Field names (RFC 9112, 5.1; RFC 9110, 5.6.2).

refuses("5.1", "SP before the colon", get("X : a"), "fieldInvalid");
refuses("5.1", "HTAB before the colon", get("X\t: a"), "fieldInvalid");
refuses("5.1", "SP before the colon of Content-Length", post("Content-Length : 5"), "fieldInvalid");
refuses(
  "5.1",
  "SP before the colon of Transfer-Encoding",
  post("Transfer-Encoding : chunked"),
  "fieldInvalid",
);
refuses("5.1", "an empty name", get(": a"), "fieldInvalid");
refuses("5.1", "a line without a colon", get("X"), "fieldInvalid");
refuses("5.1", "a colon that is only in the next line", get("X", "Y: a"), "fieldInvalid");
refuses("5.1", "a name of two words", get("X Y: a"), "fieldInvalid");
for (const char of '"(),/;<=>?@[\\]{}') {
  refuses("RFC 9110, 5.6.2", `${char} in a name`, get(`X${char}: a`), "fieldInvalid");
}
refuses("RFC 9110, 5.6.2", "a byte above 0x7f in a name", get("X\xe4: a"), "fieldInvalid");
takes(
  "RFC 9110, 5.6.2",
  "every token character in a name",
  get("!#$%&'*+-.^_`|~09azAZ: a"),
  `${getHead} | !#$%&'*+-.^_\`|~09azAZ: a`,
  "end",
);
takes("RFC 9110, 5.1", "names in any case", head("GET / HTTP/1.1", "hOsT: a"), getHead, "end");

// ---- The request line (RFC 9112, 3).

refuses("3", "two blanks before the target", head("GET  / HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "two blanks before the version", head("GET /  HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "a blank after the version", head("GET / HTTP/1.1 ", "Host: a"), "requestLineInvalid");
refuses("3", "HTAB before the target", head("GET\t/ HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "HTAB before the version", head("GET /\tHTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "HTAB after the version", head("GET / HTTP/1.1\t", "Host: a"), "requestLineInvalid");
refuses("3", "no target", head("GET HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "an empty target", head("GET  HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "no method", head("/ HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "a method alone", head("GET", "Host: a"), "requestLineInvalid");
refuses("3", "a word after the version", head("GET / HTTP/1.1 x", "Host: a"), "requestLineInvalid");
refuses("3", "two versions", head("GET / HTTP/1.1 HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3", "a request line without version (HTTP/0.9)", head("GET /"), "requestLineInvalid");
refuses("3", "a quoted method", head('"GET" / HTTP/1.1', "Host: a"), "requestLineInvalid");
refuses("3.1", "a method with a colon", head("GE:T / HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3.1", "a method above 0x7f", head("G\xcbT / HTTP/1.1", "Host: a"), "requestLineInvalid");
takes(
  "3.1",
  "a method it does not know",
  head("BREW /pot HTTP/1.1", "Host: a"),
  "BREW /pot host=a none",
  "end",
);
takes(
  "3.1",
  "a method in lower case as another one",
  head("get / HTTP/1.1", "Host: a"),
  "get / host=a none",
  "end",
);
takes(
  "3.1",
  "a method of odd token characters",
  head("!#$%&'*+-.^_`|~0 / HTTP/1.1", "Host: a"),
  "!#$%&'*+-.^_`|~0 / host=a none",
  "end",
);
for (const version of [
  "http/1.1",
  "HTTP/11",
  "HTTP/1.",
  "HTTP/.1",
  "HTTP/1.10",
  "HTTP/01.1",
  "HTTP/1,1",
  "HTTP/1.a",
  "HTTP/1 .1",
  "HTTP1.1",
  "HTTPS/1.1",
  "ICE/1.0",
  "HTTP/-1.1",
  "HTTP/1.1\x80",
]) {
  refuses("2.3", `the version ${version}`, head(`GET / ${version}`, "Host: a"), "requestLineInvalid");
}
for (const version of ["HTTP/2.0", "HTTP/0.9", "HTTP/3.0", "HTTP/9.9"]) {
  refuses(
    "RFC 9110, 2.5",
    `the version ${version}`,
    head(`GET / ${version}`, "Host: a"),
    "versionUnsupported",
  );
}
for (const version of ["HTTP/1.2", "HTTP/1.9"]) {
  takes("RFC 9110, 2.5", `${version} as HTTP/1.1`, head(`GET / ${version}`, "Host: a"), getHead, "end");
}
takes("RFC 9110, 2.5", "HTTP/1.0", head("GET / HTTP/1.0", "Host: a"), "GET / host=a none 1.0 last", "end");

// ---- Targets (RFC 9112, 3.2).

for (const target of [
  "/",
  "/a/b?c=d&e",
  "//a/b",
  "/%00/../%2f",
  "/*",
  "/a:b@c",
  "/?",
  '/"<>\\^`{|}',
  "/\xe4\xff",
  "http://a",
  "http://a/",
  "https://a:443/b?c",
  "HTTP://A/",
  "http://u@a/",
  "http://[::1]:80/",
]) {
  takes(
    "3.2",
    `the target ${target}`,
    head(`GET ${target} HTTP/1.1`, "Host: a"),
    `GET ${target} host=a none`,
    "end",
  );
}
takes("3.2.4", "* with OPTIONS", head("OPTIONS * HTTP/1.1", "Host: a"), "OPTIONS * host=a none", "end");
refuses("3.2.4", "* with another method", head("GET * HTTP/1.1", "Host: a"), "targetInvalid");
for (const target of ["**", "index.html", "?a=b", "a:80", "example.com", ".", "%2f", "\\a", "\xe4"]) {
  refuses("3.2", `the target ${target}`, head(`OPTIONS ${target} HTTP/1.1`, "Host: a"), "targetInvalid");
}
for (const target of ["ftp://a/", "http:/a", "http:a", "http:///", "http://?a", "://a/", "javascript:x"]) {
  refuses("3.2.2", `the target ${target}`, head(`GET ${target} HTTP/1.1`, "Host: a"), "targetInvalid");
}
refuses("3.2", "a fragment in the target", head("GET /#a HTTP/1.1", "Host: a"), "targetInvalid");
refuses(
  "3.2",
  "a fragment in an absolute target",
  head("GET http://a/#b HTTP/1.1", "Host: a"),
  "targetInvalid",
);
refuses("3.2", "a blank in the target", head("GET /a b HTTP/1.1", "Host: a"), "requestLineInvalid");
refuses("3.2", "HTAB in the target", head("GET /a\tb HTTP/1.1", "Host: a"), "targetInvalid");
refuses("3.2.3", "CONNECT", head("CONNECT a:443 HTTP/1.1", "Host: a:443"), "connectRefused");
refuses("3.2.3", "CONNECT with a path", head("CONNECT / HTTP/1.1", "Host: a"), "connectRefused");
takes(
  "3.2.3",
  "connect in lower case as another method",
  head("connect / HTTP/1.1", "Host: a"),
  "connect / host=a none",
  "end",
);
refuses(
  "3.2.3",
  "connect in lower case to an authority",
  head("connect a:443 HTTP/1.1", "Host: a"),
  "targetInvalid",
);

// ---- Host (RFC 9112, 3.2). Its syntax is judged by the exchange.

refuses("3.2", "HTTP/1.1 without Host", head("GET / HTTP/1.1"), "hostInvalid");
refuses(
  "3.2",
  "HTTP/1.1 without Host but with other fields",
  head("GET / HTTP/1.1", "X-Host: a"),
  "hostInvalid",
);
refuses("3.2.2", "an absolute target without Host", head("GET http://a/ HTTP/1.1"), "hostInvalid");
takes("3.2", "HTTP/1.0 without Host", head("GET / HTTP/1.0"), "GET / host= none 1.0 last", "end");
takes("3.2", "an empty Host", head("GET / HTTP/1.1", "Host:"), "GET / host= none", "end");
refuses("3.2", "two equal Host fields", get("Host: a"), "hostInvalid");
refuses("3.2", "two different Host fields", get("Host: b"), "hostInvalid");
refuses("3.2", "a second Host in another case", get("X: y", "hOST: b"), "hostInvalid");
refuses("3.2", "a second Host in HTTP/1.0", head("GET / HTTP/1.0", "Host: a", "Host: a"), "hostInvalid");
refuses("3.2", "an empty Host before another", head("GET / HTTP/1.1", "Host:", "Host: a"), "hostInvalid");
refuses("5.1", "a Host with a blank before its colon", head("GET / HTTP/1.1", "Host : a"), "fieldInvalid");
takes(
  "3.2",
  "a Host that the exchange will refuse",
  head("GET / HTTP/1.1", "Host: a, b/"),
  "GET / host=a, b/ none",
  "end",
);

// ---- Content-Length (RFC 9112, 6.2 and 6.3).

const lengthHead = (value: string, length: number): string =>
  `POST / host=a ${length === 0 ? "none" : `length:${length}`} | Content-Length: ${value}`;

takes(
  "6.2",
  "content by its length",
  `${post("Content-Length: 5")}hello`,
  lengthHead("5", 5),
  "content: hello",
  "end",
);
takes(
  "6.2",
  "content that looks like a request",
  `${post("Content-Length: 18")}GET /x HTTP/1.1\r\n\r`,
  lengthHead("18", 18),
  "content: GET /x HTTP/1.1\r\n\r",
  "end",
);
takes(
  "6.2",
  "content of any bytes",
  `${post("Content-Length: 6")}\0\r\n\xff\x7f\n`,
  lengthHead("6", 6),
  "content: \0\r\n\xff\x7f\n",
  "end",
);
takes("6.2", "a length of zero", post("Content-Length: 0"), lengthHead("0", 0), "end");
takes(
  "6.2",
  "leading zeros",
  `${post("Content-Length: 0005")}hello`,
  lengthHead("0005", 5),
  "content: hello",
  "end",
);
takes(
  "6.2",
  "blanks around the length",
  `${post("Content-Length: \t5 \t")}hello`,
  lengthHead("5", 5),
  "content: hello",
  "end",
);
takes(
  "6.2",
  "content of a GET",
  `${get("Content-Length: 5")}hello`,
  "GET / host=a length:5 | Content-Length: 5",
  "content: hello",
  "end",
);
takes(
  "6.3",
  "content that is not complete",
  `${post("Content-Length: 5")}hell`,
  lengthHead("5", 5),
  "content: hell",
  "more",
);
takes(
  "6.2",
  "a length of 2^53 - 1",
  post("Content-Length: 9007199254740991"),
  lengthHead("9007199254740991", 9007199254740991),
  "more",
);
takes(
  "6.2",
  "16 digits with leading zeros",
  `${post("Content-Length: 0000000000000001")}a`,
  lengthHead("0000000000000001", 1),
  "content: a",
  "end",
);
for (const value of [
  "9007199254740992",
  "00000000000000001",
  "18446744073709551621",
  "99999999999999999999999999",
  "+5",
  "-5",
  "-0",
  "0x5",
  "5.0",
  "5e0",
  "5 5",
  "5\t5",
  "5,5",
  "5, 5",
  ",5",
  "5;",
  "5a",
  '"5"',
  "five",
  "\xb2",
  "",
  " ",
]) {
  refuses(
    "6.2",
    `the length ${JSON.stringify(value)}`,
    `${post(`Content-Length: ${value}`)}hello`,
    "framingInvalid",
  );
}
refuses(
  "6.3",
  "two equal lengths",
  `${post("Content-Length: 5", "Content-Length: 5")}hello`,
  "framingInvalid",
);
refuses(
  "6.3",
  "two different lengths",
  `${post("Content-Length: 5", "Content-Length: 6")}hello`,
  "framingInvalid",
);
refuses(
  "6.3",
  "a second length of zero",
  `${post("Content-Length: 5", "content-length: 0")}hello`,
  "framingInvalid",
);
takes(
  "5.1",
  "Content_Length as an unknown name",
  post("Content_Length: 5"),
  "POST / host=a none | Content_Length: 5",
  "end",
);
takes("6.3", "a POST without length as one without content", post(), "POST / host=a none", "end");

// ---- Transfer-Encoding (RFC 9112, 6.1).

takes("6.1", "chunked", chunked("0\r\n\r\n"), chunkedHead, "end");
takes(
  "6.1",
  "chunked in any case",
  `${post("transfer-encoding: cHuNkEd")}0\r\n\r\n`,
  "POST / host=a chunked | transfer-encoding: cHuNkEd",
  "end",
);
takes("6.1", "SP around chunked", `${post("Transfer-Encoding:  chunked  ")}0\r\n\r\n`, chunkedHead, "end");
for (const value of ["\tchunked", "\t chunked", " \tchunked", "chunked\t", "chunked \t", "chunked\t "]) {
  refuses(
    "6.1",
    `HTAB around a coding: ${JSON.stringify(value)}`,
    `${post(`Transfer-Encoding: ${value}`)}0\r\n\r\n`,
    "framingInvalid",
  );
}
for (const value of [
  "xchunked",
  "chunkedx",
  "chunke",
  "chunked,",
  ",chunked",
  ", chunked",
  "chunked;q=1",
  "chunked chunked",
  "chunked, chunked",
  '"chunked"',
  "'chunked'",
  "chunk ed",
  "chunk\ted",
  "chunked\xa0",
  "\xa0chunked",
  "identity",
  "identity, chunked",
  "chunked, identity",
  "chunked, gzip",
  "gzip",
  "gzip;chunked",
  "br, chunked",
  "gzip, chunked, chunked",
  "gzip,\tchunked",
  "x",
  "",
]) {
  refuses(
    "6.1",
    `the coding ${JSON.stringify(value)}`,
    `${post(`Transfer-Encoding: ${value}`)}0\r\n\r\n`,
    "framingInvalid",
  );
}
for (const value of ["gzip, chunked", "deflate,chunked", "gzip, compress, chunked", "X-GZIP, Chunked"]) {
  refuses(
    "6.1",
    `the coding ${value}`,
    `${post(`Transfer-Encoding: ${value}`)}0\r\n\r\n`,
    "codingUnsupported",
  );
}
refuses(
  "5.5",
  "a vertical tab before chunked",
  `${post("Transfer-Encoding: \x0bchunked")}0\r\n\r\n`,
  "fieldInvalid",
);
refuses(
  "6.1",
  "Transfer-Encoding twice",
  `${post("Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "Transfer-Encoding in two fields",
  `${post("Transfer-Encoding: gzip", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "a second Transfer-Encoding of identity",
  `${post("Transfer-Encoding: chunked", "Transfer-Encoding: identity")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "Transfer-Encoding in HTTP/1.0",
  `${head("POST / HTTP/1.0", "Host: a", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "Content-Length before Transfer-Encoding",
  `${post("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "Transfer-Encoding before Content-Length",
  `${post("Transfer-Encoding: chunked", "Content-Length: 5")}0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "6.1",
  "a length of zero beside Transfer-Encoding",
  `${post("Content-Length: 0", "Transfer-Encoding: chunked")}0\r\n\r\n`,
  "framingInvalid",
);
takes(
  "5.1",
  "Transfer_Encoding as an unknown name",
  post("Transfer_Encoding: chunked"),
  "POST / host=a none | Transfer_Encoding: chunked",
  "end",
);
takes(
  "6.1",
  "chunked content of a GET",
  `${get("Transfer-Encoding: chunked")}1\r\na\r\n0\r\n\r\n`,
  "GET / host=a chunked | Transfer-Encoding: chunked",
  "content: a",
  "end",
);

// ---- Chunks (RFC 9112, 7.1).

const takesChunks = (name: string, content: string, ...events: readonly string[]): void =>
  takes("7.1", name, chunked(content), chunkedHead, ...events);
const refusesChunks = (name: string, content: string, ...before: readonly string[]): void =>
  refuses("7.1", name, chunked(content), "chunkInvalid", chunkedHead, ...before);

takesChunks("chunks", "5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", "content: hello world", "end");
takesChunks(
  "sizes in both cases",
  "a\r\n0123456789\r\nB\r\n0123456789a\r\n0\r\n\r\n",
  "content: 01234567890123456789a",
  "end",
);
takesChunks(
  "a chunk that looks like the last one",
  "5\r\n0\r\n\r\n\r\n0\r\n\r\n",
  "content: 0\r\n\r\n",
  "end",
);
takesChunks("leading zeros of a size", "0005\r\nhello\r\n0\r\n\r\n", "content: hello", "end");
takesChunks("a last chunk of several zeros", "000\r\n\r\n", "end");
takesChunks("16 digits", "0000000000000005\r\nhello\r\n0000000000000000\r\n\r\n", "content: hello", "end");
refusesChunks("17 digits", "00000000000000005\r\nhello\r\n0\r\n\r\n");
refusesChunks("17 zeros", "00000000000000000\r\n\r\n");
takesChunks("a size of 2^53 - 1", "1fffffffffffff\r\na", "content: a", "more");
refusesChunks("a size of 2^53", "20000000000000\r\na");
refusesChunks("a size of 2^64 + 5", "10000000000000005\r\nhello\r\n0\r\n\r\n");
refusesChunks("a size of 2^64 - 1", "ffffffffffffffff\r\nhello\r\n0\r\n\r\n");
refusesChunks("a sign before a size", "+5\r\nhello\r\n0\r\n\r\n");
refusesChunks("a negative size", "-5\r\nhello\r\n0\r\n\r\n");
refusesChunks("0x before a size", "0x5\r\nhello\r\n0\r\n\r\n");
refusesChunks("a blank before a size", " 5\r\nhello\r\n0\r\n\r\n");
refusesChunks("a blank after a size", "5 \r\nhello\r\n0\r\n\r\n");
refusesChunks("HTAB after a size", "5\t\r\nhello\r\n0\r\n\r\n");
refusesChunks("a size with a digit that is none", "5g\r\nhello\r\n0\r\n\r\n");
refusesChunks("an underscore in a size", "0_5\r\nhello\r\n0\r\n\r\n");
refusesChunks("an empty size", "\r\nhello\r\n0\r\n\r\n");
refusesChunks("an empty size with an extension", ";a\r\nhello\r\n0\r\n\r\n");
refusesChunks("a bare LF after a size", "5\nhello\r\n0\r\n\r\n");
refusesChunks("a bare CR after a size", "5\rhello\r\n0\r\n\r\n");
refusesChunks("two CR after a size", "5\r\r\nhello\r\n0\r\n\r\n");
refusesChunks("NUL after a size", "5\0\r\nhello\r\n0\r\n\r\n");
refusesChunks("data without CRLF after it", "5\r\nhello0\r\n\r\n", "content: hello");
refusesChunks("another byte in place of the CR after data", "5\r\nhello.\n0\r\n\r\n", "content: hello");
refusesChunks("another byte in place of the LF after data", "5\r\nhello\r.0\r\n\r\n", "content: hello");
refusesChunks("another byte in place of the LF after a size", "5\r.hello\r\n0\r\n\r\n");
refusesChunks("another byte in place of the last CR", "0\r\n.\n");
refusesChunks("a bare LF after data", "5\r\nhello\n0\r\n\r\n", "content: hello");
refusesChunks("a bare CR after data", "5\r\nhello\r0\r\n\r\n", "content: hello");
refusesChunks("data longer than its size", "5\r\nhello!\r\n0\r\n\r\n", "content: hello");
refusesChunks("data shorter than its size", "5\r\nhell\r\n0\r\n\r\n", "content: hell\r");
refusesChunks("an empty line between chunks", "5\r\nhello\r\n\r\n0\r\n\r\n", "content: hello");
takesChunks("content that ends before the last chunk", "5\r\nhello\r\n", "content: hello", "more");
takesChunks("content that ends inside the last line", "0\r\n\r", "more");
refusesChunks("a bare LF after the last chunk", "0\n\r\n");
refusesChunks("a bare LF as the last line", "0\r\n\n");
refusesChunks("a bare CR in the last line", "0\r\n\rX\r\n");
refusesChunks("two CR in the last line", "0\r\n\r\r\n");

takesChunks("an extension and drops it", "5;a\r\nhello\r\n0;b\r\n\r\n", "content: hello", "end");
takesChunks("an extension with a value", "5;a=b;c=d\r\nhello\r\n0\r\n\r\n", "content: hello", "end");
takesChunks(
  "an extension with a quoted value",
  '5;a="b; c=\\"d\\""\r\nhello\r\n0\r\n\r\n',
  "content: hello",
  "end",
);
takesChunks("blanks inside an extension", "5; a = b\t\r\nhello\r\n0\r\n\r\n", "content: hello", "end");
takesChunks("bytes above 0x7f in an extension", '5;a="\xe4"\r\nhello\r\n0\r\n\r\n', "content: hello", "end");
refusesChunks("a blank before an extension", "5 ;a\r\nhello\r\n0\r\n\r\n");
refusesChunks("a bare LF as the end of an extension", "5;a\nhello\r\n0\r\n\r\n");
refusesChunks("a bare LF inside an extension", "2;\nxx\r\n1\r\na\r\n0\r\n\r\n");
refusesChunks("a bare CR inside an extension", "5;a\rb\r\nhello\r\n0\r\n\r\n");
refusesChunks("two CR after an extension", "5;a\r\r\nhello\r\n0\r\n\r\n");
refusesChunks("a bare LF inside a quoted extension", '5;a="\n"\r\nhello\r\n0\r\n\r\n');
refusesChunks("NUL in an extension", "5;a\0\r\nhello\r\n0\r\n\r\n");
refusesChunks("0x7f in an extension", "5;a\x7f\r\nhello\r\n0\r\n\r\n");
refusesChunks("CRLF inside a quoted extension", '1;a="\r\nb\r\n0\r\n\r\n');
refusesChunks("CRLF after an escaped quote", '1;a="\\"\r\nb\r\n0\r\n\r\n');
refusesChunks("CRLF after an escape outside of quotes and one quote", '1;a\\"\r\nb\r\n0\r\n\r\n');
takesChunks(
  "quotes of one chunk for that chunk only",
  '1;a="\\\\"\r\na\r\n1;b=""\r\nb\r\n0;c\r\n\r\n',
  "content: ab",
  "end",
);
takesChunks("an extension of 256 bytes", `1;${"x".repeat(256)}\r\na\r\n0\r\n\r\n`, "content: a", "end");
refusesChunks("an extension of 257 bytes", `1;${"x".repeat(257)}\r\na\r\n0\r\n\r\n`);
refusesChunks("an extension of 257 bytes after the last size", `0;${"x".repeat(257)}\r\n\r\n`);
const extendedChunk = `1;${"x".repeat(256)}\r\na\r\n`;
takesChunks(
  "extensions of 16384 bytes in one message",
  `${extendedChunk.repeat(64)}0\r\n\r\n`,
  `content: ${"a".repeat(64)}`,
  "end",
);
refusesChunks(
  "extensions of 16385 bytes in one message",
  `${extendedChunk.repeat(64)}0;x\r\n\r\n`,
  `content: ${"a".repeat(64)}`,
);

// ---- Trailers (RFC 9112, 7.1.2; RFC 9110, 6.5.1).

takesChunks("trailers", "0\r\nA: b\r\nC:d\r\n\r\n", "end | A: b | C:d");
takesChunks("bytes above 0x7f in a trailer", "0\r\nA: \xe4\tb\r\n\r\n", "end | A: \xe4\tb");
for (const name of [
  "Content-Length",
  "Transfer-Encoding",
  "Host",
  "Trailer",
  "Connection",
  "TE",
  "Upgrade",
  "Expect",
  "Authorization",
  "Proxy-Authorization",
  "Cookie",
  "Set-Cookie",
  "Content-Type",
  "Content-Encoding",
  "Content-Range",
  "Cache-Control",
  "Age",
  "Expires",
  "Location",
  "Retry-After",
  "Vary",
  "Range",
  "Max-Forwards",
  "If-Match",
  "If-None-Match",
  "If-Modified-Since",
  "If-Unmodified-Since",
  "If-Range",
  "WWW-Authenticate",
  "X-Forwarded-For",
  "X-Forwarded-User",
  "X-Original-Host",
  "X-Auth-Request-User",
  "X-Real-IP",
  "Forwarded",
  "ssl-client-verify",
  "X_Forwarded_For",
]) {
  takesChunks(
    `the trailer ${name} and drops it`,
    `0\r\nA: b\r\n${name}: 5\r\nC: d\r\n\r\n`,
    "end | A: b | C: d",
  );
}
refusesChunks("a trailer without colon", "0\r\nA\r\n\r\n");
refusesChunks("a trailer with an empty name", "0\r\n: a\r\n\r\n");
refusesChunks("a trailer with a blank before its colon", "0\r\nA : b\r\n\r\n");
refusesChunks("a folded trailer", "0\r\nA: b\r\n c\r\n\r\n");
refusesChunks("a trailer that starts with a blank", "0\r\n A: b\r\n\r\n");
refusesChunks("a trailer that ends in a bare LF", "0\r\nA: b\n\r\n");
refusesChunks("a bare CR in a trailer", "0\r\nA: b\rc\r\n\r\n");
refusesChunks("NUL in a trailer", "0\r\nA: b\0\r\n\r\n");
refusesChunks("0x7f in a trailer", "0\r\nA: \x7f\r\n\r\n");
refusesChunks("a request in place of the last line", "0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
takesChunks("128 trailers", `0\r\n${"A: b\r\n".repeat(128)}\r\n`, `end${" | A: b".repeat(128)}`);
refusesChunks("129 trailers", `0\r\n${"A: b\r\n".repeat(129)}\r\n`);
takesChunks(
  "a trailer line of 8192 bytes",
  `0\r\nA: ${"x".repeat(8189)}\r\n\r\n`,
  `end | A: ${"x".repeat(8189)}`,
);
refusesChunks("a trailer line of 8193 bytes", `0\r\nA: ${"x".repeat(8190)}\r\n\r\n`);

/** Field lines with CRLF that take `bytes` in all; the last one is the shorter. */
function fieldLines(bytes: number): string[] {
  const lines: string[] = [];
  for (let left = bytes; left > 0; left -= 4000) lines.push(`X: ${"x".repeat(Math.min(left, 4000) - 5)}`);
  return lines;
}
const trailersOf = (bytes: number): string => `0\r\n${head(...fieldLines(bytes - 2))}`;
takesChunks("trailers of 32768 bytes", trailersOf(32_768), `end | ${fieldLines(32_766).join(" | ")}`);
refusesChunks("trailers of 32769 bytes", trailersOf(32_769));

// ---- Expect (RFC 9110, 10.1.1).

takes(
  "RFC 9110, 10.1.1",
  "Expect: 100-continue",
  `${post("Content-Length: 1", "Expect: 100-continue")}a`,
  "POST / host=a length:1 expects | Content-Length: 1 | Expect: 100-continue",
  "content: a",
  "end",
);
takes(
  "RFC 9110, 10.1.1",
  "Expect in any case",
  `${post("Transfer-Encoding: chunked", "expect: 100-Continue")}0\r\n\r\n`,
  "POST / host=a chunked expects | Transfer-Encoding: chunked | expect: 100-Continue",
  "end",
);
takes(
  "RFC 9110, 10.1.1",
  "Expect without content and ignores it",
  get("Expect: 100-continue"),
  `${getHead} | Expect: 100-continue`,
  "end",
);
takes(
  "RFC 9110, 10.1.1",
  "Expect of HTTP/1.0 and ignores it",
  `${head("POST / HTTP/1.0", "Content-Length: 1", "Expect: 100-continue")}a`,
  "POST / host= length:1 1.0 last | Content-Length: 1 | Expect: 100-continue",
  "content: a",
  "end",
);
for (const value of ["200-ok", "100-continue, x", "100", "", "100-continue;a=b"]) {
  refuses(
    "RFC 9110, 10.1.1",
    `the expectation ${JSON.stringify(value)}`,
    post(`Expect: ${value}`),
    "expectationFailed",
  );
}

// ---- Connection (RFC 9112, 9.3; RFC 9110, 7.6.1).

const manyOptions = Array.from({ length: 32 }, (_, i) => `o${i}`);
takes(
  "9110, 7.6.1",
  "32 connection options",
  get(`Connection: ${manyOptions.join(",")}`),
  `${getHead} hop=${manyOptions.join(",")} | Connection: ${manyOptions.join(",")}`,
  "end",
);
refuses(
  "9110, 7.6.1",
  "33 connection options",
  get(`Connection: ${manyOptions.join(",")},x`),
  "fieldInvalid",
);
refuses(
  "9110, 7.6.1",
  "33 connection options in two fields",
  get(`Connection: ${manyOptions.join(",")}`, "Connection: x"),
  "fieldInvalid",
);

takes("9.6", "Connection: close", get("Connection: close"), `${getHead} last | Connection: close`, "end");
takes(
  "9.6",
  "close in any case among others",
  get("Connection: x , CLOSE"),
  `${getHead} last hop=x | Connection: x , CLOSE`,
  "end",
);
takes(
  "9.6",
  "close in a second field",
  get("Connection: x", "Connection: close"),
  `${getHead} last hop=x | Connection: x | Connection: close`,
  "end",
);
takes(
  "9.3",
  "Connection: keep-alive",
  get("Connection: Keep-Alive"),
  `${getHead} | Connection: Keep-Alive`,
  "end",
);
takes(
  "9.3",
  "close before keep-alive as close",
  get("Connection: close, keep-alive"),
  `${getHead} last | Connection: close, keep-alive`,
  "end",
);
takes(
  "9.3",
  "keep-alive of HTTP/1.0",
  head("GET / HTTP/1.0", "Connection: keep-alive"),
  "GET / host= none 1.0 | Connection: keep-alive",
  "end",
);
takes(
  "9.3",
  "close and keep-alive of HTTP/1.0 as close",
  head("GET / HTTP/1.0", "Connection: keep-alive, close"),
  "GET / host= none 1.0 last | Connection: keep-alive, close",
  "end",
);
takes(
  "RFC 9110, 7.6.1",
  "the names that Connection lists",
  get("Connection: Foo,, X-Bar ,"),
  `${getHead} hop=foo,x-bar | Connection: Foo,, X-Bar ,`,
  "end",
);
takes("RFC 9110, 7.6.1", "an empty Connection", get("Connection:"), `${getHead} | Connection: `, "end");
takes(
  "RFC 9110, 7.6.1",
  "close with another kind of space as no option that it knows",
  get("Connection: close\xa0"),
  `${getHead} hop=close\xa0 | Connection: close\xa0`,
  "end",
);
takes(
  "RFC 9110, 7.8",
  "an offer to switch protocols",
  get("Connection: upgrade", "Upgrade: websocket"),
  `${getHead} upgrade | Connection: upgrade | Upgrade: websocket`,
  "end",
);
takes(
  "RFC 9110, 7.8",
  "Upgrade first",
  get("Upgrade: websocket", "Connection: keep-alive, Upgrade"),
  `${getHead} upgrade | Upgrade: websocket | Connection: keep-alive, Upgrade`,
  "end",
);
takes(
  "RFC 9110, 7.8",
  "Upgrade without the option as none",
  get("Upgrade: websocket"),
  `${getHead} | Upgrade: websocket`,
  "end",
);
takes(
  "RFC 9110, 7.8",
  "the option without Upgrade as none",
  get("Connection: upgrade"),
  `${getHead} | Connection: upgrade`,
  "end",
);
takes(
  "RFC 9110, 7.8",
  "Upgrade in HTTP/1.0 as none",
  head("GET / HTTP/1.0", "Connection: upgrade", "Upgrade: websocket"),
  "GET / host= none 1.0 last | Connection: upgrade | Upgrade: websocket",
  "end",
);

// ---- Limits, exactly at and one over.

const targetOf = (lineBytes: number): string => `/${"a".repeat(lineBytes - "GET / HTTP/1.1".length)}`;
takes(
  "3",
  "a request line of 8192 bytes",
  head(`GET ${targetOf(8192)} HTTP/1.1`, "Host: a"),
  `GET ${targetOf(8192)} host=a none`,
  "end",
);
refuses(
  "3",
  "a request line of 8193 bytes",
  head(`GET ${targetOf(8193)} HTTP/1.1`, "Host: a"),
  "requestLineTooLong",
);
takes("3", "an unfinished request line of 8192 bytes", `GET /${"a".repeat(8187)}`, "more");
refuses("3", "an unfinished request line of 8194 bytes", `GET /${"a".repeat(8189)}`, "requestLineTooLong");
refuses("3", "an endless method", "A".repeat(10_000), "requestLineTooLong");
takes(
  "5",
  "a field line of 8192 bytes",
  get(`X: ${"x".repeat(8189)}`),
  `${getHead} | X: ${"x".repeat(8189)}`,
  "end",
);
refuses("5", "a field line of 8193 bytes", get(`X: ${"x".repeat(8190)}`), "headTooLarge");
refuses("5", "an endless name", `GET / HTTP/1.1\r\n${"x".repeat(10_000)}`, "headTooLarge");
const headOf = (bytes: number): string[] => fieldLines(bytes - get().length);
takes(
  "5",
  "a head of 32768 bytes",
  get(...headOf(32_768)),
  `${getHead} | ${headOf(32_768).join(" | ")}`,
  "end",
);
refuses("5", "a head of 32769 bytes", get(...headOf(32_769)), "headTooLarge");
refuses("5", "a head of 32768 bytes after an empty line", `\r\n${get(...headOf(32_768))}`, "headTooLarge");
refuses(
  "5",
  "an endless head",
  `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(120)}${`X: ${"y".repeat(4000)}\r\n`.repeat(9)}`,
  "headTooLarge",
);
const fields = (count: number): string[] => Array.from<string>({ length: count }).fill("X: y");
takes("5", "128 fields", get(...fields(127)), `${getHead}${" | X: y".repeat(127)}`, "end");
refuses("5", "129 fields", get(...fields(128)), "tooManyFields");
takes(
  "6.2",
  "a large head with content after it",
  `${post(...headOf(9000), "Content-Length: 5")}hello`,
  `POST / host=a length:5 | ${headOf(9000).join(" | ")} | Content-Length: 5`,
  "content: hello",
  "end",
);
takes(
  "6.2",
  "much content",
  `${post("Content-Length: 9000")}${"c".repeat(9000)}`,
  lengthHead("9000", 9000),
  `content: ${"c".repeat(9000)}`,
  "end",
);

// ---- Pipelining and smuggling families (RFC 9112, 9.3.2 and 11.2).

takes(
  "9.3.2",
  "two requests in one go",
  get() + head("GET /2 HTTP/1.1", "Host: b"),
  getHead,
  "end",
  "GET /2 host=b none",
  "end",
);
takes(
  "9.3.2",
  "a request after content",
  `${post("Content-Length: 5")}hello${get()}`,
  lengthHead("5", 5),
  "content: hello",
  "end",
  getHead,
  "end",
);
takes(
  "9.3.2",
  "a request after chunks",
  chunked("5\r\nhello\r\n0\r\n\r\n") + get(),
  chunkedHead,
  "content: hello",
  "end",
  getHead,
  "end",
);
takes(
  "9.3.2",
  "a request after trailers",
  chunked("0\r\nA: b\r\n\r\n") + get(),
  chunkedHead,
  "end | A: b",
  getHead,
  "end",
);
takes(
  "9.3.2",
  "three requests, the last one incomplete",
  `${get()}${get()}GET / HT`,
  getHead,
  "end",
  getHead,
  "end",
  "more",
);
takes(
  "9.3.2",
  "an empty line between requests",
  `${post("Content-Length: 5")}hello\r\n${get()}`,
  lengthHead("5", 5),
  "content: hello",
  "end",
  getHead,
  "end",
);
refuses(
  "9.3.2",
  "two empty lines between requests",
  `${get()}\r\n\r\n${get()}`,
  "requestLineInvalid",
  getHead,
  "end",
);
takes(
  "9.3.2",
  "what lies after the content as the next request",
  `${post("Content-Length: 4")}hello`,
  lengthHead("4", 4),
  "content: hell",
  "end",
  "more",
);
takes(
  "9.6",
  "nothing after Connection: close",
  get("Connection: close") + get(),
  `${getHead} last | Connection: close`,
  "end",
  `rest: ${get().length}`,
);
takes(
  "9.6",
  "nothing after content with Connection: close",
  `${post("Connection: close", "Content-Length: 2")}abcd`,
  "POST / host=a length:2 last | Connection: close | Content-Length: 2",
  "content: ab",
  "end",
  "rest: 2",
);
takes(
  "9.3",
  "nothing after HTTP/1.0",
  head("GET / HTTP/1.0") + get(),
  "GET / host= none 1.0 last",
  "end",
  `rest: ${get().length}`,
);
takes(
  "9.3",
  "a second request of HTTP/1.0 with keep-alive",
  head("GET / HTTP/1.0", "Connection: keep-alive") + get(),
  "GET / host= none 1.0 | Connection: keep-alive",
  "end",
  getHead,
  "end",
);
takes(
  "6.3",
  "state of one request for that request only",
  `${post("Content-Length: 2", "Connection: x")}ab${get()}${chunked("0\r\n\r\n")}${get("Upgrade: a")}`,
  "POST / host=a length:2 hop=x | Content-Length: 2 | Connection: x",
  "content: ab",
  "end",
  getHead,
  "end",
  chunkedHead,
  "end",
  `${getHead} | Upgrade: a`,
  "end",
);
refuses(
  "11.2",
  "the CL.TE shape",
  `${post("Content-Length: 6", "Transfer-Encoding: chunked")}0\r\n\r\nG`,
  "framingInvalid",
);
refuses(
  "11.2",
  "the TE.CL shape",
  `${post("Transfer-Encoding: chunked", "Content-Length: 3")}8\r\nSMUGGLED\r\n0\r\n\r\n`,
  "framingInvalid",
);
refuses(
  "11.2",
  "the TE.TE shape",
  `${post("Transfer-Encoding: chunked", "Transfer-encoding: cow")}5c\r\n`,
  "framingInvalid",
);
refuses(
  "11.2",
  "the TE.TE shape behind a blank",
  `${post("Transfer-Encoding: chunked", "Transfer-Encoding : x")}0\r\n\r\n`,
  "fieldInvalid",
);
refuses(
  "11.2",
  "the TE.TE shape behind a bare LF",
  `${post("X: a\nTransfer-Encoding: chunked")}0\r\n\r\n`,
  "fieldInvalid",
);
refuses(
  "11.2",
  "the TE.TE shape in one value",
  `${post("Transfer-Encoding: x, chunked")}0\r\n\r\n`,
  "framingInvalid",
);
takes(
  "11.2",
  "the CL.0 shape as content",
  `${get("Content-Length: 27")}GET /admin HTTP/1.1\r\nFoo: x`,
  "GET / host=a length:27 | Content-Length: 27",
  "content: GET /admin HTTP/1.1\r\nFoo: x",
  "end",
);
takes(
  "11.2",
  "the 0.CL shape as two requests, each by its own length",
  `${post("Content-Length: 0")}${post("Content-Length: 3")}abc`,
  lengthHead("0", 0),
  "end",
  lengthHead("3", 3),
  "content: abc",
  "end",
);
refuses(
  "11.2",
  "content where a length of zero was told",
  `${post("Content-Length: 0")}{"a":1}`,
  "requestLineInvalid",
  lengthHead("0", 0),
  "end",
);
refuses(
  "11.2",
  "a line end trick in a chunk extension (TERM.EXT)",
  chunked("5;\nhello\r\n0\r\n\r\n"),
  "chunkInvalid",
  chunkedHead,
);
refuses(
  "11.2",
  "a line end trick in a chunk extension (EXT.TERM)",
  chunked("5;\rhello\r\n0\r\n\r\n"),
  "chunkInvalid",
  chunkedHead,
);
refuses(
  "11.2",
  "a chunk spill that hides a request",
  chunked(`1\r\nAX5\r\n\r\n${get()}0\r\n\r\n`),
  "chunkInvalid",
  chunkedHead,
  "content: A",
);
refuses(
  "11.2",
  "a one-byte terminator after data (TERM.SPILL)",
  chunked("5\r\nhello\r0\r\n\r\n"),
  "chunkInvalid",
  chunkedHead,
  "content: hello",
);
refuses("RFC 9113, 3.4", "the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "versionUnsupported");
refuses("3", "a TLS hello on a plain port", "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03", "requestLineInvalid");
refuses("3", "a PROXY protocol line of version 2", "\r\n\r\n\0\r\nQUIT\n", "requestLineInvalid");
refuses(
  "3",
  "a PROXY protocol line of version 1",
  `PROXY TCP4 1.2.3.4 5.6.7.8 1 2\r\n${get()}`,
  "requestLineInvalid",
);
takes("2.2", "no bytes at all", "");
takes("2.2", "one empty line and waits", "\r\n", "more");

// ---- Responses.

function answers(section: string, name: string, bytes: string, ...events: readonly string[]): void {
  responses.push({ name: `takes ${name}`, section, bytes, events });
}
function answersHead(section: string, name: string, bytes: string, ...events: readonly string[]): void {
  responses.push({ name: `takes ${name}`, section, bytes, events, isHead: true });
}
function rejects(section: string, name: string, bytes: string, ...before: readonly string[]): void {
  responses.push({ name: `refuses ${name}`, section, bytes, events: [...before, error("upstreamInvalid")] });
}
function rejectsHuge(name: string, bytes: string): void {
  responses.push({ name: `refuses ${name}`, section: "5", bytes, events: [error("upstreamHeadTooLarge")] });
}

const ok = (...lines: readonly string[]): string => head("HTTP/1.1 200 OK", ...lines);
const okChunked = (content: string): string => ok("Transfer-Encoding: chunked") + content;
const okChunkedHead = "200 OK chunked | Transfer-Encoding: chunked";

answers(
  "4",
  "a response with a length",
  `${ok("Content-Length: 5")}hello`,
  "200 OK length:5 | Content-Length: 5",
  "content: hello",
  "end",
);
answers(
  "4",
  "a reason of several words",
  head("HTTP/1.1 404 Not Found, sorry: \xe4", "Content-Length: 0"),
  "404 Not Found, sorry: \xe4 none told:0 | Content-Length: 0",
  "end",
);
answers(
  "4",
  "an empty reason",
  head("HTTP/1.1 200 ", "Content-Length: 0"),
  "200 - none told:0 | Content-Length: 0",
  "end",
);
answers(
  "4",
  "no reason and no blank",
  head("HTTP/1.1 200", "Content-Length: 0"),
  "200 - none told:0 | Content-Length: 0",
  "end",
);
answers(
  "4",
  "HTAB in a reason",
  head("HTTP/1.1 200 a\tb", "Content-Length: 0"),
  "200 a\tb none told:0 | Content-Length: 0",
  "end",
);
answers(
  "4",
  "a status it does not know",
  head("HTTP/1.1 599 x", "Content-Length: 0"),
  "599 x none told:0 | Content-Length: 0",
  "end",
);
answers(
  "2.3",
  "HTTP/1.0",
  `${head("HTTP/1.0 200 OK", "Content-Length: 1")}a`,
  "200 OK length:1 last | Content-Length: 1",
  "content: a",
  "end",
);
answers(
  "9.3",
  "HTTP/1.0 with keep-alive",
  `${head("HTTP/1.0 200 OK", "Content-Length: 1", "Connection: keep-alive")}a`,
  "200 OK length:1 | Content-Length: 1 | Connection: keep-alive",
  "content: a",
  "end",
);
answers(
  "RFC 9110, 2.5",
  "HTTP/1.9 as HTTP/1.1",
  head("HTTP/1.9 200 OK", "Content-Length: 0"),
  "200 OK none told:0 | Content-Length: 0",
  "end",
);
for (const line of [
  "HTTP/2.0 200 OK",
  "HTTP/0.9 200 OK",
  "HTTP/1.10 200 OK",
  "HTTP/1 200 OK",
  "HTTP/1. 200 OK",
  "HTTP/1.a 200 OK",
  "http/1.1 200 OK",
  "HTTPS/1.1 200 OK",
  "ICY 200 OK",
  "HTTP/1.1  200 OK",
  "HTTP/1.1\t200 OK",
  "HTTP/1.1 200\tOK",
  "HTTP/1.1 20 OK",
  "HTTP/1.1 20",
  "HTTP/1.1 2000 OK",
  "HTTP/1.1 2x0 OK",
  "HTTP/1.1 +20 OK",
  "HTTP/1.1 099 OK",
  "HTTP/1.1 600 OK",
  "HTTP/1.1 OK",
  "HTTP/1.1",
  "200 OK",
  " HTTP/1.1 200 OK",
  "HTTP/1.1 200 O\0K",
  "HTTP/1.1 200 O\rK",
  "HTTP/1.1 200 O\x7fK",
]) {
  rejects("4", `the status line ${JSON.stringify(line)}`, head(line, "Content-Length: 0"));
}
rejects("2.2", "an empty line before the status line", `\r\n${ok("Content-Length: 0")}`);
rejects("2.2", "a bare LF after the status line", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n");
rejects("2.2", "a bare LF after a field", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n");
rejects("2.2", "a bare CR in a field", ok("X: a\rb"));
rejects("RFC 9110, 5.5", "NUL in a field", ok("X: a\0b"));
rejects("RFC 9110, 5.5", "0x7f in a field", ok("X: a\x7fb"));
rejects("5.2", "a folded field", ok("X: a", " b"));
rejects("5.1", "a blank before the colon", ok("X : a"));
rejects("5.1", "an empty name", ok(": a"));
rejects("5.1", "a line without colon", ok("X"));
rejects("3", "something else than HTTP", "SSH-2.0-OpenSSH_9.0\r\n");

for (const status of [204, 304]) {
  // RFC 9110, 8.6: a 204 announces no content; one that does may be followed by it.
  const suspect = status === 204 ? " last" : "";
  answers(
    "6.3",
    `${status} without content whatever its length says`,
    head(`HTTP/1.1 ${status} x`, "Content-Length: 5") + "hello",
    `${status} x none told:5${suspect} | Content-Length: 5`,
    "end",
    "rest: 5",
  );
  answers(
    "6.3",
    `${status} without content whatever its coding says`,
    head(`HTTP/1.1 ${status} x`, "Transfer-Encoding: chunked"),
    `${status} x none${suspect} | Transfer-Encoding: chunked`,
    "end",
  );
  answers("6.3", `${status} without any length`, head(`HTTP/1.1 ${status} x`), `${status} x none`, "end");
}
answersHead(
  "6.3",
  "the answer to HEAD without content whatever its length says",
  ok("Content-Length: 5"),
  "200 OK none told:5 | Content-Length: 5",
  "end",
);
answersHead(
  "6.3",
  "the answer to HEAD without content whatever its coding says",
  ok("Transfer-Encoding: chunked"),
  "200 OK none | Transfer-Encoding: chunked",
  "end",
);
answersHead(
  "6.3",
  "the answer to HEAD without any length as one that leaves the connection open",
  ok("X: y"),
  "200 OK none | X: y",
  "end",
);
answersHead(
  "6.3",
  "content that follows the answer to HEAD as left over",
  `${ok("Content-Length: 2")}ab`,
  "200 OK none told:2 | Content-Length: 2",
  "end",
  "rest: 2",
);
answers(
  "RFC 9110, 15.2",
  "interim responses before the final one",
  `${head("HTTP/1.1 100 Continue")}${head("HTTP/1.1 103 Early Hints", "Link: a")}${ok("Content-Length: 1")}a`,
  "100 Continue none",
  "103 Early Hints none | Link: a",
  "200 OK length:1 | Content-Length: 1",
  "content: a",
  "end",
);
answers(
  "6.3",
  "an interim response without content whatever its length says",
  `${head("HTTP/1.1 100 Continue", "Content-Length: 5")}${ok("Content-Length: 0")}`,
  "100 Continue none told:5 | Content-Length: 5",
  "200 OK none told:0 | Content-Length: 0",
  "end",
);
answersHead(
  "RFC 9110, 15.2",
  "an interim response to HEAD",
  head("HTTP/1.1 100 Continue") + ok("Content-Length: 5"),
  "100 Continue none",
  "200 OK none told:5 | Content-Length: 5",
  "end",
);
answers(
  "RFC 9110, 7.8",
  "a switch of protocols and leaves what follows",
  `${head("HTTP/1.1 101 Switching Protocols", "Connection: upgrade", "Upgrade: websocket")}\x81\x01a`,
  "101 Switching Protocols none upgrade | Connection: upgrade | Upgrade: websocket",
  "rest: 3",
);

answers(
  "6.3",
  "equal lengths as one",
  `${ok("Content-Length: 2", "Content-Length: 2")}ab`,
  "200 OK length:2 | Content-Length: 2 | Content-Length: 2",
  "content: ab",
  "end",
);
rejects("6.3", "different lengths", `${ok("Content-Length: 2", "Content-Length: 3")}abc`);
for (const value of [
  "+5",
  "-5",
  "0x5",
  "5,5",
  "5, 5",
  "5 5",
  "",
  "9007199254740992",
  "18446744073709551621",
]) {
  rejects("6.2", `the length ${JSON.stringify(value)}`, `${ok(`Content-Length: ${value}`)}hello`);
}
rejects(
  "6.1",
  "a length beside a coding",
  okChunked("").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\n"),
);
rejects(
  "6.1",
  "a coding beside a length",
  `${ok("Content-Length: 5", "Transfer-Encoding: chunked")}0\r\n\r\n`,
);
rejects("6.1", "a coding in HTTP/1.0", `${head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")}0\r\n\r\n`);
for (const value of ["gzip, chunked", "gzip", "identity", "chunked, chunked", "xchunked", "chunked,", ""]) {
  rejects("6.1", `the coding ${JSON.stringify(value)}`, `${ok(`Transfer-Encoding: ${value}`)}0\r\n\r\n`);
}
rejects("6.1", "a coding twice", ok("Transfer-Encoding: chunked", "Transfer-Encoding: chunked"));
answers(
  "6.3",
  "content until the connection closes",
  `${ok("X: y")}hello\r\n\r\n`,
  "200 OK until-close last | X: y",
  "content: hello\r\n\r\n",
  "until close",
);
answers(
  "6.3",
  "content until the connection closes although it asks to keep it",
  `${ok("Connection: keep-alive")}hello`,
  "200 OK until-close last | Connection: keep-alive",
  "content: hello",
  "until close",
);
answers(
  "6.3",
  "content by length that ends too early",
  `${ok("Content-Length: 5")}hell`,
  "200 OK length:5 | Content-Length: 5",
  "content: hell",
  "more",
);
answers(
  "7.1",
  "chunks and trailers",
  okChunked("5;x=y\r\nhello\r\n0\r\nA: b\r\nContent-Length: 1\r\n\r\n"),
  okChunkedHead,
  "content: hello",
  "end | A: b",
);
answers(
  "7.1",
  "chunks that end too early",
  okChunked("5\r\nhello\r\n"),
  okChunkedHead,
  "content: hello",
  "more",
);
for (const [name, content] of [
  ["no CRLF after data", "1\r\na0\r\n\r\n"],
  ["a bare LF after data", "1\r\na\n0\r\n\r\n"],
  ["more data than its size", "1\r\nab\r\n0\r\n\r\n"],
] as const) {
  rejects("7.1", `a chunk with ${name}`, okChunked(content), okChunkedHead, "content: a");
}
rejects("7.1", "a bare LF after a size", okChunked("1\na\r\n0\r\n\r\n"), okChunkedHead);
rejects("7.1", "a size that is no number", okChunked("x\r\na\r\n0\r\n\r\n"), okChunkedHead);
rejects("7.1", "a size of 17 digits", okChunked("00000000000000001\r\na\r\n0\r\n\r\n"), okChunkedHead);
rejects("7.1.1", "an extension of 257 bytes", okChunked(`1;${"x".repeat(257)}\r\na\r\n`), okChunkedHead);
rejects("7.1.2", "a malformed trailer", okChunked("0\r\nA b\r\n\r\n"), okChunkedHead);
answers(
  "9.3.2",
  "what follows a complete response as left over",
  `${ok("Content-Length: 1")}aHTTP/1.1 200 OK\r\n\r\n`,
  "200 OK length:1 | Content-Length: 1",
  "content: a",
  "end",
  "rest: 19",
);
answers(
  "9.6",
  "Connection: close",
  `${ok("Content-Length: 1", "Connection: close")}a`,
  "200 OK length:1 last | Content-Length: 1 | Connection: close",
  "content: a",
  "end",
);
answers(
  "RFC 9110, 7.6.1",
  "the names that Connection lists",
  ok("Content-Length: 0", "Connection: X-a, keep-alive"),
  "200 OK none told:0 hop=x-a | Content-Length: 0 | Connection: X-a, keep-alive",
  "end",
);
for (const [value, told] of [
  ["timeout=5", " keep=5"],
  ["max=100, timeout=5", " keep=5"],
  ["TIMEOUT=0", " keep=0"],
  ["timeout=x", ""],
  ["xtimeout=5", ""],
  ["", ""],
] as const) {
  answers(
    "9.3",
    `the keep-alive hint ${JSON.stringify(value)}`,
    ok("Content-Length: 0", `Keep-Alive: ${value}`),
    `200 OK none told:0${told} | Content-Length: 0 | Keep-Alive: ${value}`,
    "end",
  );
}
answers(
  "5",
  "a head of 32768 bytes",
  ok(...fieldLines(32_768 - ok("Content-Length: 0").length), "Content-Length: 0"),
  `200 OK none told:0 | ${fieldLines(32_768 - ok("Content-Length: 0").length).join(" | ")} | Content-Length: 0`,
  "end",
);
rejectsHuge(
  "a head of 32769 bytes",
  ok(...fieldLines(32_769 - ok("Content-Length: 0").length), "Content-Length: 0"),
);
rejectsHuge("a field line of 8193 bytes", ok(`X: ${"x".repeat(8190)}`));
rejectsHuge("a status line of 8193 bytes", head(`HTTP/1.1 200 ${"x".repeat(8180)}`));
answers(
  "5",
  "128 fields",
  ok(...fields(127), "Content-Length: 0"),
  `200 OK none told:0${" | X: y".repeat(127)} | Content-Length: 0`,
  "end",
);
rejectsHuge("129 fields", ok(...fields(128), "Content-Length: 0"));

export const requestCases: readonly MessageCase[] = requests;
export const responseCases: readonly MessageCase[] = responses;
