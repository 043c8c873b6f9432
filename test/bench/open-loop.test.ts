import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stopAll } from "../../bench/lib/children.ts";
import { isHeld, OpenLoop, type OpenLoopJob } from "../../bench/lib/open-loop.ts";

/** More than the time between two requests of the load on its one connection. */
const ANSWER_MS = 5;
const job = { path: "/", host: "bench.example", connections: 1, seconds: 1, warmUpSeconds: 0 } as const;

let status = 200;
const server = http.createServer((_request, response) => {
  setTimeout(() => {
    response.writeHead(status, { "Content-Length": 2 });
    response.end("ok");
  }, ANSWER_MS);
});

beforeAll(async () => {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
});

afterAll(async () => {
  await stopAll();
  server.close();
  server.closeAllConnections();
});

function jobAt(rate: number): OpenLoopJob {
  return { ...job, rate, port: (server.address() as AddressInfo).port };
}

test("requests that could not be sent count from when they were due, and the rate counts as not held", async () => {
  // 1,000 are due; at 5 ms each at most 200 are answered in the second, the last of them 0.8 s after it was due.
  const result = await new OpenLoop().run(jobAt(1_000));
  expect(result.due).toBe(1_000);
  expect(result.answeredInTime).toBeLessThan(250);
  expect(result.failed).toBe(0);
  expect(result.p99Ms).toBeGreaterThan(500);
  expect(isHeld(result)).toBe(false);
});

test("a bad status is a failure, and a rate with failures is not held", async () => {
  status = 503;
  const result = await new OpenLoop().run(jobAt(10));
  expect(result.failed).toBeGreaterThan(0);
  expect(isHeld(result)).toBe(false);
});
