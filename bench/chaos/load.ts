// The load of the chaos benchmark: clients that send one request after the other, each on a keep-alive connection of its
// own, and write down everything about those that fail. Two of three requests are GET, one is POST. Nothing is sent
// again. Its own process, with an IPC channel.
import http from "node:http";
import { endWithRunner } from "../lib/child-side.ts";
import { HOST } from "../lib/peers.ts";
import { CONTENT_BYTES, type Failure, type LoadCommand, type LoadResult } from "./messages.ts";

const TIMEOUT_MS = 10_000;
const POST_EVERY = 3;
/** After a failure, so that a dead proxy does not make thousands of them. */
const PAUSE_MS = 5;

class Load {
  readonly #port: number;
  readonly #phase: string;
  readonly #failures: Failure[] = [];
  readonly #clients: Promise<void>[];
  #requests = 0;
  #isOver = false;

  constructor(port: number, connections: number, phase: string) {
    this.#port = port;
    this.#phase = phase;
    this.#clients = Array.from({ length: connections }, () => this.#client());
  }

  async stop(): Promise<LoadResult> {
    this.#isOver = true;
    await Promise.all(this.#clients);
    return { requests: this.#requests, failures: this.#failures };
  }

  async #client(): Promise<void> {
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    while (!this.#isOver) {
      this.#requests += 1;
      const method = this.#requests % POST_EVERY === 0 ? "POST" : "GET";
      const id = `${this.#phase.replaceAll(/[ ,]+/g, "-")}-${this.#requests}`;
      const sentAt = Date.now();
      const { what, localPort } = await this.#ask(agent, method, id);
      if (what === "") continue;
      this.#failures.push({ id, method, sentAt, failedAt: Date.now(), localPort, what });
      await new Promise((resolve) => void setTimeout(resolve, PAUSE_MS));
    }
    agent.destroy();
  }

  /** `what` is empty for a good answer. Never rejects. */
  #ask(agent: http.Agent, method: string, id: string): Promise<{ what: string; localPort: number }> {
    return new Promise((resolve) => {
      const request = http.request({
        host: "127.0.0.1",
        port: this.#port,
        path: `/${id}`,
        method,
        agent,
        timeout: TIMEOUT_MS,
        headers: method === "POST" ? { host: HOST, "content-length": 2 } : { host: HOST },
      });
      let localPort = 0;
      const done = (what: string): void => resolve({ what, localPort });
      request.on("socket", (socket) => {
        const note = (): void => {
          localPort = socket.localPort ?? 0;
        };
        if (socket.connecting) socket.once("connect", note);
        else note();
      });
      request.on("timeout", () => request.destroy(new Error("no answer in time")));
      request.on("error", (error) => done(error.message));
      request.on("response", (response) => {
        let bytes = 0;
        response.on("data", (chunk: Buffer) => {
          bytes += chunk.length;
        });
        response.on("error", (error) => done(`${error.message} after ${bytes} bytes`));
        response.on("end", () => {
          const isGood = response.statusCode === 200 && bytes === CONTENT_BYTES;
          // The connection must be back in the agent before the next request.
          setImmediate(done, isGood ? "" : `${response.statusCode} with ${bytes} bytes`);
        });
      });
      request.end(method === "POST" ? "hi" : undefined);
    });
  }
}

let load: Load | null = null;

process.on("message", (message) => {
  // The runner sends nothing else.
  const command = message as LoadCommand;
  if (command.kind === "start") load = new Load(command.port, command.connections, command.phase);
  else void load?.stop().then((result) => process.send?.(result));
});
endWithRunner();
