// The chunk grammar. A chunk that is malformed comes after a good one that has reached the endpoint already: the request
// must stay incomplete there, and nothing of what follows may be heard of.
import { forwarded, head, judgeAll, sent, type AttackCase } from "./scene.ts";

const begun = head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked");
const good = "3\r\nabc\r\n";
const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const sentSoFar = (content: string): string =>
  sent("POST / HTTP/1.1", { last: ["Transfer-Encoding: chunked"], content });

/** Nothing goes on of a read that brings an error. */
function broken(section: string, name: string, bad: string): AttackCase {
  return {
    section,
    name,
    client: [begun + good, bad + smuggled],
    answers: ["400 close"],
    end: "closes",
    reached: [sentSoFar(good)],
  };
}

function whole(section: string, name: string, content: string, goesOn = content): AttackCase {
  return forwarded(section, name, begun + content, sentSoFar(goesOn));
}

const sizes: readonly AttackCase[] = [
  ...[
    "",
    "+3",
    "-3",
    "0x3",
    "0X3",
    " 3",
    "\t3",
    "3 ",
    "3\t",
    "g",
    "3g",
    "3.",
    "3,3",
    "3 3",
    "3h",
    "00000000000000003",
    "fffffffffffffffff",
    "ffffffffffffffff",
    "20000000000000",
    "\xa03",
    "3\xa0",
    "3\0",
    "\0",
    "3\x0b",
    "3=a",
    "3:",
    '"3"',
    "３",
    "¹",
  ].map((size) =>
    broken(
      "7.1",
      `the size ${JSON.stringify(size)}`,
      `${Buffer.from(size, size > "\xff" ? "utf8" : "latin1").toString("latin1")}\r\nabc\r\n0\r\n\r\n`,
    ),
  ),
  whole(
    "7.1",
    "sizes in any case and with zeros",
    "0003\r\nabc\r\nA\r\n0123456789\r\na\r\n0123456789\r\n00\r\n\r\n",
    `3\r\nabc\r\na\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n`,
  ),
  whole("7.1", "a size of sixteen digits", "0000000000000003\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
];

const lineEnds: readonly AttackCase[] = [
  broken("7.1", "LF after the size", "3\nabc\r\n0\r\n\r\n"),
  broken("7.1", "CR after the size", "3\rabc\r\n0\r\n\r\n"),
  broken("7.1", "CR CR LF after the size", "3\r\r\nabc\r\n0\r\n\r\n"),
  broken("7.1", "two CRLF after the last size but a byte between", "0\r\nX\r\n\r\n"),
  broken("7.1", "no line end after the data", "3\r\nabc0\r\n\r\n"),
  broken("7.1", "LF after the data", "3\r\nabc\n0\r\n\r\n"),
  broken("7.1", "CR after the data", "3\r\nabc\r0\r\n\r\n"),
  broken("7.1", "LF CR after the data", "3\r\nabc\n\r0\r\n\r\n"),
  broken("7.1", "two bytes that are no line end after the data", "3\r\nabcXX0\r\n\r\n"),
  broken("7.1", "an empty line between chunks", "\r\n3\r\nabc\r\n0\r\n\r\n"),
  broken("7.1", "more data than the size says", "3\r\nabcd\r\n0\r\n\r\n"),
  broken("7.1", "a size that takes the next one as data", "6\r\nabc\r\n0\r\n\r\n"),
  broken("7.1", "LF after the last size", "0\n\r\n"),
  broken("7.1", "LF as the very end", "0\r\n\n"),
  broken("7.1", "CR as the very end", "0\r\n\rX"),
  broken("7.1", "LF LF as the very end", "0\n\n"),
  broken("7.1.2", "a second last chunk in place of the end", "0\r\n0\r\n\r\n"),
];

const long = "e".repeat(257);
const extensions: readonly AttackCase[] = [
  whole(
    "7.1.1",
    "extensions are not forwarded",
    '3;a\r\nabc\r\n3;a=b;c="d;e"\r\nabc\r\n0;last\r\n\r\n',
    "3\r\nabc\r\n3\r\nabc\r\n0\r\n\r\n",
  ),
  whole("7.1.1", "an extension that looks like a chunk", "3;0\r\nabc\r\n0\r\n\r\n", "3\r\nabc\r\n0\r\n\r\n"),
  whole(
    "7.1.1",
    "an extension with blanks and tabs",
    "3; a\t=\tb\r\nabc\r\n0;\r\n\r\n",
    "3\r\nabc\r\n0\r\n\r\n",
  ),
  whole(
    "7.1.1",
    "an extension with a closed quote that holds an escaped one",
    '3;a="\\""\r\nabc\r\n0\r\n\r\n',
    "3\r\nabc\r\n0\r\n\r\n",
  ),
  broken("7.1.1", "LF ends an extension", "3;\nabc\r\n0\r\n\r\n"),
  broken("7.1.1", "LF in an extension hides a chunk", "3;a\n3\r\nabc\r\n0\r\n\r\n"),
  broken("7.1.1", "CR in an extension", "3;a\rb\r\nabc\r\n0\r\n\r\n"),
  broken("7.1.1", "NUL in an extension", "3;a\0b\r\nabc\r\n0\r\n\r\n"),
  broken("7.1.1", "a quote that is open at the end of the line", '3;a="\r\nabc\r\n0\r\n\r\n"\r\n'),
  broken("7.1.1", "a quote that an escape keeps open", '3;a="\\"\r\nabc\r\n0\r\n\r\n'),
  broken("7.1.1", "a blank before the extension", "3 ;a\r\nabc\r\n0\r\n\r\n"),
  broken("7.1.1", "an extension that is too long", `3;${long}\r\nabc\r\n0\r\n\r\n`),
  broken("7.1.1", "an extension of the last chunk that is too long", `0;${long}\r\n\r\n`),
  broken("7.1.1", "LF ends the extension of the last chunk", "0;\n\r\n"),
  {
    section: "7.1.1",
    name: "too many extensions",
    client: [begun + good, `1;${"e".repeat(250)}\r\nx\r\n`.repeat(70) + smuggled],
    answers: ["400 close"],
    end: "closes",
    overTls: "skipped",
    reached: [sentSoFar(good)],
  },
];

const trailers: readonly AttackCase[] = [
  whole(
    "7.1.2",
    "trailers of a client go no further",
    `${good}0\r\nX-Sum: 1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\nHost: b\r\nX-Real-IP: 1.1.1.1\r\n` +
      "X_Y: 1\r\nAuthorization: x\r\nConnection: close\r\n\r\n",
    `${good}0\r\n\r\n`,
  ),
  broken("7.1.2", "a request in place of trailers", `0\r\n${smuggled}`),
  broken("7.1.2", "a trailer with a blank before the colon", "0\r\nX : y\r\n\r\n"),
  broken("7.1.2", "a folded trailer", "0\r\nX: y\r\n z\r\n\r\n"),
  broken("7.1.2", "a trailer that ends with LF", "0\r\nX: y\n\r\n"),
  broken("7.1.2", "a trailer with a bare CR", "0\r\nX: y\rZ: 1\r\n\r\n"),
  broken("7.1.2", "a trailer with NUL", "0\r\nX: \0\r\n\r\n"),
  broken("7.1.2", "a trailer without a name", "0\r\n: y\r\n\r\n"),
  broken("7.1.2", "a trailer without a colon", "0\r\nX\r\n\r\n"),
  broken("7.1.2", "a trailer that is too long", `0\r\nX: ${"y".repeat(8200)}\r\n\r\n`),
  broken("7.1.2", "too many trailers", `0\r\n${"X: y\r\n".repeat(129)}\r\n`),
];

const stops: readonly (readonly [where: string, bytes: string, goesOn: string])[] = [
  ["in a size", "3", ""],
  ["after a size", "3\r\n", ""],
  ["in the data", "5\r\nab", "2\r\nab\r\n"],
  ["after the data", "3\r\nabc", good],
  ["after a chunk", good, good],
  ["after the last size", "0", ""],
  ["before the end", "0\r\n", ""],
  ["in the end", "0\r\n\r", ""],
  ["in a trailer", "0\r\nX: y", ""],
];
const unfinished = stops.map(([where, bytes, goesOn]): AttackCase => ({
  section: "8",
  name: `a request that stops ${where} is not complete`,
  client: [begun + good, bytes],
  answers: [],
  end: "waits",
  reached: [sentSoFar(good + goesOn)],
}));

judgeAll("chunks", [...sizes, ...lineEnds, ...extensions, ...trailers, ...unfinished]);
