// No input that our parsers accept may be read differently by another: a seeded fuzz run against Node's own parser.
// Refusing more than Node does is what we are for.
import { type Arbitrary, assert, asyncProperty } from "fast-check";
import type { IncomingMessage } from "node:http";
import { expect, test } from "vitest";
import type { HeadReader } from "../../src/proxy/http1/head-reader.ts";
import { Step } from "../../src/proxy/http1/head-reader.ts";
import { RequestParser } from "../../src/proxy/http1/request-parser.ts";
import { ResponseParser } from "../../src/proxy/http1/response-parser.ts";
import { defaultLimits } from "../../src/proxy/limits.ts";
import { type MessageCase, requestCases, responseCases } from "./corpus.ts";
import { effort, effortTimeoutMs } from "../effort.ts";
import { near, requestStream, responseStream } from "./generators.ts";
import { createNodeServer, type NodeReading, readNodeResponse } from "./node-reader.ts";

/** Of each test, in a long run. */
const secondsMax = 30;

/** Node's heads end at 16 KiB, and long messages hold nothing that short ones do not. */
const textMaxBytes = 2_000;

interface Message {
  readonly startLine: string;
  /** Name and value, one after the other, as in `rawHeaders`. */
  readonly fields: readonly string[];
  content: string;
  isComplete: boolean;
  /** Nothing after it on this connection: it closes, or the protocol may change. */
  readonly isLast: boolean;
  /** Whether Node reads what follows is open. */
  readonly isUpgrade: boolean;
}

interface Reading {
  readonly messages: readonly Message[];
  readonly hasFailed: boolean;
}

function readFields({ fields }: HeadReader): string[] {
  const list: string[] = [];
  for (let i = 0; i < fields.count; i += 1) list.push(fields.name(i), fields.value(i));
  return list;
}

/** Also in HTTP/1.0, where we ignore it (RFC 9110, 7.8) and Node reads nothing after the request. */
function offersUpgrade({ fields }: HeadReader): boolean {
  return fields.get("upgrade") !== undefined && /\bupgrade\b/i.test(fields.get("connection") ?? "");
}

function readRequests(bytes: Buffer): Reading {
  const parser = new RequestParser(defaultLimits);
  const messages: Message[] = [];
  let pos = 0;
  for (;;) {
    const step = parser.read(bytes, pos, bytes.length);
    if (step === Step.Error || step === Step.More) return { messages, hasFailed: step === Step.Error };
    pos = parser.position;
    if (step === Step.Head) {
      messages.push({
        startLine: `${parser.method} ${parser.target} 1.${parser.minorVersion}`,
        fields: readFields(parser),
        content: "",
        isComplete: false,
        isLast: parser.isLast || parser.hasUpgrade,
        isUpgrade: parser.hasUpgrade || offersUpgrade(parser),
      });
      continue;
    }
    const message = messages.at(-1)!;
    if (step === Step.Content) {
      message.content += bytes.toString("latin1", parser.content.contentStart, parser.content.contentEnd);
      continue;
    }
    message.isComplete = true;
    if (message.isLast) return { messages, hasFailed: false };
    parser.reset();
  }
}

function readResponse(bytes: Buffer, method: string): Reading {
  const parser = new ResponseParser(defaultLimits);
  parser.begin(method === "HEAD");
  let message: Message | undefined;
  let pos = 0;
  for (;;) {
    const step = parser.read(bytes, pos, bytes.length);
    const messages = message === undefined ? [] : [message];
    if (step === Step.Error) return { messages, hasFailed: true };
    pos = parser.position;
    if (step === Step.More && message !== undefined) message.isComplete = parser.content.endsWithConnection;
    if (step === Step.More) return { messages, hasFailed: false };
    if (step === Step.Head && parser.status < 200 && parser.status !== 101) {
      parser.continueAfterInterim();
    } else if (step === Step.Head) {
      message = {
        startLine: `${parser.status} ${parser.reason}`,
        fields: readFields(parser),
        content: "",
        isComplete: parser.status === 101,
        isLast: true,
        isUpgrade: parser.status === 101,
      };
      if (parser.status === 101) return { messages: [message], hasFailed: false };
    } else if (message !== undefined && step === Step.Content) {
      message.content += bytes.toString("latin1", parser.content.contentStart, parser.content.contentEnd);
    } else if (message !== undefined) {
      message.isComplete = true;
      return { messages, hasFailed: false };
    }
  }
}

function requestLine(message: IncomingMessage): string {
  return `${message.method} ${message.url} ${message.httpVersion}`;
}

function statusLine(message: IncomingMessage): string {
  return `${message.statusCode} ${message.statusMessage}`;
}

/**
 * What the two disagree about, or null. `onRefused` is told why Node refuses what we accept.
 * Messages that we refuse are not compared, nor what lies after the first of them.
 */
function difference(
  ours: Reading,
  node: NodeReading,
  startLine: (message: IncomingMessage) => string,
  onRefused: (reason: string) => void,
): string | null {
  for (const [i, message] of ours.messages.entries()) {
    const theirs = node.messages[i];
    const isFailed = ours.hasFailed && i === ours.messages.length - 1 && !message.isComplete;
    if (theirs === undefined) {
      if (ours.messages[i - 1]?.isUpgrade === true) return null;
      if (node.refusal === "") return `Node sees no message ${i}`;
      onRefused(`head: ${node.refusal}`);
      return null;
    }
    const { complete, rawHeaders } = theirs.message;
    const line = startLine(theirs.message);
    if (line !== message.startLine) return `start line of ${i}: ${message.startLine} | ${line}`;
    const fields = JSON.stringify(rawHeaders);
    if (fields !== JSON.stringify(message.fields)) return `fields of ${i}: ${fields}`;
    if (message.isComplete && complete) {
      if (message.content !== theirs.content) return `content of ${i}: ${theirs.content}`;
      continue;
    }
    const isPrefix = theirs.content.startsWith(message.content) || message.content.startsWith(theirs.content);
    if (!isPrefix) return `content of ${i}: ${theirs.content}`;
    if (isFailed) return null;
    if (complete) return `Node sees the end of message ${i}`;
    if (node.refusal !== "" || message.isUpgrade) {
      // What is still incomplete to us is not accepted yet; Node may have seen the error already.
      if (message.isComplete) onRefused(`content: ${node.refusal === "" ? "with Upgrade" : node.refusal}`);
      return null;
    }
    if (message.isComplete) return `Node does not see the end of message ${i}`;
    if (message.content !== theirs.content) return `incomplete content of ${i}: ${theirs.content}`;
  }
  const last = ours.messages.at(-1);
  // HTTP/1.0 with both close and keep-alive: close wins (RFC 9112, 9.3), to Node keep-alive does. What follows is not
  // read by us at all.
  const isContradiction = last !== undefined && last.isLast && last.startLine.endsWith(" 1.0");
  const mayGoOn = ours.hasFailed || isContradiction || last?.isUpgrade === true;
  if (!mayGoOn && node.messages.length > ours.messages.length) return "Node sees one more message";
  return null;
}

/** Counts what a run saw, so that it cannot quietly stop to be a test. */
class Tally {
  runs = 0;
  accepted = 0;
  /** By reason, with the first input that it was for. */
  readonly refusals = new Map<string, string>();
  #text = "";

  add(bytes: Buffer, ours: Reading): void {
    this.#text = bytes.toString("latin1");
    this.runs += 1;
    if (ours.messages.some((message) => message.isComplete)) this.accepted += 1;
  }

  readonly onRefused = (reason: string): void => {
    if (!this.refusals.has(reason)) this.refusals.set(reason, this.#text);
  };
}

async function fuzz(
  texts: Arbitrary<string>,
  runs: number,
  compare: (bytes: Buffer, tally: Tally) => Promise<string | null>,
): Promise<Tally> {
  const tally = new Tally();
  const property = asyncProperty(texts, async (text) => {
    const found = await compare(Buffer.from(text, "latin1"), tally);
    if (found !== null) throw new Error(`${JSON.stringify(text)}: ${found}`);
  });
  await assert(property, effort(20_261_103, runs, secondsMax));
  return tally;
}

/** Why Node refuses what we accept, each judged; anything else fails the test. */
const judgedOfContent: readonly string[] = [
  // Extensions are dropped, so only their end matters: control bytes and open quotes are refused by both.
  "content: HPE_STRICT Invalid character in chunk extensions",
  // Framing fields in trailers: Node refuses, we drop them (RFC 9110, 6.5.1).
  "content: HPE_INVALID_CONTENT_LENGTH Content-Length can't be present with Transfer-Encoding",
  "content: HPE_INVALID_TRANSFER_ENCODING",
  "content: HPE_UNEXPECTED_CONTENT_LENGTH",
  // Node tells no errors in the content of a request with Upgrade; the connection just ends.
  "content: with Upgrade",
];
const judgedOfRequests: readonly string[] = [
  ...judgedOfContent,
  // Node knows a closed list of methods; to us every token is one (RFC 9110, 9.1).
  "head: HPE_INVALID_METHOD",
  // Bytes above 0x7f go on as they came, and the exchange judges the authority of an absolute target.
  "head: HPE_INVALID_URL",
  // HTTP/1.2 to 1.9 are read as 1.1 (RFC 9110, 2.5); PRI is a method as others unless it is the preface of HTTP/2.
  "head: HPE_INVALID_VERSION",
  // To Node, Proxy-Connection: close ends a connection; to us it is a field that goes no further (RFC 9112, C.2.2).
  "head: HPE_CLOSED_CONNECTION",
];
const judgedOfResponses: readonly string[] = [
  ...judgedOfContent,
  "head: HPE_INVALID_VERSION",
  // Equal lengths are merged (RFC 9112, 6.3); the one that goes on is our own.
  "head: HPE_UNEXPECTED_CONTENT_LENGTH Duplicate Content-Length",
  // An interim response in HTTP/1.0, or with Connection: close: to Node nothing may follow it. What becomes of the
  // connection is the final response's to say (RFC 9112, 9.6), and neither says anything about framing.
  "head: HPE_CLOSED_CONNECTION",
];

function expectUseful(tally: Tally, judged: readonly string[], acceptedMin: number): void {
  expect(tally.accepted / tally.runs).toBeGreaterThan(acceptedMin);
  const others = [...tally.refusals].filter(([reason]) => !judged.some((start) => reason.startsWith(start)));
  expect(others).toEqual([]);
}

/** The messages of the corpus that Node can hold. */
function textsOf(cases: readonly MessageCase[]): string[] {
  return cases.map((message) => message.bytes).filter((text) => text.length < textMaxBytes);
}

const readNodeRequests = createNodeServer();

async function compareRequests(bytes: Buffer, tally: Tally): Promise<string | null> {
  const ours = readRequests(bytes);
  tally.add(bytes, ours);
  return difference(ours, await readNodeRequests(bytes), requestLine, tally.onRefused);
}

async function compareResponses(bytes: Buffer, tally: Tally): Promise<string | null> {
  const method = bytes.length % 7 === 0 ? "HEAD" : "GET";
  const ours = readResponse(bytes, method);
  tally.add(bytes, ours);
  return difference(ours, await readNodeResponse(bytes, method), statusLine, tally.onRefused);
}

test(
  "Node reads generated requests that we accept as we do",
  async () => {
    expectUseful(await fuzz(requestStream, 25_000, compareRequests), judgedOfRequests, 0.2);
  },
  effortTimeoutMs(secondsMax),
);

test(
  "Node reads neighbours of the request corpus that we accept as we do",
  async () => {
    expectUseful(await fuzz(near(textsOf(requestCases)), 20_000, compareRequests), judgedOfRequests, 0.1);
  },
  effortTimeoutMs(secondsMax),
);

test(
  "Node reads generated responses that we accept as we do",
  async () => {
    expectUseful(await fuzz(responseStream, 10_000, compareResponses), judgedOfResponses, 0.2);
  },
  effortTimeoutMs(secondsMax),
);

test(
  "Node reads neighbours of the response corpus that we accept as we do",
  async () => {
    expectUseful(await fuzz(near(textsOf(responseCases)), 5_000, compareResponses), judgedOfResponses, 0.1);
  },
  effortTimeoutMs(secondsMax),
);
