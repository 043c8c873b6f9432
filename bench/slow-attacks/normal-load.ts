// Normal clients: requests at a fixed rate over keep-alive connections, in a process of its own so that the attackers'
// work does not count as latency. A request that is due goes out, whatever became of those before it.
import http from "node:http";
import { endWithRunner } from "../lib/child-side.ts";
import { HOST } from "../lib/peers.ts";
import { LatencyHistogram } from "../lib/statistics.ts";
import { CONTENT_BYTES, type LoadCommand, type LoadResult } from "./messages.ts";

const TICK_MS = 2;
const TIMEOUT_MS = 10_000;
const FAILURES_KEPT = 5;

class NormalLoad {
  readonly #agent: http.Agent;
  readonly #port: number;
  readonly #rate: number;
  readonly #latencies = new LatencyHistogram();
  readonly #startedAt = performance.now();
  readonly #timer: NodeJS.Timeout;
  readonly #failures: string[] = [];
  #due = 0;
  #running = 0;
  #failed = 0;
  #maxMs = 0;
  #onIdle: (() => void) | null = null;

  constructor(port: number, rate: number, connections: number) {
    this.#port = port;
    this.#rate = rate;
    this.#agent = new http.Agent({ keepAlive: true, maxSockets: connections, scheduling: "fifo" });
    this.#timer = setInterval(() => this.#sendDue(), TICK_MS);
  }

  /** No further requests; those under way are waited for. */
  async stop(): Promise<LoadResult> {
    clearInterval(this.#timer);
    if (this.#running > 0) {
      await new Promise<void>((resolve) => {
        this.#onIdle = resolve;
      });
    }
    this.#agent.destroy();
    return {
      requests: this.#due,
      failed: this.#failed,
      failures: this.#failures,
      p50Ms: this.#latencies.quantileMs(0.5),
      p99Ms: this.#latencies.quantileMs(0.99),
      maxMs: this.#maxMs,
    };
  }

  #sendDue(): void {
    for (;;) {
      const dueAt = this.#startedAt + (this.#due * 1000) / this.#rate;
      if (dueAt > performance.now()) return;
      this.#due += 1;
      this.#send(dueAt);
    }
  }

  #send(dueAt: number): void {
    this.#running += 1;
    let isDone = false;
    const done = (failure: string): void => {
      if (isDone) return;
      isDone = true;
      const ms = performance.now() - dueAt;
      this.#latencies.recordMs(ms);
      this.#maxMs = Math.max(this.#maxMs, ms);
      if (failure !== "") {
        this.#failed += 1;
        if (this.#failures.length < FAILURES_KEPT) this.#failures.push(failure);
      }
      this.#running -= 1;
      if (this.#running === 0) this.#onIdle?.();
    };
    const request = http.get(
      {
        host: "127.0.0.1",
        port: this.#port,
        agent: this.#agent,
        headers: { host: HOST },
        timeout: TIMEOUT_MS,
      },
      (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("error", (error) => done(error.message));
        response.on("end", () => {
          const isGood = response.statusCode === 200 && bytes === CONTENT_BYTES;
          done(isGood ? "" : `${response.statusCode} with ${bytes} bytes`);
        });
      },
    );
    request.on("timeout", () => request.destroy(new Error("no answer in time")));
    request.on("error", (error) => done(error.message));
  }
}

let load: NormalLoad | null = null;

process.on("message", (message) => {
  // The runner sends nothing else.
  const command = message as LoadCommand;
  if (command.kind === "start") {
    load = new NormalLoad(command.port, command.rate, command.connections);
  } else {
    // A failure of `stop` would end this process, which the runner sees.
    void load?.stop().then((result) => process.send?.(result));
    load = null;
  }
});
endWithRunner();
