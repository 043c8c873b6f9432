// Requests to the API server of Kubernetes: JSON in and out, and answers as lines for watches. HTTP/1.1 with kept
// connections; credentials are read again when they are refused. Knows nothing of kinds.
import http from "node:http";
import https from "node:https";
import type { Clock } from "../util/clock.ts";
import type { Access, Credentials } from "./access.ts";
import { CredentialsReader } from "./credentials.ts";
import { ApiError, apiError, ApiUnreachable } from "./errors.ts";
import { LineSplitter } from "./lines.ts";
import type { RequestLimit } from "./request-limit.ts";

export interface ApiRequest {
  /** Default GET. */
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** `/api/v1/services`. */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  readonly body?: unknown;
  /** Of the body. Default `application/json`. */
  readonly contentType?: string;
  readonly signal?: AbortSignal;
  /** No byte for this long ends the request. Default 60 s. */
  readonly idleMaxMs?: number;
}

export interface ApiClientOptions {
  readonly access: Access;
  readonly clock: Clock;
  /** Null: no limit. */
  readonly limit: RequestLimit | null;
  readonly userAgent: string;
}

const defaultIdleMaxMs = 60_000;
/** A page of 500 objects is a few megabytes; an object is at most about 2. */
const answerMaxBytes = 256 * 1024 * 1024;
const lineMaxBytes = 16 * 1024 * 1024;
/** What is kept of an answer that is no success. */
const errorMaxBytes = 64 * 1024;
/** Finds out that the peer is gone although nothing is said. */
const keepAliveMs = 30_000;

export class ApiClient {
  readonly #options: ApiClientOptions;
  readonly #credentials: CredentialsReader;
  readonly #server: URL;
  #agent: { readonly agent: http.Agent; readonly of: string } | null = null;
  /** The last connection failed: a certificate may have been replaced. */
  #isSuspect = false;

  constructor(options: ApiClientOptions) {
    this.#options = options;
    this.#credentials = new CredentialsReader(options.access, options.clock);
    this.#server = new URL(options.access.server);
  }

  /** The answer's JSON. Rejects with `ApiError`, `ApiUnreachable`, or an `AccessError` about our own credentials. */
  async call(request: ApiRequest): Promise<unknown> {
    const response = await this.#send(request);
    const body = await readAll(response, answerMaxBytes);
    try {
      return JSON.parse(body.toString("utf8"));
    } catch (cause) {
      throw new ApiUnreachable("the answer of the API server is no JSON", { cause });
    }
  }

  /**
   * The lines of the answer as they come, first none when it has begun; ends when the server ends it. A line cut short
   * at the end is dropped.
   */
  async *lines(request: ApiRequest): AsyncGenerator<readonly string[], void> {
    const response = await this.#send(request);
    const splitter = new LineSplitter(lineMaxBytes);
    try {
      yield [];
      for await (const chunk of response) {
        // The type is that of any stream; without an encoding the chunks of this one are buffers.
        const lines = splitter.push(chunk as Buffer);
        if (lines.length > 0) yield lines;
      }
    } catch (cause) {
      if (cause instanceof ApiError || cause instanceof ApiUnreachable) throw cause;
      throw unreachable(cause);
    } finally {
      response.destroy();
    }
  }

  /** Kept connections end; running requests go on. */
  close(): void {
    if (this.#agent !== null) destroyIdle(this.#agent.agent);
  }

  async #send(request: ApiRequest): Promise<http.IncomingMessage> {
    await this.#options.limit?.take();
    let response = await this.#attempt(request, this.#isSuspect);
    if (response.statusCode === 401) {
      response.resume();
      response = await this.#attempt(request, true);
    }
    const status = response.statusCode ?? 0;
    if (status >= 200 && status < 300) return response;
    throw apiError(status, await readError(response), response.headers["retry-after"]);
  }

  async #attempt(request: ApiRequest, isRefused: boolean): Promise<http.IncomingMessage> {
    const credentials = await this.#credentials.read(isRefused);
    try {
      const response = await this.#exchange(request, credentials);
      this.#isSuspect = false;
      return response;
    } catch (cause) {
      this.#isSuspect = request.signal?.aborted !== true;
      throw unreachable(cause);
    }
  }

  async #exchange(request: ApiRequest, credentials: Credentials): Promise<http.IncomingMessage> {
    try {
      return await this.#roundTrip(request, credentials);
    } catch (cause) {
      // The server closed a kept connection just as it was used again.
      const isStale = cause instanceof StaleConnection && (request.method ?? "GET") === "GET";
      if (!isStale || request.signal?.aborted === true) throw cause;
      return await this.#roundTrip(request, credentials);
    }
  }

  #roundTrip(request: ApiRequest, credentials: Credentials): Promise<http.IncomingMessage> {
    const { method = "GET", path, query = {}, body, contentType, signal } = request;
    const content = body === undefined ? null : Buffer.from(JSON.stringify(body));
    const search = new URLSearchParams(query).toString();
    const headers: Record<string, string | number> = {
      accept: "application/json",
      "user-agent": this.#options.userAgent,
      ...credentials.headers,
    };
    if (content !== null) {
      headers["content-type"] = contentType ?? "application/json";
      headers["content-length"] = content.length;
    }
    const { protocol, hostname, port, pathname } = this.#server;
    const options: https.RequestOptions = {
      method,
      protocol,
      // Node takes an IPv6 address without the brackets of a URL.
      hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
      port,
      path: `${pathname.replace(/\/$/, "")}${path}${search === "" ? "" : `?${search}`}`,
      headers,
      agent: this.#agentFor(credentials),
      timeout: request.idleMaxMs ?? defaultIdleMaxMs,
      ...(signal === undefined ? {} : { signal }),
    };
    return new Promise((resolve, reject) => {
      const outgoing = (protocol === "https:" ? https : http).request(options, resolve);
      outgoing.on("timeout", () => outgoing.destroy(new Error(`no answer for ${options.timeout ?? 0} ms`)));
      outgoing.on("error", (cause: Error) => {
        const isStale = outgoing.reusedSocket && "code" in cause && cause.code === "ECONNRESET";
        reject(isStale ? new StaleConnection(cause.message, { cause }) : cause);
      });
      outgoing.end(content ?? undefined);
    });
  }

  /** One for all requests, until certificates change. */
  #agentFor({ ca, certificate, key, agent: given }: Credentials): http.Agent {
    if (given !== null) return given;
    const of = JSON.stringify([ca, certificate, key]);
    if (this.#agent?.of === of) return this.#agent.agent;
    if (this.#agent !== null) destroyIdle(this.#agent.agent);
    const { isInsecure, serverName } = this.#options.access;
    const kept = { keepAlive: true, keepAliveMsecs: keepAliveMs };
    const agent =
      this.#server.protocol === "http:"
        ? new http.Agent(kept)
        : new https.Agent({
            ...kept,
            rejectUnauthorized: !isInsecure,
            ...(ca === null ? {} : { ca }),
            ...(certificate === null || key === null ? {} : { cert: certificate, key }),
            ...(serverName === "" ? {} : { servername: serverName }),
          });
    this.#agent = { agent, of };
    return agent;
  }
}

class StaleConnection extends Error {}

function destroyIdle(agent: http.Agent): void {
  for (const sockets of Object.values(agent.freeSockets)) {
    for (const socket of sockets ?? []) socket.destroy();
  }
}

async function readAll(response: http.IncomingMessage, maxBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    for await (const chunk of response) {
      const part = chunk as Buffer; // Without an encoding they are buffers.
      bytes += part.length;
      if (bytes > maxBytes) throw new RangeError(`the answer is longer than ${maxBytes} bytes`);
      chunks.push(part);
    }
  } catch (cause) {
    throw unreachable(cause);
  }
  return Buffer.concat(chunks);
}

async function readError(response: http.IncomingMessage): Promise<unknown> {
  const text = (await readAll(response, errorMaxBytes).catch(() => Buffer.alloc(0))).toString("utf8");
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function unreachable(cause: unknown): Error {
  if (cause instanceof ApiUnreachable) return cause;
  const message = cause instanceof Error ? cause.message || cause.name : String(cause);
  return new ApiUnreachable(message, { cause });
}
