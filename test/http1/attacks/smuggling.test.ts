// Requests whose end two parsers could see in different places. What stands behind that end is `/smuggled`; it must
// never be a request, and where it is content it must be nothing but content.
import { forwarded, head, judgeAll, refused, sent, type AttackCase } from "./scene.ts";

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const post = (...lines: readonly string[]): string => head("POST / HTTP/1.1", "Host: a", ...lines);
const get = (...lines: readonly string[]): string => head("GET / HTTP/1.1", "Host: a", ...lines);
const chunkedLine = "Transfer-Encoding: chunked";
/** As one chunk, the last one, and a request behind it. */
const chunkOf = (content: string): string => `${content.length.toString(16)}\r\n${content}\r\n`;

const lengthOf = (content: string): string => `Content-Length: ${content.length}`;

const twoFramings: readonly AttackCase[] = [
  refused(
    "6.1",
    "CL.TE: the length covers a terminator and a request",
    post("Content-Length: 6", chunkedLine) + "0\r\n\r\nG",
  ),
  refused(
    "6.1",
    "CL.TE: the length covers the request",
    post("Content-Length: 45", chunkedLine) + `0\r\n\r\n${smuggled}`,
  ),
  refused("6.1", "CL.TE: with the length last", post(chunkedLine, "Content-Length: 6") + "0\r\n\r\nG"),
  refused(
    "6.1",
    "TE.CL: the length ends inside the first chunk",
    post("Content-Length: 4", chunkedLine) + chunkOf(smuggled) + "0\r\n\r\n",
  ),
  refused(
    "6.1",
    "TE.CL: a length of nothing",
    post("Content-Length: 0", chunkedLine) + chunkOf(smuggled) + "0\r\n\r\n",
  ),
  refused("6.1", "both framings that agree", post("Content-Length: 5", chunkedLine) + "0\r\n\r\n"),
  refused("6.1", "both framings of a GET", get("Content-Length: 5", chunkedLine) + "0\r\n\r\n"),
  refused(
    "6.1",
    "both framings, the length named by Connection",
    post("Connection: content-length", "Content-Length: 5", chunkedLine) + "0\r\n\r\n",
  ),
  refused(
    "6.1",
    "both framings, the coding named by Connection",
    post("Connection: transfer-encoding", "Content-Length: 5", chunkedLine) + "0\r\n\r\n",
  ),
  refused(
    "6.1",
    "both framings in HTTP/1.0",
    head("POST / HTTP/1.0", "Host: a", "Content-Length: 5", chunkedLine) + "0\r\n\r\n",
  ),
  refused("6.1", "a coding in HTTP/1.0", head("POST / HTTP/1.0", "Host: a", chunkedLine) + `0\r\n\r\n`),
];

const codings: readonly AttackCase[] = [
  ...[
    "xchunked",
    "chunkedx",
    "chunke",
    "chunked,",
    ",chunked",
    "chunked, chunked",
    "chunked, identity",
    "identity",
    "identity, chunked",
    "cow, chunked",
    "chunked, gzip",
    '"chunked"',
    "'chunked'",
    "chunked;q=1",
    "chunked chunked",
    "\tchunked",
    "chunked\t",
    " \tchunked",
    "chu\tnked",
    "chunked\xa0",
    "\xa0chunked",
    "ch\xfcnked",
    "",
    "chunked;",
    "(chunked)",
    "chunKed\x85",
  ].map((value) =>
    refused(
      "6.1",
      `TE.TE: the coding ${JSON.stringify(value)}`,
      post(`Transfer-Encoding: ${value}`) + `0\r\n\r\n`,
    ),
  ),
  ...["gzip, chunked", "deflate,chunked", "x-gzip , chunked"].map((value) =>
    refused(
      "6.1",
      `a coding that is known but not taken off: ${value}`,
      post(`Transfer-Encoding: ${value}`) + "0\r\n\r\n",
      501,
    ),
  ),
  ...["\x0bchunked", "chunked\x0b", "\x0cchunked", "chunked\0", "chunked\r", "chu\rnked"].map((value) =>
    refused(
      "RFC 9110, 5.5",
      `TE.TE: control bytes in the coding: ${JSON.stringify(value)}`,
      post(`Transfer-Encoding: ${value}`) + "0\r\n\r\n",
    ),
  ),
  refused("6.1", "TE.TE: the coding twice", post(chunkedLine, chunkedLine) + "0\r\n\r\n"),
  refused(
    "6.1",
    "TE.TE: another coding first",
    post("Transfer-Encoding: identity", chunkedLine) + "0\r\n\r\n",
  ),
  refused("6.1", "TE.TE: another coding second", post(chunkedLine, "Transfer-Encoding: cow") + "0\r\n\r\n"),
  refused("6.1", "TE.TE: an empty coding second", post(chunkedLine, "Transfer-Encoding:") + "0\r\n\r\n"),
  refused(
    "6.1",
    "TE.TE: another case of the name second",
    post(chunkedLine, "transfer-encoding: x") + "0\r\n\r\n",
  ),
];

const names: readonly AttackCase[] = [
  ...[
    "Transfer-Encoding : chunked",
    "Transfer-Encoding\t: chunked",
    " Transfer-Encoding: chunked",
    "\tTransfer-Encoding: chunked",
    "Transfer-Encoding\x0b: chunked",
    "Transfer-Encoding\0: chunked",
    "Transfer-Encoding\xa0: chunked",
    "Transfer Encoding: chunked",
    "X: y\r Transfer-Encoding: chunked",
    "X: y\nTransfer-Encoding: chunked",
    "X: y\rTransfer-Encoding: chunked",
    "Transfer-Encoding\r\n: chunked",
    "Transfer-Encoding:\r\n chunked",
    "Transfer-Encoding\n: chunked",
    "Transfer-Encoding chunked",
    ": chunked",
    "Transfer\x80Encoding: chunked",
    "Transfer-Encoding\r: chunked",
    '"Transfer-Encoding": chunked',
    "Transfer-Encoding[0]: chunked",
  ].map((line) =>
    refused(
      "5.1",
      `a framing field that is not quite one: ${JSON.stringify(line)}`,
      post("Content-Length: 45", line) + `0\r\n\r\n${smuggled}`,
    ),
  ),
  // Names that only look like framing: they are fields as others, or dropped, and the length counts.
  ...[
    "X-Transfer-Encoding: chunked",
    "Transfer-Encodin: chunked",
    "!Transfer-Encoding: chunked",
    "Transfer-Encoding.: chunked",
  ].map((line) =>
    forwarded(
      "5.1",
      `the length where a name only resembles the other framing: ${line}`,
      post(lengthOf(`0\r\n\r\n${smuggled}`), line) + `0\r\n\r\n${smuggled}`,
      sent("POST / HTTP/1.1", {
        fields: [line],
        last: [lengthOf(`0\r\n\r\n${smuggled}`)],
        content: `0\r\n\r\n${smuggled}`,
      }),
    ),
  ),
  ...["Transfer_Encoding: chunked", "Content_Length: 0"].map((line) =>
    forwarded(
      "RFC 9110, 5.1",
      `a framing name with an underscore is dropped: ${line}`,
      post(lengthOf(smuggled), line) + smuggled,
      sent("POST / HTTP/1.1", { last: [lengthOf(smuggled)], content: smuggled }),
    ),
  ),
  forwarded(
    "5.1",
    "a framing name in any case is one",
    head("POST / HTTP/1.1", "hOsT: a", "tRANSFER-eNCODING: CHUNKED") + chunkOf(smuggled) + "0\r\n\r\n",
    sent("POST / HTTP/1.1", { last: [chunkedLine], content: `${chunkOf(smuggled)}0\r\n\r\n` }),
  ),
];

const lengths: readonly AttackCase[] = [
  ...[
    "+3",
    "-3",
    "0x3",
    "3,3",
    "3, 3",
    "3;3",
    "3.0",
    "3e0",
    "",
    "3a",
    "a",
    "0b11",
    "9007199254740993",
    "99999999999999999999",
    "18446744073709551619",
    "٣",
    "３",
    "3\xa0",
    "1_0",
    '"3"',
  ].map((value) =>
    refused(
      "6.2",
      `CL.CL: the length ${JSON.stringify(value)}`,
      post(`Content-Length: ${Buffer.from(value, value > "\xff" ? "utf8" : "latin1").toString("latin1")}`) +
        "abc",
    ),
  ),
  refused("6.3", "CL.CL: two lengths", post("Content-Length: 3", "Content-Length: 45") + `abc`),
  refused("6.3", "CL.CL: two equal lengths", post("Content-Length: 3", "Content-Length: 3") + "abc"),
  refused("6.3", "CL.CL: two lengths in other cases", post("Content-Length: 3", "CONTENT-length: 0") + "abc"),
  forwarded(
    "6.2",
    "a length with leading zeros goes on as the number it is",
    post("Content-Length: 003") + "abc",
    sent("POST / HTTP/1.1", { last: ["Content-Length: 3"], content: "abc" }),
  ),
  forwarded(
    "6.2",
    "a length between blanks",
    post("Content-Length: \t 3 \t") + "abc",
    sent("POST / HTTP/1.1", { last: ["Content-Length: 3"], content: "abc" }),
  ),
];

const zero: readonly AttackCase[] = [
  ...["GET", "HEAD", "DELETE", "OPTIONS", "TRACE", "BREW"].map((method) => ({
    ...forwarded(
      "6.3",
      `CL.0: ${method} with content is ${method} with content`,
      head(`${method} / HTTP/1.1`, "Host: a", lengthOf(smuggled)) + smuggled,
      sent(`${method} / HTTP/1.1`, { last: [lengthOf(smuggled)], content: smuggled }),
    ),
    methods: [method],
    answers: method === "HEAD" ? ["200"] : ["200 answer 1"],
    ...(method === "HEAD" ? { endpoint: [["HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\n"]] } : {}),
  })),
  ...["GET", "OPTIONS", "POST"].map((method) =>
    forwarded(
      "6.3",
      `TE.0: ${method} with chunks is ${method} with chunks`,
      head(`${method} / HTTP/1.1`, "Host: a", chunkedLine) + chunkOf(smuggled) + "0\r\n\r\n",
      sent(`${method} / HTTP/1.1`, { last: [chunkedLine], content: `${chunkOf(smuggled)}0\r\n\r\n` }),
    ),
  ),
  forwarded(
    "6.3",
    "0.CL: a POST without framing has no content, and what follows is a request",
    post() + head("GET /b HTTP/1.1", "Host: a"),
    sent("POST / HTTP/1.1"),
    sent("GET /b HTTP/1.1"),
  ),
  forwarded(
    "6.3",
    "0.CL: a length of zero is told, and what follows is a request",
    post("Content-Length: 0") + head("GET /b HTTP/1.1", "Host: a"),
    sent("POST / HTTP/1.1", { last: ["Content-Length: 0"] }),
    sent("GET /b HTTP/1.1"),
  ),
  {
    section: "6.3",
    name: "0.CL: a length that is hidden in the value before it stays hidden",
    client: post("X: Content-Length: 36") + smuggled,
    answers: ["200 answer 1", "200 answer 2"],
    end: "stays open",
    reached: [
      sent("POST / HTTP/1.1", { fields: ["X: Content-Length: 36"] }) + sent("GET /smuggled HTTP/1.1"),
    ],
  },
  forwarded(
    "6.3",
    "CL.0: a length named by Connection still frames the request",
    post("Connection: content-length", lengthOf(smuggled)) + smuggled,
    sent("POST / HTTP/1.1", { last: [lengthOf(smuggled)], content: smuggled }),
  ),
  forwarded(
    "6.1",
    "TE.0: a coding named by Connection still frames the request",
    post("Connection: transfer-encoding, close-not", chunkedLine) + chunkOf(smuggled) + "0\r\n\r\n",
    sent("POST / HTTP/1.1", { last: [chunkedLine], content: `${chunkOf(smuggled)}0\r\n\r\n` }),
  ),
];

const pipelines: readonly AttackCase[] = [
  forwarded(
    "9.3.2",
    "a request that is hidden in content, before a real one",
    post(lengthOf(smuggled)) + smuggled + head("GET /b HTTP/1.1", "Host: a"),
    sent("POST / HTTP/1.1", { last: [lengthOf(smuggled)], content: smuggled }),
    sent("GET /b HTTP/1.1"),
  ),
  forwarded(
    "9.3.2",
    "a terminator that is hidden in a chunk",
    post(chunkedLine) + chunkOf(`0\r\n\r\n${smuggled}`) + "0\r\n\r\n",
    sent("POST / HTTP/1.1", { last: [chunkedLine], content: `${chunkOf(`0\r\n\r\n${smuggled}`)}0\r\n\r\n` }),
  ),
  forwarded(
    "9.3.2",
    "a request that is cut in the middle of its content, and another after it",
    [post("Content-Length: 10") + "GET /", "smugg" + head("GET /b HTTP/1.1", "Host: a")],
    sent("POST / HTTP/1.1", { last: ["Content-Length: 10"], content: "GET /smugg" }),
    sent("GET /b HTTP/1.1"),
  ),
  forwarded(
    "2.2",
    "one empty line between pipelined requests",
    get() + "\r\n" + get(),
    sent("GET / HTTP/1.1"),
    sent("GET / HTTP/1.1"),
  ),
  {
    section: "2.2",
    name: "two empty lines between pipelined requests",
    client: `${get()}\r\n\r\n${smuggled}`,
    answers: ["200 answer 1", "400 close"],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
  },
  {
    section: "9.6",
    name: "nothing after a request with Connection: close",
    client: get("Connection: close") + smuggled,
    answers: ["200 close answer 1"],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
  },
  {
    section: "9.3.2",
    name: "nothing after a second request that is refused",
    client: get() + post("Content-Length: x") + smuggled,
    answers: ["200 answer 1", "400 close"],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
  },
  {
    section: "9.3.2",
    name: "one byte more than the length says begins the next request",
    client: `${post("Content-Length: 3")}abcd${smuggled}`,
    answers: ["200 answer 1", "200 answer 2"],
    end: "stays open",
    reached: [
      sent("POST / HTTP/1.1", { last: ["Content-Length: 3"], content: "abc" }) +
        sent("dGET /smuggled HTTP/1.1"),
    ],
  },
  {
    section: "9.3.2",
    name: "one byte less than the length says takes it from what follows",
    client: `${post("Content-Length: 4")}abc${smuggled}`,
    answers: ["200 answer 1", "200 answer 2"],
    end: "stays open",
    reached: [
      sent("POST / HTTP/1.1", { last: ["Content-Length: 4"], content: "abcG" }) +
        sent("ET /smuggled HTTP/1.1"),
    ],
  },
  {
    section: "6.3",
    name: "content that never comes holds its own connection only",
    client: post("Content-Length: 500") + smuggled,
    answers: [],
    end: "waits",
    reached: [sent("POST / HTTP/1.1", { last: ["Content-Length: 500"], content: smuggled })],
  },
];

judgeAll("request smuggling", [...twoFramings, ...codings, ...names, ...lengths, ...zero, ...pipelines]);
