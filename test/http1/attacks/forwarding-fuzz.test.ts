// Whatever clients send, an endpoint understands only what they were meant to be able to send: a seeded fuzz run through
// a running proxy to an endpoint that is Node's own HTTP server. Clients that come at the same time share connections to
// it; each gets the answers to its own requests.
import {
  array,
  assert,
  asyncProperty,
  constantFrom,
  nat,
  oneof,
  record,
  tuple,
  type Arbitrary,
} from "fast-check";
import { METHODS } from "node:http";
import { afterAll, beforeAll, expect, test } from "vitest";
import { makeCertificate } from "../../../certs/make.ts";
import { Harness, irTo, settingsFeature } from "../../proxy/harness.ts";
import { requestCases } from "../corpus.ts";
import { effort, effortTimeoutMs } from "../../effort.ts";
import { near, requestStream } from "../generators.ts";
import { NodeEndpoint, type Seen } from "./node-endpoint.ts";
import { readIntended, type Intended, type Intention } from "./intention.ts";
import { readAnswers } from "./scene.ts";

/** In a long run. */
const secondsMax = 120;
/** What Node's server can hold is larger; long heads are the corpus' business. */
const textMaxBytes = 4_000;
/** Turns of the event loop until everything of a run has come to rest; far more than are ever needed. */
const turnsMax = 20_000;

interface Input {
  readonly text: string;
  /** Where the bytes are cut into writes, as shares of the whole. */
  readonly cuts: readonly number[];
}

const endpoint = new NodeEndpoint();
let proxy: Harness;

beforeAll(async () => {
  await endpoint.listen();
  proxy = new Harness(
    {
      // Some content is read before the endpoint is contacted, some is passed on at once, some overflows.
      ir: irTo([endpoint.port], settingsFeature({ contentBufferMaxBytes: 8 })),
      limits: { requestsPerConnectionMax: 1e9, requestsPerUpstreamConnectionMax: 1e9 },
    },
    await makeCertificate({ names: ["fallback.example"] }),
  );
  await proxy.listen();
});

afterAll(async () => {
  await proxy.finish();
  await endpoint.close();
});

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Everything that comes back to a client that sends its bytes and then ends. */
async function send({ text, cuts }: Input): Promise<string> {
  const client = await proxy.client();
  client.mayEnd = true;
  const offsets = cuts.map((cut) => Math.floor((cut / 1000) * text.length)).toSorted((a, b) => a - b);
  let from = 0;
  for (const to of [...offsets, text.length]) {
    if (to === from) continue;
    client.write(text.slice(from, to));
    from = to;
    await turn();
    await turn();
  }
  client.end();
  return client.toClose();
}

/** Requests that Node must be able to refuse: it knows a closed list of methods, and no bytes above 0x7f in a target. */
function mayBeRefused({ method, target }: Intended): boolean {
  return !METHODS.includes(method) || /[^\x21-\x7e]/.test(target);
}

function describeSeen({ method, target, host, content }: Intended | Seen): string {
  return JSON.stringify([method, target, host, content]);
}

/** What is wrong with the answers of one client, or null. Takes the requests it asked for out of `seen`. */
function judge({ requests, hasFailed }: Intention, received: string, seen: Map<number, Seen>): string | null {
  const methods = requests.map(({ method }) => method);
  const answers = readAnswers(received, methods, true).filter((answer) => !answer.startsWith("100"));
  let isOver = false;
  for (const [i, answer] of answers.entries()) {
    if (isOver) return `an answer after the last one: ${answer}`;
    const match = /^(\d{3})( close)?(?: X-Answer: (\d+))?(?: (.*))?$/s.exec(answer);
    if (match === null || answer.endsWith(", broken")) return `no whole answer: ${answer}`;
    const [, status, close, id, content] = match;
    const request = requests[i];
    isOver = close !== undefined;
    if (id === undefined) {
      const isLost = status === "502" && request !== undefined && mayBeRefused(request);
      if (!isLost && !(close !== undefined && /^(?:400|405|413|414|417|431|501|505)$/.test(status!)))
        return `a refusal that goes on: ${answer}`;
      if (!isLost && request?.isComplete === true && !hasFailed && !mayRefuse(request))
        return `${answer} to a good request`;
      continue;
    }
    const found = seen.get(Number(id));
    if (found === undefined || request === undefined) return `an answer that nobody asked for: ${answer}`;
    seen.delete(Number(id));
    if (found.refusal !== "") {
      if (!mayBeRefused(request)) return `refused by the endpoint: ${found.refusal}`;
      continue;
    }
    if (!found.isEarly && (!request.isComplete || !found.isComplete))
      return `an answer to a request that is not complete: ${answer}`;
    // Of a request that was answered early only the beginning may have come.
    const understood = found.isComplete ? found : { ...found, content: request.content };
    const isOurs = request.content.startsWith(found.content);
    if (!isOurs || describeSeen(understood) !== describeSeen(request))
      return `${describeSeen(request)} was understood as ${describeSeen(found)}`;
    if (found.complaint !== "") return found.complaint;
    const expected = request.method === "HEAD" ? undefined : `for ${id}`;
    if (content !== expected) return `the content of an answer is ${content}`;
    if (close !== undefined && !found.isEarly && !request.isLast && request.minorVersion === 1)
      return `an end after ${answer}`;
  }
  const served = requests.slice(0, answers.length);
  const isDone = isOver || served.some(({ isLast }) => isLast);
  if (!isDone && requests.filter(({ isComplete }) => isComplete).length > answers.length) return "no answer";
  if (!isDone && hasFailed) return "no refusal";
  return null;
}

/** Refused for what the parser does not judge: Host, the path, and the like. Those tests are elsewhere. */
function mayRefuse({ host, target }: Intended): boolean {
  return !/^[a-z]+(?::\d{1,4})?$/.test(host) || /[%#]|\.\./.test(target);
}

/** What the endpoint saw beyond what was answered must be the beginning of a request that never ended. */
function leftOver(seen: Iterable<Seen>, intentions: readonly Intention[]): string | null {
  for (const found of seen) {
    const isKnown = intentions.some(({ requests }) =>
      requests.some((request) =>
        found.refusal === ""
          ? !request.isComplete &&
            !found.isComplete &&
            request.method === found.method &&
            request.target === found.target &&
            request.content.startsWith(found.content)
          : mayBeRefused(request),
      ),
    );
    if (!isKnown) return `a request that nobody sent: ${describeSeen(found)} ${found.refusal}`;
  }
  return null;
}

async function isAtRest(): Promise<boolean> {
  for (let turns = 0; turns < turnsMax; turns += 1) {
    const { http, upstreamActive, upstreamIdle } = proxy.gauges;
    if (http === 0 && upstreamActive === 0 && upstreamIdle === endpoint.open && endpoint.isIdle) return true;
    await turn();
  }
  return false;
}

const tally = { clients: 0, answered: 0 };

async function run(inputs: readonly Input[]): Promise<void> {
  endpoint.begin();
  const received = await Promise.all(inputs.map(send));
  const trace = (): string =>
    `sent ${JSON.stringify(inputs)}\ncame back ${JSON.stringify(received)}\nreached ${JSON.stringify(endpoint.bytes)}`;
  if (!(await isAtRest())) throw new Error(`something goes on: ${JSON.stringify(proxy.gauges)}\n${trace()}`);
  const seen = new Map(endpoint.seen.map((each) => [each.id, each]));
  const intentions = inputs.map(({ text }) => readIntended(Buffer.from(text, "latin1")));
  tally.clients += inputs.length;
  tally.answered += endpoint.seen.filter(({ isComplete }) => isComplete).length;
  // The record beside Node: as many requests of ours as Node understood or refused.
  const heads = endpoint.bytes.join("\n").split(`\r\nX-Forwarded-Port: ${proxy.httpPort}\r\n`).length - 1;
  if (heads !== seen.size) throw new Error(`${heads} requests were sent, ${seen.size} seen\n${trace()}`);
  const found =
    intentions.map((each, i) => judge(each, received[i]!, seen)).find((each) => each !== null) ??
    leftOver(seen.values(), intentions);
  if (found !== null && found !== undefined) {
    throw new Error(`${found}
${trace()}`);
  }
}

function clients(texts: Arbitrary<string>): Arbitrary<readonly Input[]> {
  const input = record({ text: texts, cuts: array(nat({ max: 1000 }), { maxLength: 3 }) });
  return array(input, { minLength: 1, maxLength: 3 });
}

/** So that connections to the endpoint are in use before the odd ones come, and after them. */
const goodRequests = [
  "GET /good HTTP/1.1\r\nHost: a\r\n\r\n",
  "POST /good HTTP/1.1\r\nHost: b\r\nContent-Length: 4\r\n\r\ngood",
  "GET http://b?good HTTP/1.1\r\nHost: a\r\nX-Real-IP: 6.6.6.6\r\nConnection: x-scheme\r\nX_Real_IP: 6.6.6.6\r\n" +
    "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n\r\n",
  "PUT /good HTTP/1.1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n",
];
const corpus = requestCases.map(({ bytes }) => bytes).filter((bytes) => bytes.length < textMaxBytes);

test(
  "an endpoint understands what was meant, and every client gets its own answers",
  async () => {
    const odd = oneof({ weight: 3, arbitrary: requestStream }, { weight: 2, arbitrary: near(corpus) });
    const good = constantFrom("", ...goodRequests);
    const texts = tuple(good, odd, good).map((parts) => parts.join(""));
    await assert(asyncProperty(clients(texts), run), { ...effort(1, 2_000, secondsMax), endOnFailure: true });
    // A run that nothing passes through any more would prove nothing.
    expect(tally.answered / tally.clients).toBeGreaterThan(0.5);
  },
  effortTimeoutMs(secondsMax),
);
