// One running proxy between hostile clients, hostile endpoints and honest ones, for a whole file of cases. A case is
// judged by the client's exact answers, by the exact bytes that reached a recording endpoint, and by whether a client
// that had no part in it still gets its own answer afterwards.
import { once } from "node:events";
import net, { type AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { makeCertificate } from "../../../certs/make.ts";
import type { RouteIr, RoutingIr } from "../../../src/ir/routing.ts";
import { errorPage } from "../../../src/proxy/errors.ts";
import { Harness, irTo, type HarnessOptions } from "../../proxy/harness.ts";
import { Peer } from "../../proxy/peer.ts";
import { TlsPeer } from "../../proxy/tls-peer.ts";
import { isLong } from "../../effort.ts";

/** In a list of writes: the end of the sending side, in order or by a reset. An empty write only lets time pass. */
export const fin = "<fin>";
export const rst = "<rst>";
/** First in the moves of an endpoint: it acts on the head alone, and reads the content later. */
export const early = "<early>";

/** What was sent, and what becomes of the connection. */
export type End =
  /** An orderly end. Answers say so beforehand: "400 close". */
  | "closes"
  /** Ready for the next request; the runner sends one. */
  | "stays open"
  /** In the middle of a message: nothing more comes unless more is sent. */
  | "waits"
  | "is reset";

export interface AttackCase {
  /** A sentence about behaviour. */
  readonly name: string;
  /** Of RFC 9112 unless it says otherwise. */
  readonly section: string;
  /** Latin1, one write after the other; the proxy has read one before the next is sent. */
  readonly client: string | readonly string[];
  /**
   * `status [close] [content]` of each response, the page of a generated one left out; `, broken` where it ends too
   * early. After 101 all that comes is content.
   */
  readonly answers: readonly string[];
  readonly end: End;
  /** What came to the endpoint, one text for each of its connections. */
  readonly reached: readonly string[];
  /** Moves of the endpoint for each request in turn. Default, and for those beyond the list: `answer <number>`. */
  readonly endpoint?: readonly (readonly string[])[];
  /**
   * What is different over TLS. `cut`: a request that is not complete gets no answer, and the end comes without the
   * closing alert. `skipped`: bytes that one read must bring are more than a record.
   */
  readonly overTls?: "cut" | "skipped";
  /** Methods of the requests in turn where an answer has no content for that reason. Default: GET. */
  readonly methods?: readonly string[];
}

export interface SentParts {
  readonly host?: string;
  /** Field lines of the client that go on. */
  readonly fields?: readonly string[];
  /** The request id is the client's, among `fields`. */
  readonly isIdentified?: boolean;
  readonly isExpecting?: boolean;
  /** Framing and Connection. */
  readonly last?: readonly string[];
  readonly content?: string;
}

/** A request as it reaches an endpoint: every byte, with `<id>` and `<port>` for what differs from run to run. */
export function sent(line: string, parts: SentParts = {}): string {
  const {
    host = "a",
    fields = [],
    isIdentified = false,
    isExpecting = false,
    last = [],
    content = "",
  } = parts;
  const lines = [
    line,
    `Host: ${host}`,
    ...fields,
    ...(isExpecting ? ["Expect: 100-continue"] : []),
    `X-Forwarded-Host: ${host}`,
    "X-Real-IP: 127.0.0.1",
    "X-Forwarded-For: 127.0.0.1",
    "X-Forwarded-Port: <port>",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Scheme: http",
    "X-Scheme: http",
    ...(isIdentified ? [] : ["X-Request-ID: <id>"]),
    ...last,
  ];
  return lines.map((each) => `${each}\r\n`).join("") + `\r\n${content}`;
}

/** What of a forwarded request depends on the client's side of the proxy. */
function schemeLines(scheme: "http" | "https"): string {
  return ["Forwarded-Proto", "Forwarded-Scheme", "Scheme"].map((name) => `X-${name}: ${scheme}\r\n`).join("");
}

/** A message head of these lines. */
export function head(...lines: readonly string[]): string {
  return lines.map((line) => `${line}\r\n`).join("") + "\r\n";
}

/** Cases with a common shape. Nothing of what is refused reaches an endpoint, and nothing after it is a request. */
export function refused(section: string, name: string, client: string, status = 400): AttackCase {
  const followed = `${client}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n`;
  return { name, section, client: followed, answers: [`${status} close`], end: "closes", reached: [] };
}

export function forwarded(
  section: string,
  name: string,
  client: string | readonly string[],
  ...requests: readonly string[]
): AttackCase {
  const answers = requests.map((_, i) => `200 answer ${i + 1}`);
  return { name, section, client, answers, end: "stays open", reached: [requests.join("")] };
}

interface Connection {
  readonly peer: Peer;
  /** Received since the case began. */
  bytes: string;
}

/** Keeps every byte, and makes the moves of the case for each request that it understands by a reader of its own. */
class Recorder {
  #connections: Connection[] = [];
  #moves: readonly (readonly string[])[] = [];
  #answered = 0;
  readonly #settle: () => Promise<void>;
  readonly #server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) =>
    this.#accept(socket),
  );

  constructor(settle: () => Promise<void>) {
    this.#settle = settle;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    for (const { peer } of this.#connections) peer.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  begin(moves: readonly (readonly string[])[]): void {
    this.#moves = moves;
    this.#answered = 0;
    this.#connections = this.#connections.filter(({ peer }) => !peer.isClosed);
    for (const each of this.#connections) each.bytes = "";
  }

  get open(): number {
    return this.#connections.filter(({ peer }) => !peer.isClosed).length;
  }

  reached(port: number): string[] {
    const texts = this.#connections.map(({ bytes }) => bytes).filter((bytes) => bytes !== "");
    return texts.map((text) =>
      text
        .replaceAll(/^X-Request-ID: [0-9a-f]{32}\r$/gm, "X-Request-ID: <id>\r")
        .replaceAll(`X-Forwarded-Port: ${port}\r`, "X-Forwarded-Port: <port>\r"),
    );
  }

  #accept(socket: net.Socket): void {
    const connection = { peer: new Peer(socket, "endpoint"), bytes: "" };
    this.#connections.push(connection);
    socket.on("data", (chunk: Buffer) => {
      connection.bytes += chunk.toString("latin1");
    });
    // It ends with the connection, or with bytes that are no request: those are in the record.
    void this.#serve(connection.peer)
      .catch(() => undefined)
      .finally(() => {
        if (connection.peer.isEnded) socket.end();
        else socket.once("end", () => socket.end());
      });
  }

  async #serve(peer: Peer): Promise<void> {
    while (!peer.isEnded) {
      await peer.until("a request", () => peer.unread !== "" || peer.isEnded || peer.isClosed);
      const moves = this.#moves[this.#answered] ?? [];
      const isEarly = moves[0] === early;
      const request = await (isEarly ? peer.headOnly() : peer.request());
      this.#answered += 1;
      const content = `answer ${this.#answered}`;
      if (moves.length === 0) {
        peer.write(`HTTP/1.1 200 OK\r\nContent-Length: ${content.length}\r\n\r\n${content}`);
      } else await makeMoves(peer, isEarly ? moves.slice(1) : moves, this.#settle);
      // Bytes of another protocol, and chunks that were answered early, are only recorded.
      if (moves.some((each) => each.startsWith("HTTP/1.1 101")) || (isEarly && request.framing === "chunked"))
        return;
      if (isEarly) await peer.bytes(Number(request.field("content-length")));
    }
  }
}

async function makeMoves(peer: Peer, moves: readonly string[], settle: () => Promise<void>): Promise<void> {
  for (const [i, move] of moves.entries()) {
    if (i > 0) await settle();
    if (move === fin) peer.end();
    else if (move === rst) peer.reset();
    else if (move !== "") peer.write(move);
  }
}

/** Catch-all for everything, but not below `/private`; and a host that nobody may ask. */
function routes(port: number): RoutingIr {
  const ir = irTo([port]);
  const root = ir.virtualHosts[0]!.routes[0]!;
  const closed: RouteIr = { ...root, path: "/private", denied: "closed" };
  return {
    ...ir,
    virtualHosts: [
      { ...ir.virtualHosts[0]!, routes: [root, closed] },
      { ...ir.virtualHosts[0]!, host: "closed.example", routes: [{ ...root, denied: "closed" }] },
    ],
  };
}

/** Fields of responses that say nothing about an attack. */
const plainFields = new Set([
  "date",
  "content-type",
  "content-length",
  "transfer-encoding",
  "connection",
  "retry-after",
]);

interface Content {
  readonly text: string;
  readonly rest: string;
  readonly isBroken: boolean;
}

function readChunks(text: string): Content {
  let content = "";
  let rest = text;
  for (;;) {
    const match = /^([0-9a-f]{1,8})\r\n/.exec(rest);
    if (match === null) return { text: content, rest: "", isBroken: true };
    const size = Number.parseInt(match[1]!, 16);
    rest = rest.slice(match[0].length);
    if (size === 0) break;
    content += rest.slice(0, size);
    if (rest.slice(size, size + 2) !== "\r\n") return { text: content, rest: "", isBroken: true };
    rest = rest.slice(size + 2);
  }
  const end = rest.startsWith("\r\n") ? 0 : rest.indexOf("\r\n\r\n") + 2;
  if (end === 1) return { text: content, rest: "", isBroken: true };
  const trailers = rest.slice(0, end).replaceAll("\r\n", " ");
  return {
    text: content + (trailers === "" ? "" : ` + ${trailers.trim()}`),
    rest: rest.slice(end + 2),
    isBroken: false,
  };
}

/** The responses in what a client got, by a reader of its own, as `AttackCase.answers` writes them. */
export function readAnswers(text: string, methods: readonly string[], isEnded: boolean): string[] {
  const answers: string[] = [];
  let rest = text;
  for (let request = 0; rest !== "";) {
    const end = rest.indexOf("\r\n\r\n");
    const match = /^HTTP\/1\.1 (\d{3}) [^\r\n]*\r\n/.exec(rest);
    if (end < 0 || match === null) return [...answers, `no response: ${JSON.stringify(rest)}`];
    const status = Number(match[1]);
    const lines = rest
      .slice(match[0].length, end)
      .split("\r\n")
      .filter((line) => line !== "");
    rest = rest.slice(end + 4);
    const fields = new Map(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line] as const),
    );
    const value = (name: string): string | undefined => fields.get(name)?.slice(name.length + 2);
    const shown = lines.filter((line) => !plainFields.has(line.slice(0, line.indexOf(":")).toLowerCase()));
    const words = [String(status), ...(value("connection") === "close" ? ["close"] : []), ...shown];
    if (status === 101) return [...answers, [...words, rest].join(" ").trim()];
    if (status < 200) {
      answers.push(words.join(" "));
      continue;
    }
    const content = readContent(status, methods[request] ?? "GET", value, rest, isEnded);
    request += 1;
    rest = content.rest;
    if (content.text !== "" && content.text !== errorPage(status)) words.push(content.text);
    answers.push(words.join(" ") + (content.isBroken ? ", broken" : ""));
  }
  return answers;
}

function readContent(
  status: number,
  method: string,
  value: (name: string) => string | undefined,
  rest: string,
  isEnded: boolean,
): Content {
  const length = value("content-length");
  if (method === "HEAD" || status === 204 || status === 304) return { text: "", rest, isBroken: false };
  if (value("transfer-encoding") === "chunked") return readChunks(rest);
  if (length === undefined) return { text: rest, rest: "", isBroken: !isEnded };
  const isBroken = rest.length < Number(length);
  return { text: rest.slice(0, Number(length)), rest: rest.slice(Number(length)), isBroken };
}

interface Outcome {
  readonly answers: readonly string[];
  readonly end: End;
  readonly reached: readonly string[];
}

/** How clients come. */
type Wire = "TCP" | "TLSv1.2" | "TLSv1.3";

class Scene {
  readonly harness: Harness;
  readonly recorder: Recorder;
  #wire: Wire = "TCP";

  constructor(harness: Harness, recorder: Recorder) {
    this.harness = harness;
    this.recorder = recorder;
  }

  async judge(attack: AttackCase, wire: Wire): Promise<void> {
    const { harness, recorder } = this;
    this.#wire = wire;
    recorder.begin(attack.endpoint ?? []);
    const client = await this.#client();
    client.mayEnd = true;
    try {
      await this.#attack(client, attack);
    } finally {
      // An orderly end would leave the proxy waiting for the endpoint: such a client may still take its answer.
      client.reset();
      await harness.until("nothing of it is left", () => this.#isQuiet());
    }
    await this.#beHonest();
  }

  async #attack(client: Peer, attack: AttackCase): Promise<void> {
    const settle = (): Promise<void> => this.harness.settle();
    await makeMoves(client, typeof attack.client === "string" ? [attack.client] : attack.client, settle);
    const { answers, reached } = attack;
    const end = this.#wire !== "TCP" && attack.overTls === "cut" ? "is reset" : attack.end;
    const expected: Outcome = { answers, end, reached: reached.map((text) => this.#forwarded(text)) };
    for (let i = 0; i < 15; i += 1) {
      await settle();
      if (JSON.stringify(this.#outcome(client, attack)) === JSON.stringify(expected)) break;
    }
    // Nothing more comes after what was expected.
    await settle();
    expect(this.#outcome(client, attack)).toEqual(expected);
    if (end === "stays open") await this.#sendNext(client, expected);
  }

  #outcome(client: Peer, attack: AttackCase): Outcome {
    const isOpen = !client.isEnded && !client.isClosed;
    const isWaiting = attack.end === "waits" || attack.end === "stays open";
    const openAs = isWaiting ? attack.end : "waits";
    return {
      answers: readAnswers(client.unread, attack.methods ?? [], client.isEnded && !wasCut(client)),
      end: isOpen ? openAs : wasCut(client) ? "is reset" : "closes",
      reached: this.recorder.reached(this.#port),
    };
  }

  async #client(): Promise<Peer> {
    if (this.#wire === "TCP") return this.harness.client();
    const version = this.#wire;
    return this.harness.recordClient({ minVersion: version, maxVersion: version });
  }

  /** What endpoints are told. */
  get #port(): number {
    return this.#wire === "TCP" ? this.harness.httpPort : 443;
  }

  #forwarded(text: string): string {
    return this.#wire === "TCP" ? text : text.replaceAll(schemeLines("http"), schemeLines("https"));
  }

  /** Where the proxy believes the next request starts is where it does. */
  async #sendNext(client: Peer, { answers, reached }: Outcome): Promise<void> {
    const before = client.unread.length;
    this.recorder.begin([]);
    client.write("GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    await client.until(
      "the next answer",
      () => client.unread.slice(before).endsWith("answer 1") || client.isEnded,
    );
    expect(
      readAnswers(client.unread.slice(before), [], false),
      `after ${answers.join()}, ${reached.join()}`,
    ).toEqual(["200 answer 1"]);
    expect(this.recorder.reached(this.#port)).toEqual([this.#forwarded(sent("GET /next HTTP/1.1"))]);
  }

  #isQuiet(): boolean {
    const { http, https, upstreamActive, upstreamIdle } = this.harness.gauges;
    return http === 0 && https === 0 && upstreamActive === 0 && upstreamIdle === this.recorder.open;
  }

  /** A client that had no part in it asks, and gets the answer to its question and nothing else. */
  async #beHonest(): Promise<void> {
    this.recorder.begin([]);
    const client = await this.#client();
    client.write("GET /honest HTTP/1.1\r\nHost: a\r\n\r\n");
    const response = await client.response();
    expect(response.content.toString()).toBe("answer 1");
    expect(client.unread).toBe("");
    expect(this.recorder.reached(this.#port)).toEqual([this.#forwarded(sent("GET /honest HTTP/1.1"))]);
    client.destroy();
  }
}

/** Over TCP by a reset, over TLS also by an end without the closing alert. */
function wasCut(client: Peer): boolean {
  return client.error !== "" || (client instanceof TlsPeer && client.isCut);
}

/** Every fourth case comes over TLS as well, in a long run every one. The versions take turns. */
function tlsShare(cases: readonly AttackCase[]): (readonly [string, AttackCase, Wire])[] {
  return cases
    .filter((each, i) => each.overTls !== "skipped" && (isLong || i % 4 === 0))
    .map((each, i) => {
      const wire = i % 2 === 0 ? "TLSv1.3" : "TLSv1.2";
      return [`over ${wire}: ${each.name} (${each.section})`, each, wire] as const;
    });
}

/** Runs the cases one after the other through one proxy, whose pool of connections goes from case to case. */
export function judgeAll(title: string, cases: readonly AttackCase[], options: HarnessOptions = {}): void {
  let scene: Scene | null = null;
  beforeAll(async () => {
    const pair = await makeCertificate({ names: ["fallback.example"] });
    const recorder = new Recorder(() => harness.settle());
    await recorder.listen();
    const harness: Harness = new Harness({ ir: routes(recorder.port), ...options }, pair);
    await harness.listen();
    scene = new Scene(harness, recorder);
  });
  afterAll(async () => {
    await scene?.harness.finish();
    await scene?.recorder.close();
  });
  describe(title, () => {
    test("every case has its own name", () => {
      expect(new Set(cases.map(({ name }) => name)).size).toBe(cases.length);
    });
    const plain = cases.map((each) => [`${each.name} (${each.section})`, each, "TCP"] as const);
    test.each([...plain, ...tlsShare(cases)])("%s", async (_title, attack, wire) => {
      await scene?.judge(attack, wire);
    });
  });
}
