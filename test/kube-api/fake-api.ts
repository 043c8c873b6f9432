// An HTTP server that answers as a test tells it to, request by request: what a real API server does once in a year.
import { EventEmitter, once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { noAccess, type Access } from "../../src/kube-api/access.ts";

export interface Call {
  readonly method: string;
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: http.IncomingHttpHeaders;
  readonly response: http.ServerResponse;
}

export class FakeApi {
  readonly #server: http.Server;
  readonly #calls: Call[] = [];
  readonly #events = new EventEmitter();
  /** Requests so far. */
  count = 0;

  static async start(): Promise<FakeApi> {
    const api = new FakeApi();
    api.#server.listen(0, "127.0.0.1");
    await once(api.#server, "listening");
    return api;
  }

  private constructor() {
    this.#server = http.createServer((request, response) => {
      request.resume();
      const url = new URL(request.url ?? "/", "http://api");
      this.count += 1;
      this.#calls.push({
        method: request.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        headers: request.headers,
        response,
      });
      this.#events.emit("call");
    });
  }

  get access(): Access {
    return { ...noAccess, server: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}` };
  }

  /** The next request, which must then be answered. */
  async next(): Promise<Call> {
    for (;;) {
      const call = this.#calls.shift();
      if (call !== undefined) return call;
      await once(this.#events, "call");
    }
  }

  /** Requests that nobody has taken with `next` yet. */
  get waiting(): number {
    return this.#calls.length;
  }

  async close(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

/** Answers a request as a whole. */
export function answer(
  call: Call,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  call.response.writeHead(status, { "content-type": "application/json", ...headers });
  call.response.end(typeof body === "string" ? body : JSON.stringify(body));
}

/** What the API server says when something is wrong. */
export function statusBody(code: number, reason: string, message: string) {
  return { apiVersion: "v1", kind: "Status", status: "Failure", code, reason, message };
}
