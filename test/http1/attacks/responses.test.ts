// Endpoints that answer so that two readers could disagree, or say more than they were asked: no client may get
// anything that was not the answer to its own request, and such a connection is never used again.
import { early, fin, head, judgeAll, rst, sent, type AttackCase } from "./scene.ts";

const get = head("GET / HTTP/1.1", "Host: a");
const poison = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

interface Exchange {
  readonly client?: string;
  readonly methods?: readonly string[];
  readonly reached?: string;
}

/** The client's connection goes on; the endpoint's is judged by the honest client that comes next. */
function answers(
  section: string,
  name: string,
  moves: readonly string[],
  answer: string | readonly string[],
  exchange: Exchange = {},
): AttackCase {
  const { client = get, methods = ["GET"], reached = sent("GET / HTTP/1.1") } = exchange;
  return {
    section,
    name,
    client,
    methods,
    answers: typeof answer === "string" ? [answer] : answer,
    end: "stays open",
    reached: [reached],
    endpoint: [moves],
  };
}

const refusedAnswer = (section: string, name: string, ...moves: readonly string[]): AttackCase =>
  answers(section, name, moves, "502");

/** After the head has gone on, all that is left is a message that visibly ends too early. */
function brokenAnswer(section: string, name: string, moves: readonly string[], seen: string): AttackCase {
  return {
    section,
    name,
    client: get,
    answers: [`200${seen === "" ? "" : ` ${seen}`}, broken`],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
    endpoint: [moves],
  };
}

const withLines = (...lines: readonly string[]): string => `${head("HTTP/1.1 200 OK", ...lines)}ok`;
const chunked = head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked");

const more: readonly AttackCase[] = [
  answers("6.3", "a second response in the same read", [ok + poison], "200 ok"),
  answers("6.3", "a second response right after the first", [ok, poison], "200 ok"),
  answers("6.3", "bytes after the content", [`${ok}X`], "200 ok"),
  answers("6.3", "an empty line after the content", [`${ok}\r\n`], "200 ok"),
  answers("6.3", "a second response after chunks", [`${chunked}2\r\nok\r\n0\r\n\r\n${poison}`], "200 ok"),
  answers(
    "6.3",
    "chunks after the last one",
    [`${chunked}2\r\nok\r\n0\r\n\r\n6\r\npoison\r\n0\r\n\r\n`],
    "200 ok",
  ),
  answers(
    "6.3",
    "a second response after an empty one",
    ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + poison],
    "200",
  ),
  answers("6.3", "content of a 204", [`HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison`], "204"),
  answers(
    "6.3",
    "content of a 204 that comes later",
    [`HTTP/1.1 204 No Content\r\nContent-Length: ${poison.length}\r\n\r\n`, poison],
    "204",
  ),
  answers(
    "6.3",
    "a whole response as content of a 204",
    [`HTTP/1.1 204 No Content\r\nContent-Length: ${poison.length}\r\n\r\n${poison}`],
    "204",
  ),
  answers(
    "6.3",
    "chunks of a 204",
    [`HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n`],
    "204",
  ),
  answers(
    "6.3",
    "content of a 304",
    [`HTTP/1.1 304 Not Modified\r\nContent-Length: ${poison.length}\r\n\r\n${poison}`],
    "304",
  ),
  answers(
    "6.3",
    "content of an answer to HEAD",
    [`HTTP/1.1 200 OK\r\nContent-Length: ${poison.length}\r\n\r\n${poison}`],
    "200",
    { client: head("HEAD / HTTP/1.1", "Host: a"), methods: ["HEAD"], reached: sent("HEAD / HTTP/1.1") },
  ),
  answers("6.3", "chunks of an answer to HEAD", [`${chunked}6\r\npoison\r\n0\r\n\r\n`], "200", {
    client: head("HEAD / HTTP/1.1", "Host: a"),
    methods: ["HEAD"],
    reached: sent("HEAD / HTTP/1.1"),
  }),
  answers(
    "6.3",
    "more content than the length says",
    ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n"],
    "200 ok",
  ),
  {
    section: "RFC 9110, 8.6",
    name: "content that a 204 announces does not answer the next request",
    client: get + head("GET /b HTTP/1.1", "Host: a"),
    methods: ["GET", "GET"],
    answers: ["204", "200 answer 2"],
    end: "stays open",
    reached: [sent("GET / HTTP/1.1"), sent("GET /b HTTP/1.1")],
    endpoint: [[head("HTTP/1.1 204 No Content", `Content-Length: ${poison.length}`), poison]],
  },
  {
    section: "9.3.2",
    name: "two responses do not answer two requests",
    client: get + head("GET /b HTTP/1.1", "Host: a"),
    answers: ["200 ok", "200 answer 2"],
    end: "stays open",
    reached: [sent("GET / HTTP/1.1"), sent("GET /b HTTP/1.1")],
    endpoint: [[ok + poison]],
  },
  {
    section: "9.3.2",
    name: "an answer that comes before its request answers nothing",
    client: [get, "", "", "", head("GET /b HTTP/1.1", "Host: a")],
    answers: ["200 ok", "200 answer 2"],
    end: "stays open",
    reached: [sent("GET / HTTP/1.1"), sent("GET /b HTTP/1.1")],
    endpoint: [[ok, poison]],
  },
];

const framings: readonly AttackCase[] = [
  refusedAnswer("6.3", "two lengths", withLines("Content-Length: 2", "Content-Length: 9")),
  refusedAnswer("6.3", "a list of lengths", withLines("Content-Length: 2, 2")),
  ...["+2", "-2", "0x2", "2 2", "", "2a", "99999999999999999999"].map((value) =>
    refusedAnswer("6.3", `the length ${JSON.stringify(value)}`, withLines(`Content-Length: ${value}`)),
  ),
  refusedAnswer(
    "6.3",
    "both framings",
    `${head("HTTP/1.1 200 OK", "Content-Length: 2", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`,
  ),
  refusedAnswer(
    "6.1",
    "a coding in HTTP/1.0",
    `${head("HTTP/1.0 200 OK", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`,
  ),
  ...["xchunked", "chunked, chunked", "gzip, chunked", "identity", "\tchunked", "chunked\x0b", ""].map(
    (value) =>
      refusedAnswer(
        "6.1",
        `the coding ${JSON.stringify(value)}`,
        `${head("HTTP/1.1 200 OK", `Transfer-Encoding: ${value}`)}2\r\nok\r\n0\r\n\r\n`,
      ),
  ),
  refusedAnswer(
    "6.1",
    "two codings",
    `${head("HTTP/1.1 200 OK", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked")}2\r\nok\r\n0\r\n\r\n`,
  ),
  refusedAnswer("5.1", "a framing name with a blank before the colon", withLines("Content-Length : 2")),
  brokenAnswer(
    "8",
    "less content than the length says",
    ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", fin],
    "ok",
  ),
  brokenAnswer(
    "8",
    "a reset in the middle of content",
    ["HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", rst],
    "ok",
  ),
  brokenAnswer("8", "an end in the middle of chunks", [`${chunked}2\r\nok\r\n`, fin], "ok"),
  brokenAnswer("8", "an end before the last CRLF of chunks", [`${chunked}2\r\nok\r\n0\r\n`, fin], "ok"),
  ...[
    "x\r\n",
    "2\nok\r\n",
    "+2\r\nok\r\n",
    "2 \r\nok\r\n",
    "0x2\r\nok\r\n",
    '2;"\r\nok\r\n',
    "fffffffffffffffff\r\n",
    "0\r\nbad trailer\r\n\r\n",
    "0\r\nX: y\n\r\n",
  ].map((chunk) =>
    brokenAnswer("7.1", `the chunk ${JSON.stringify(chunk)}`, [`${chunked}2\r\nok\r\n`, chunk], "ok"),
  ),
  answers(
    "6.3",
    "content that ends with the connection ends as chunks",
    ["HTTP/1.1 200 OK\r\n\r\nok", fin],
    "200 ok",
  ),
  answers(
    "2.3",
    "an HTTP/1.0 response that ends with the connection",
    ["HTTP/1.0 200 OK\r\n\r\nok", fin],
    "200 ok",
  ),
  answers(
    "6.3",
    "a response behind the content that ends with the connection is content",
    [`HTTP/1.1 200 OK\r\n\r\nok${poison}`, fin],
    `200 ok${poison}`,
  ),
  answers(
    "7.1.2",
    "trailers that nobody asked for end here",
    [`${chunked}2\r\nok\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n`],
    "200 ok",
  ),
  answers(
    "7.1.2",
    "trailers that were asked for go on, but none about framing or cookies",
    [
      `${chunked}2\r\nok\r\n0\r\nX: y\r\nContent-Length: 9\r\nSet-Cookie: a=b\r\nTransfer-Encoding: x\r\n\r\n`,
    ],
    "200 ok + X: y",
    {
      client: head("GET / HTTP/1.1", "Host: a", "TE: trailers"),
      reached: sent("GET / HTTP/1.1", { last: ["Connection: te", "TE: trailers"] }),
    },
  ),
];

const heads: readonly AttackCase[] = [
  ...[
    "HTTP/1.1 200 OK\nContent-Length: 2\n\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\n\r\nok",
    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\nok",
    "HTTP/1.1 200 OK\r\nX: a\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\nContent-Length: 2\r\n\r\nok",
    "HTTP/1.1 200 OK\r\r\nContent-Length: 2\r\n\r\nok",
  ].map((text) => refusedAnswer("2.2", `line ends: ${JSON.stringify(text)}`, text)),
  refusedAnswer("RFC 9110, 5.5", "NUL in a value", withLines("X: a\0b", "Content-Length: 2")),
  refusedAnswer("RFC 9110, 5.5", "a control byte in a value", withLines("X: a\x1bb", "Content-Length: 2")),
  refusedAnswer("5.2", "a folded line", withLines("X: a", " b", "Content-Length: 2")),
  refusedAnswer("5.1", "a line without a colon", withLines("X", "Content-Length: 2")),
  refusedAnswer("5.1", "an empty name", withLines(": x", "Content-Length: 2")),
  ...[
    "HTTP/1.1 2000 OK",
    "HTTP/1.1 20 OK",
    "HTTP/1.1 099 OK",
    "HTTP/1.1 600 OK",
    "HTTP/1.1  200 OK",
    "HTTP/1.1\t200 OK",
    "HTTP/2.0 200 OK",
    "HTTP/1.10 200 OK",
    "http/1.1 200 OK",
    "ICY 200 OK",
    "HTTP/1.1 2x0 OK",
    "HTTP/1.1 +20 OK",
    "HTTP/1.1 200\tOK",
    "HTTP/1.1 200OK",
    "HTTP/1.1",
    "\r\nHTTP/1.1 200 OK",
    "GET / HTTP/1.1",
  ].map((line) =>
    refusedAnswer("4", `the status line ${JSON.stringify(line)}`, head(line, "Content-Length: 2") + "ok"),
  ),
  refusedAnswer("4", "NUL in the reason", head("HTTP/1.1 200 O\0K", "Content-Length: 2") + "ok"),
  refusedAnswer("4", "no HTTP at all", "SSH-2.0-OpenSSH\r\n\r\n"),
  refusedAnswer("4", "HTTP/0.9", "<html>\r\n\r\n", fin),
  refusedAnswer(
    "RFC 6585, 5",
    "a head that is too long",
    withLines(...Array.from({ length: 5 }, () => `X: ${"a".repeat(8000)}`), "Content-Length: 2"),
  ),
  refusedAnswer(
    "RFC 6585, 5",
    "too many fields",
    withLines(...Array.from({ length: 129 }, () => "X: y"), "Content-Length: 2"),
  ),
  refusedAnswer("8", "an end in the head", "HTTP/1.1 200 OK\r\nContent-Len", fin),
  refusedAnswer("8", "a reset in the head", "HTTP/1.1 200 OK\r\n", rst),
  answers("4", "an empty reason", ["HTTP/1.1 200 \r\nContent-Length: 2\r\n\r\nok"], "200 ok"),
  answers("4", "no reason", ["HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok"], "200 ok"),
];

const interim = (status: number, ...lines: readonly string[]): string =>
  head(`HTTP/1.1 ${status} Interim`, ...lines);
const interims: readonly AttackCase[] = [
  answers(
    "RFC 9110, 15.2",
    "an interim response goes on, without what is hop-by-hop",
    [interim(103, "Link: </a>", "Connection: x-one", "X-One: 1", "Server: x") + ok],
    ["103 Link: </a>", "200 ok"],
  ),
  answers(
    "RFC 9110, 15.2.1",
    "100 that nobody waits for ends here",
    [interim(100) + interim(100) + ok],
    "200 ok",
  ),
  answers(
    "RFC 9110, 15.2",
    "ten interim responses",
    [interim(103).repeat(10) + ok],
    [...Array.from({ length: 10 }, () => "103"), "200 ok"],
  ),
  answers(
    "RFC 9110, 15.2",
    "eleven interim responses",
    [interim(103).repeat(11) + ok],
    [...Array.from({ length: 10 }, () => "103"), "502"],
  ),
  answers("RFC 9110, 15.2.1", "eleven times 100", [interim(100).repeat(11) + ok], "502"),
  answers(
    "RFC 9110, 15.2",
    "an interim response has no content, whatever it says",
    [interim(103, "Content-Length: 2") + ok],
    ["103", "200 ok"],
  ),
  answers(
    "RFC 9110, 15.2",
    "an interim response with content is no response",
    [`${interim(103, "Content-Length: 2")}xx${ok}`],
    ["103", "502"],
  ),
  answers(
    "RFC 9110, 15.2",
    "an interim response with chunks hides nothing",
    [`${interim(102, "Transfer-Encoding: chunked")}0\r\n\r\n${ok}`],
    ["102", "502"],
  ),
  answers("RFC 9110, 15.2", "interim responses and then an end", [interim(103), fin], ["103", "502"]),
  answers("RFC 9110, 15.2", "an interim response after the last one", [ok + interim(103)], "200 ok"),
  answers("RFC 9110, 15.2", "an HTTP/1.0 client gets no interim response", [interim(103) + ok], "200 ok", {
    client: head("GET / HTTP/1.0", "Host: a", "Connection: keep-alive"),
  }),
];

const upgrade = head("GET / HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: websocket");
const upgradeSent = sent("GET / HTTP/1.1", { last: ["Connection: upgrade", "Upgrade: websocket"] });
const switched = (...lines: readonly string[]): string => head("HTTP/1.1 101 Switching Protocols", ...lines);
const switches: readonly AttackCase[] = [
  answers(
    "RFC 9110, 7.8",
    "101 that nobody asked for",
    [`${switched("Connection: upgrade", "Upgrade: websocket")}${poison}`],
    "502",
  ),
  answers("RFC 9110, 7.8", "101 without Upgrade", [`${switched()}${poison}`], "502", {
    client: upgrade,
    reached: upgradeSent,
  }),
  answers(
    "RFC 9110, 7.8",
    "101 to a protocol that was not offered",
    [`${switched("Connection: upgrade", "Upgrade: h2c")}${poison}`],
    "502",
    { client: upgrade, reached: upgradeSent },
  ),
  answers(
    "RFC 9110, 7.8",
    "101 to one protocol more than was offered",
    [`${switched("Connection: upgrade", "Upgrade: websocket, h2c")}${poison}`],
    "502",
    { client: upgrade, reached: upgradeSent },
  ),
  answers(
    "RFC 9110, 7.8",
    "101 for an upgrade to h2c, which was not passed on",
    [switched("Connection: upgrade", "Upgrade: h2c")],
    "502",
    {
      client: head(
        "GET / HTTP/1.1",
        "Host: a",
        "Connection: upgrade, http2-settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AA",
      ),
    },
  ),
  answers(
    "RFC 9110, 7.8",
    "101 after an interim response that nobody asked for",
    [interim(103) + switched("Upgrade: websocket")],
    ["103", "502"],
  ),
  answers("RFC 9110, 7.8", "an upgrade that is declined leaves requests and responses", [ok], "200 ok", {
    client: upgrade,
    reached: upgradeSent,
  }),
  answers(
    "RFC 9110, 15.5.22",
    "426 is an answer like any other",
    [
      head("HTTP/1.1 426 Upgrade Required", "Upgrade: h2c", "Connection: upgrade", "Content-Length: 2") +
        "ok",
    ],
    "426 ok",
  ),
];

const smuggled = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
const nine = head("POST / HTTP/1.1", "Host: a", "Content-Length: 9");
const nineSent = sent("POST / HTTP/1.1", { last: ["Content-Length: 9"], content: "abc" });
const overtaking: readonly AttackCase[] = [
  {
    section: "9.5",
    name: "an answer before the content ends the connection after it, and the rest is no request",
    client: [
      head("POST / HTTP/1.1", "Host: a", "Content-Length: 100") + "abc",
      "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    answers: ["200 close ok"],
    end: "closes",
    reached: [sent("POST / HTTP/1.1", { last: ["Content-Length: 100"], content: "abc" })],
    endpoint: [[early, ok]],
  },
  {
    section: "9.5",
    name: "an answer in the middle of chunks",
    client: [
      `${head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")}3\r\nabc\r\n`,
      "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n",
    ],
    answers: ["413 close ok"],
    end: "closes",
    reached: [sent("POST / HTTP/1.1", { last: ["Transfer-Encoding: chunked"], content: "3\r\nabc\r\n" })],
    endpoint: [[early, head("HTTP/1.1 413 Too Large", "Content-Length: 2") + "ok"]],
  },
  {
    section: "9.5",
    name: "two answers in the middle of content",
    client: [head("POST / HTTP/1.1", "Host: a", "Content-Length: 9") + "abc"],
    answers: ["200 close ok"],
    end: "closes",
    reached: [sent("POST / HTTP/1.1", { last: ["Content-Length: 9"], content: "abc" })],
    endpoint: [[early, ok + poison]],
  },
  {
    section: "9.5",
    name: "half an answer before the content, the rest after it",
    client: [head("POST / HTTP/1.1", "Host: a", "Content-Length: 6") + "abc", "def"],
    answers: ["200 close, broken"],
    end: "waits",
    reached: [sent("POST / HTTP/1.1", { last: ["Content-Length: 6"], content: "abcdef" })],
    endpoint: [[early, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"]],
  },
  {
    section: "9.5",
    name: "an endpoint that ends without an answer in the middle of short content: the rest is dropped, not read as a request",
    client: [
      `${nine}abc`,
      "",
      "",
      `def${head("GET /b HTTP/1.1", "Host: a").slice(0, 3)}${head("GET /b HTTP/1.1", "Host: a")}`,
    ],
    answers: ["502", "200 answer 2"],
    end: "stays open",
    reached: [nineSent, sent("GET /b HTTP/1.1")],
    endpoint: [[early, fin]],
  },
  {
    section: "9.5",
    name: "an endpoint that answers malformed in the middle of short content",
    client: `${nine}abc`,
    answers: ["502"],
    end: "waits",
    reached: [nineSent],
    endpoint: [[early, "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"]],
  },
  {
    section: "9.5",
    name: "an endpoint that ends without an answer in the middle of chunks",
    client: [`${head("POST / HTTP/1.1", "Host: a", "Transfer-Encoding: chunked")}3\r\nabc\r\n`, "", smuggled],
    answers: ["502 close"],
    end: "closes",
    reached: [sent("POST / HTTP/1.1", { last: ["Transfer-Encoding: chunked"], content: "3\r\nabc\r\n" })],
    endpoint: [[early, fin]],
  },
];

judgeAll("responses", [...more, ...framings, ...heads, ...interims, ...switches, ...overtaking]);
