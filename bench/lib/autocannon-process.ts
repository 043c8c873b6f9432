// The process that runs autocannon, as told by autocannon.ts over IPC. Several jobs may run at the same time.
import autocannon from "autocannon";
import { endWithRunner } from "./child-side.ts";
import type { LoadCommand, LoadReply } from "./autocannon.ts";
import type { LoadJob, LoadRequest, LoadResult } from "./load.ts";
import { LatencyHistogram } from "./statistics.ts";

/** Between two looks of autocannon at whether to end. */
const SAMPLE_MS = 50;

/** What autocannon's "headers" event really carries; its types say otherwise. */
interface ResponseHead {
  readonly statusCode: number;
  readonly shouldKeepAlive: boolean;
}

/** The fields of autocannon's client that decide when it reconnects by itself. */
interface Reconnecting {
  reqsMade: number;
  reconnectRate: number | undefined;
}

interface Closed {
  responses: number;
  non2xx: number;
}

/**
 * Autocannon goes on to write on a connection whose response said `Connection: close`, loses that request and counts
 * nothing. Proxies end a connection after so many requests, so it is made to reconnect after such a response. It does
 * not report the response it reconnects after; `closed` counts those.
 */
function honourClose(client: autocannon.Client, closed: Closed): void {
  const inner = client as unknown as Reconnecting;
  client.on("headers", (head) => {
    const { shouldKeepAlive, statusCode } = head as unknown as ResponseHead;
    inner.reconnectRate = shouldKeepAlive ? undefined : inner.reqsMade;
    if (shouldKeepAlive) return;
    closed.responses += 1;
    if (statusCode < 200 || statusCode > 299) closed.non2xx += 1;
  });
}

const instances = new Map<number, autocannon.Instance>();

function start(id: number, job: LoadJob): void {
  const latencies = new LatencyHistogram();
  const closed: Closed = { responses: 0, non2xx: 0 };
  const closing = job.isClosing === true ? { connection: "close" } : {};
  const headers = { host: job.host, ...closing };
  const startedAt = performance.now();
  let clients = 0;
  const instance = autocannon(
    {
      url: job.url,
      connections: job.connections,
      duration: job.seconds,
      headers,
      sampleInt: SAMPLE_MS,
      setupClient: (client) => {
        honourClose(client, closed);
        if (job.requests !== undefined) client.setRequests(share(job.requests, clients, job.connections));
        clients += 1;
      },
      ...(job.paths === undefined ? {} : { requests: job.paths.map((path) => ({ path, headers })) }),
      ...(job.servername === undefined ? {} : { servername: job.servername }),
    },
    (error: unknown, result: autocannon.Result) => {
      instances.delete(id);
      if (error !== null && error !== undefined) throw error as Error;
      const seconds = (performance.now() - startedAt) / 1000;
      reply({ id, result: summary({ job, result, closed, latencies, seconds }) });
    },
  );
  instance.on("response", (_client, _status, _bytes, ms) => latencies.recordMs(ms));
  instances.set(id, instance);
}

/** Every `count`th request, from number `index` on. */
function share(requests: readonly LoadRequest[], index: number, count: number): autocannon.Request[] {
  return requests
    .filter((_, each) => each % count === index)
    .map(({ host, path }) => ({ path, headers: { host } }));
}

interface Outcome {
  readonly job: LoadJob;
  readonly result: autocannon.Result;
  readonly closed: Closed;
  readonly latencies: LatencyHistogram;
  readonly seconds: number;
}

function summary({ job, result, closed, latencies, seconds }: Outcome): LoadResult {
  const responses = result.requests.total + closed.responses;
  return {
    responses,
    seconds,
    p50Ms: latencies.quantileMs(0.5),
    p99Ms: latencies.quantileMs(0.99),
    non2xx: result.non2xx + closed.non2xx,
    connectionErrors: result.errors - result.timeouts,
    timeouts: result.timeouts,
    // Each connection has one request under way when the load stops.
    lost: Math.max(0, result.requests.sent - responses - job.connections),
  };
}

function reply(message: LoadReply): void {
  process.send?.(message);
}

process.on("message", (message) => {
  // autocannon.ts sends nothing else.
  const command = message as LoadCommand;
  if (command.kind === "start") start(command.id, command.job);
  else instances.get(command.id)?.stop();
});
endWithRunner();
