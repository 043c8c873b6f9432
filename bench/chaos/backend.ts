// A backend of the chaos benchmark: answers after a while, and writes down what it has begun and what it has answered.
// The record is a file that outlives `kill -9`. Its own process, with an IPC channel.
//
//   node bench/chaos/backend.ts <record file>
import fs from "node:fs";
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { reportReady } from "../lib/child-side.ts";
import { CONTENT_BYTES } from "./messages.ts";

const record = fs.openSync(process.argv[2] ?? "", "a");
/** Long enough for requests to be in flight at any instant. */
const DELAY_MIN_MS = 20;
const DELAY_MAX_MS = 60;
/** One response in so many comes in two parts, so that an end may fall between them. */
const HALVED = 4;
const half = Buffer.alloc(CONTENT_BYTES / 2, "x");
let served = 0;

async function answer(id: string, response: http.ServerResponse): Promise<void> {
  const delayMs = DELAY_MIN_MS + Math.random() * (DELAY_MAX_MS - DELAY_MIN_MS);
  served += 1;
  response.setHeader("Content-Length", CONTENT_BYTES);
  if (served % HALVED === 0) {
    await sleep(delayMs / 2);
    response.write(half);
    await sleep(delayMs / 2);
    response.end(half);
  } else {
    await sleep(delayMs);
    response.write(half);
    response.end(half);
  }
  fs.writeSync(record, `answered ${id}\n`);
}

const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  const id = (request.url ?? "").slice(1);
  fs.writeSync(record, `${request.method === "POST" ? "post" : "get"} ${id}\n`);
  // A worker that dies takes its connections with it.
  request.on("error", () => undefined);
  request.resume();
  // Nothing in it can fail but the writing of the record, which must end this process.
  request.on("end", () => void answer(id, response));
});
server.listen(0, "127.0.0.1", () => reportReady(server));
