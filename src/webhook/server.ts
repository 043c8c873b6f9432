// The HTTPS server of the validating webhook. Its port may be reached from every pod, so whatever arrives is hostile until
// it is understood: sizes, times and numbers are bounded, and a body is parsed as JSON and nothing else.
import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { SmallServer } from "../util/small-server.ts";

export interface WebhookReply {
  readonly status: number;
  /** Sent as JSON; a string as plain text. */
  readonly body: unknown;
}

export interface ServerCertificate {
  readonly certificate: string;
  readonly key: string;
}

export interface WebhookServerOptions {
  /** Empty: all addresses. */
  readonly host: string;
  readonly port: number;
  readonly certificate: ServerCertificate;
  /** `review` is what was parsed. Does not throw. */
  readonly answer: (review: unknown) => WebhookReply;
  /** Requests that were turned away before that: `busy` or `invalid`. */
  readonly onTurnedAway: (outcome: "busy" | "invalid") => void;
}

/** As ingress-nginx has it. */
export const webhookPath = "/networking/v1/ingresses";

/** Twice the largest object that etcd takes, since updates bring the old one too. */
export const bodyMaxBytes = 3 * 1024 * 1024;
/** Being read at a time; more are told to come back. 48 MiB of bodies at most. */
export const requestsMax = 16;
/** Beyond it the oldest goes, so that nobody keeps others out by sitting on connections. */
const connectionsMax = 256;
/** For the whole of a request, its body included; the API server gives up after 10 s at the latest. */
const requestTimeoutMs = 5_000;
const headMaxBytes = 16 * 1024;
/** Longer than the API server keeps idle connections (90 s), so that it is the one to close them. */
const keepAliveMs = 120_000;

export class WebhookServer {
  readonly #options: WebhookServerOptions;
  readonly #server: https.Server;
  readonly #small: SmallServer;
  #requests = 0;

  constructor(options: WebhookServerOptions) {
    this.#options = options;
    this.#server = https.createServer(
      {
        ...contextOf(options.certificate),
        handshakeTimeout: requestTimeoutMs,
        requestTimeout: requestTimeoutMs,
        headersTimeout: requestTimeoutMs,
        connectionsCheckingInterval: requestTimeoutMs / 5,
        keepAliveTimeout: keepAliveMs,
        maxHeaderSize: headMaxBytes,
      },
      // It catches everything itself.
      (request, response) => void this.#serve(request, response),
    );
    this.#small = new SmallServer(this.#server, connectionsMax);
    // Whatever knocks without speaking TLS; the socket is closed by then.
    this.#server.on("tlsClientError", () => undefined);
  }

  /** Rejects when the port cannot be bound. */
  listen(): Promise<AddressInfo> {
    return this.#small.listen(this.#options);
  }

  /** For connections from now on; those that are there keep what they have. Throws when the two do not fit. */
  setCertificate(certificate: ServerCertificate): void {
    this.#server.setSecureContext(contextOf(certificate));
  }

  close(): Promise<void> {
    return this.#small.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const isBusy = this.#requests >= requestsMax;
    this.#requests += 1;
    try {
      const reply = isBusy ? busy : await this.#reply(request);
      if (reply === busy) this.#options.onTurnedAway("busy");
      else if (reply.status >= 400 && reply.status < 500) this.#options.onTurnedAway("invalid");
      send(request, response, reply);
    } catch {
      // The request broke off; there is nobody to answer.
      response.destroy();
    } finally {
      this.#requests -= 1;
    }
  }

  async #reply(request: IncomingMessage): Promise<WebhookReply> {
    const [path] = (request.url ?? "").split("?");
    if (path !== webhookPath) return { status: 404, body: `not found; reviews go to ${webhookPath}` };
    if (request.method !== "POST") return { status: 405, body: "only POST" };
    const [type] = (request.headers["content-type"] ?? "").split(";");
    if (type?.trim().toLowerCase() !== "application/json")
      return { status: 415, body: "expected application/json" };
    const body = await readBody(request);
    if (body === null) return { status: 413, body: `more than ${bodyMaxBytes} bytes` };
    const parsed = parse(body);
    return parsed === null
      ? { status: 400, body: "the body is no JSON" }
      : this.#options.answer(parsed.value);
  }
}

const busy: WebhookReply = { status: 503, body: "too many requests at once" };

function contextOf({ certificate, key }: ServerCertificate) {
  return { cert: certificate, key, minVersion: "TLSv1.2" } as const;
}

/** Null: it is too large, and what is left of it stays unread. Rejects when the request breaks off. */
function readBody(request: IncomingMessage): Promise<Buffer | null> {
  if (Number(request.headers["content-length"] ?? 0) > bodyMaxBytes) return Promise.resolve(null);
  const { promise, resolve, reject } = Promise.withResolvers<Buffer | null>();
  const chunks: Buffer[] = [];
  let bytes = 0;
  request.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    chunks.push(chunk);
    if (bytes <= bodyMaxBytes) return;
    chunks.length = 0;
    request.pause();
    resolve(null);
  });
  request.on("end", () => resolve(Buffer.concat(chunks)));
  request.on("close", () => reject(new Error("the request broke off")));
  request.on("error", reject);
  return promise;
}

/** Null: it is no JSON. */
function parse(body: Buffer): { readonly value: unknown } | null {
  try {
    return { value: JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body)) };
  } catch {
    return null;
  }
}

function send(request: IncomingMessage, response: ServerResponse, { status, body }: WebhookReply): void {
  const isText = typeof body === "string";
  const content = isText ? `${body}\n` : JSON.stringify(body);
  response.writeHead(status, {
    "content-type": isText ? "text/plain; charset=utf-8" : "application/json",
    "content-length": Buffer.byteLength(content),
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    // What is left of a body that nobody read would be taken for the next request.
    ...(request.complete ? {} : { connection: "close" }),
  });
  response.end(content);
}
