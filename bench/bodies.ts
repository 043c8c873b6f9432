// `npm run bench:bodies`: memory of the real program while content that is much larger passes through it, in both
// directions, with a length and in chunks, without and with TLS; the receiving end stops for a while half-way. Exit code
// 1: the program has grown by more than the limit, or a byte is missing.
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PIECE, STALL_MS } from "./bodies/stream.ts";
import { startServer, temporaryDirectory } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml } from "./lib/manifests.ts";
import { HOST } from "./lib/peers.ts";
import { residentKib } from "./lib/process-tree.ts";
import { packageVersion } from "./lib/versions.ts";

const SAMPLE_MS = 20;
const MEBIBYTE = 1024 * 1024;
/** Uploads over TLS leave read buffers to the garbage collector: up to 50 MiB of them before it comes. */
const GROWTH_MAX_MIB = 96;

interface Leg {
  readonly isUpload: boolean;
  readonly isTls: boolean;
  readonly framing: "length" | "chunks";
}

interface Passed {
  readonly leg: string;
  readonly seconds: number;
  readonly grownMib: number;
  /** What arrived less what was sent. */
  readonly missingBytes: number;
}

const legs: readonly Leg[] = [false, true].flatMap((isTls) =>
  [false, true].flatMap((isUpload) =>
    (["length", "chunks"] as const).map((framing) => ({ isTls, isUpload, framing })),
  ),
);

function nameOf({ isUpload, isTls, framing }: Leg): string {
  return `${isUpload ? "up" : "down"}, ${framing === "length" ? "Content-Length" : "chunked"}${isTls ? ", TLS" : ""}`;
}

function open(fairway: Fairway, leg: Leg, options: http.RequestOptions): http.ClientRequest {
  const shared = { ...options, host: "127.0.0.1", agent: false } as const;
  return leg.isTls
    ? https.request({ ...shared, port: fairway.httpsPort, servername: HOST, rejectUnauthorized: false })
    : http.request({ ...shared, port: fairway.httpPort });
}

async function responseTo(request: http.ClientRequest): Promise<http.IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on("error", reject);
    request.on("response", resolve);
  });
}

/** Returns how many bytes came. */
async function download(fairway: Fairway, leg: Leg, bytes: number): Promise<number> {
  const request = open(fairway, leg, { path: `/${leg.framing}/${bytes}`, headers: { host: HOST } });
  request.end();
  const response = await responseTo(request);
  let received = 0;
  let hasStalled = false;
  for await (const piece of response as AsyncIterable<Buffer>) {
    received += piece.length;
    if (hasStalled || received < bytes / 2) continue;
    hasStalled = true;
    await sleep(STALL_MS);
  }
  return received;
}

/** Returns how many bytes the endpoint says that it got. */
async function upload(fairway: Fairway, leg: Leg, bytes: number): Promise<number> {
  const framing = leg.framing === "length" ? { "content-length": bytes } : { "transfer-encoding": "chunked" };
  const headers = { host: HOST, "x-bytes": bytes, ...framing };
  const request = open(fairway, leg, { path: "/", method: "PUT", headers });
  const answer = responseTo(request);
  for (let left = bytes; left > 0; left -= PIECE.length) {
    const isOpen = request.write(PIECE.subarray(0, Math.min(left, PIECE.length)));
    // A failure ends the wait as well.
    if (!isOpen) await Promise.race([new Promise((resolve) => request.once("drain", resolve)), answer]);
  }
  request.end();
  let text = "";
  for await (const piece of (await answer) as AsyncIterable<Buffer>) text += piece.toString();
  return Number(text);
}

async function pass(fairway: Fairway, leg: Leg, bytes: number): Promise<Passed> {
  const pid = fairway.child.pid;
  const before = residentKib(pid);
  let highest = before;
  const sampling = setInterval(() => (highest = Math.max(highest, residentKib(pid))), SAMPLE_MS);
  const startedAt = performance.now();
  try {
    const arrived = await (leg.isUpload ? upload : download)(fairway, leg, bytes);
    const seconds = (performance.now() - startedAt) / 1000;
    const grownMib = (highest - before) / 1024;
    return { leg: nameOf(leg), seconds, grownMib, missingBytes: bytes - arrived };
  } finally {
    clearInterval(sampling);
  }
}

async function start(): Promise<Fairway> {
  const { port } = await startServer("./bodies/backend.ts", []);
  const directory = temporaryDirectory();
  const annotations = { "nginx.ingress.kubernetes.io/proxy-body-size": "0" };
  const route = ingress({ name: "bodies", host: HOST, path: "/", service: "bodies", annotations });
  const text = toYaml(ingressClass(), service("bodies"), endpointSlice("bodies", port), route);
  fs.writeFileSync(path.join(directory, "bodies.yaml"), text);
  return startFairway(directory);
}

await runScenario({
  name: "bodies",
  script: "bench:bodies",
  title: "Memory while large content passes",
  question: "Does the program grow when content that is much larger than its memory passes through it?",
  numbers: {
    mebibytes: { default: 1024, min: 64, help: "content of each message" },
  },
  peers: [],
  hasLoadChoice: false,
  async run({ numbers, progress }) {
    const fairway = await start();
    // Machine code, pools and the heap's usual size belong to no message.
    for (const leg of legs) await pass(fairway, leg, 64 * MEBIBYTE);
    const all: Passed[] = [];
    for (const leg of legs) {
      const passed = await pass(fairway, leg, numbers.mebibytes * MEBIBYTE);
      progress(`${passed.leg}: ${passed.grownMib.toFixed(0)} MiB`);
      all.push(passed);
    }
    return {
      versions: { fairway: packageVersion() },
      missing: [],
      load: "one message at a time, by node:http",
      table: {
        columns: ["message", "seconds", "resident memory grew by, MiB"],
        rows: all.map(({ leg, seconds, grownMib }) => [leg, seconds.toFixed(1), grownMib.toFixed(0)]),
      },
      limits: [
        {
          what: "MiB that resident memory grew by within a message",
          value: Math.max(...all.map(({ grownMib }) => grownMib)),
          max: GROWTH_MAX_MIB,
        },
      ],
      problems: all
        .filter(({ missingBytes }) => missingBytes !== 0)
        .map(({ leg }) => `${leg}: bytes are missing`),
      notes: [
        `Each message is ${numbers.mebibytes} MiB, and its receiving end stops for ${STALL_MS / 1000} s half-way.`,
        "The seconds are those of the load and the backend as much as of Fairway.",
      ],
      plots: [],
      rounds: all,
    };
  },
});
