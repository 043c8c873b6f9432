// Fields by which a client could speak in Fairway's name or take away what Fairway says: Connection that names them,
// X-Forwarded-* and their spellings, and answers by which an endpoint could do the same to clients.
import { forwarded, head, judgeAll, sent, type AttackCase } from "./scene.ts";

const get = (...lines: readonly string[]): string => head("GET / HTTP/1.1", "Host: a", ...lines);
const id = "0123456789abcdef";

function becomes(
  section: string,
  name: string,
  lines: readonly string[],
  fields: readonly string[] = [],
): AttackCase {
  return forwarded(section, name, get(...lines), sent("GET / HTTP/1.1", { fields }));
}

const connection: readonly AttackCase[] = [
  ...[
    "X-Real-IP",
    "x-forwarded-for",
    "X-Forwarded-Proto",
    "X-FORWARDED-HOST",
    "X-Scheme",
    "Host",
    "X-Request-ID",
    "Content-Length",
    "X-Forwarded-Port, X-Forwarded-Scheme",
    "close-x",
    "*",
    ",",
    ", ,",
    '"X-Real-IP"',
    "x-real-ip\t",
  ].map((value) =>
    becomes("RFC 9110, 7.6.1", `Connection: ${JSON.stringify(value)} takes nothing of ours away`, [
      `Connection: ${value}`,
    ]),
  ),
  becomes(
    "RFC 9110, 7.6.1",
    "what Connection names does not go on",
    ["X-One: 1", "Connection: x-one, X-TWO", "X-Two: 2", "X-Three: 3"],
    ["X-Three: 3"],
  ),
  becomes("RFC 9110, 7.6.1", "what a second Connection names does not go on either", [
    "Connection: keep-alive",
    "X-One: 1",
    "Connection: x-one",
  ]),
  becomes("RFC 9110, 7.6.1", "names with tabs and empty elements between them", [
    "Connection:\t,x-one\t,, \tx-two ,",
    "X-One: 1",
    "X-Two: 2",
  ]),
  becomes(
    "RFC 9110, 7.6.1",
    "a name that only begins like another",
    ["Connection: x-on", "X-One: 1"],
    ["X-One: 1"],
  ),
  becomes("RFC 9110, 7.6.1", "every field of that name", [
    "X-One: 1",
    "Connection: x-one",
    "x-one: 2",
    "X-ONE: 3",
  ]),
  becomes(
    "RFC 9110, 7.6.1",
    "fields that are never forwarded",
    [
      "Keep-Alive: timeout=5",
      "Proxy-Connection: close",
      "TE: gzip",
      "Upgrade: websocket",
      "Proxy-Authenticate: x",
      "Proxy-Authorization: x",
      "Proxy: http://evil",
      "X: y",
    ],
    ["X: y"],
  ),
  becomes(
    "RFC 9110, 7.6.1",
    "Authorization is not hop-by-hop, Proxy-Authorization is",
    ["Authorization: a", "Proxy-Authorization: b"],
    ["Authorization: a"],
  ),
  {
    section: "9.6",
    name: "Connection: close beside a name",
    client: get("Connection: x-one, close", "X-One: 1"),
    answers: ["200 close answer 1"],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
  },
  {
    section: "9.6",
    name: "close wins over keep-alive",
    client: get("Connection: keep-alive", "Connection: close"),
    answers: ["200 close answer 1"],
    end: "closes",
    reached: [sent("GET / HTTP/1.1")],
  },
  becomes("9.6", "close that is only part of a word", ["Connection: closed, not-close"]),
  forwarded(
    "RFC 9110, 10.1.4",
    "TE: trailers is said anew",
    get("TE: trailers, gzip", "Connection: TE"),
    sent("GET / HTTP/1.1", { last: ["Connection: te", "TE: trailers"] }),
  ),
];

const identity: readonly AttackCase[] = [
  ...[
    "X-Real-IP: 1.1.1.1",
    "x-real-ip: 1.1.1.1",
    "X-Forwarded-Proto: https",
    "X-Forwarded-Port: 443",
    "X-Forwarded-Scheme: https",
    "X-Forwarded-Prefix: /x",
    "X-Forwarded-Server: x",
    "X-Scheme: https",
    "Forwarded: for=1.1.1.1;host=b",
    "X-Original-Forwarded-For: 1.1.1.1",
    "X-Original-Forwarded-Host: b",
    "X-Original-URI: /private",
    "X-Original-URL: /private",
    "X-Original-Method: PUT",
    "ssl-client-verify: SUCCESS",
    "SSL-Client-Subject-DN: CN=root",
    "ssl-client-cert: x",
    "X_Real_IP: 1.1.1.1",
    "X_Forwarded_For: 1.1.1.1",
    "x-forwarded_proto: https",
    "ssl_client_verify: SUCCESS",
    "_: x",
    "Host_: b",
    "HTTP2-Settings: AAA",
  ].map((line) => becomes("RFC 9110, 17.1", `${line} of a client goes no further`, [line])),
  becomes(
    "RFC 7239, 8.1",
    "X-Forwarded-For is kept aside, ours takes its place",
    ["X-Forwarded-For: 1.1.1.1, 2.2.2.2"],
    ["X-Original-Forwarded-For: 1.1.1.1, 2.2.2.2"],
  ),
  becomes(
    "RFC 7239, 8.1",
    "two X-Forwarded-For and one that Connection names",
    ["X-Forwarded-For: 1.1.1.1", "x-forwarded-for: 2.2.2.2"],
    ["X-Original-Forwarded-For: 1.1.1.1", "X-Original-Forwarded-For: 2.2.2.2"],
  ),
  forwarded(
    "RFC 9110, 5.1",
    "a request id of the client goes on",
    get(`X-Request-ID: ${id}`),
    sent("GET / HTTP/1.1", { fields: [`X-Request-ID: ${id}`], isIdentified: true }),
  ),
  becomes("RFC 9110, 5.1", "an empty request id is none", ["X-Request-ID: "]),
  becomes("RFC 9110, 7.6.1", "a request id that Connection names is none", [
    "Connection: x-request-id",
    `X-Request-ID: ${id}`,
  ]),
  becomes(
    "RFC 9110, 5.1",
    "fields that resemble ours go on",
    ["X-Real-IPs: 1", "XX-Real-IP: 1", "X-Realip: 1", "X-Forwarded: 1"],
    ["X-Real-IPs: 1", "XX-Real-IP: 1", "X-Realip: 1", "X-Forwarded: 1"],
  ),
];

function answered(section: string, name: string, lines: readonly string[], answer: string): AttackCase {
  return {
    section,
    name,
    client: get(),
    answers: [answer],
    end: "stays open",
    reached: [sent("GET / HTTP/1.1")],
    endpoint: [[`${head("HTTP/1.1 200 OK", ...lines, "Content-Length: 2")}ok`]],
  };
}

const answers: readonly AttackCase[] = [
  answered(
    "RFC 9110, 7.6.1",
    "hop-by-hop fields of an endpoint end here",
    [
      "Keep-Alive: timeout=5",
      "Proxy-Authenticate: x",
      "Proxy-Connection: close",
      "Upgrade: h2c",
      "TE: x",
      "Server: x",
      "X-Accel-Redirect: /private",
      "X-Accel-Buffering: no",
      "X: y",
    ],
    "200 X: y ok",
  ),
  answered(
    "RFC 9110, 7.6.1",
    "what an endpoint's Connection names ends here",
    ["Connection: x-one, content-length, date", "X-One: 1", "X-Two: 2"],
    "200 X-Two: 2 ok",
  ),
  answered("6.2", "equal lengths of an endpoint are one", ["Content-Length: 2"], "200 ok"),
  answered(
    "RFC 9110, 5.5",
    "bytes above 0x7f of an endpoint go on as they came",
    ["X: \xe9\xff"],
    "200 X: \xe9\xff ok",
  ),
  answered("RFC 9110, 5.1", "names with an underscore of an endpoint go on", ["x_y: 1"], "200 x_y: 1 ok"),
  answered("9.6", "Connection: close of an endpoint is not the client's", ["Connection: close"], "200 ok"),
];

judgeAll("fields", [...connection, ...identity, ...answers]);
