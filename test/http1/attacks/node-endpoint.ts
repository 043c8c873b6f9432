// An endpoint that is Node's own HTTP server in its strict default mode, with a record of every byte beside it.
import { once } from "node:events";
import http, { type IncomingMessage, type ServerResponse } from "node:http";
import net, { type AddressInfo } from "node:net";
import type { Duplex } from "node:stream";

export interface Seen {
  readonly id: number;
  readonly method: string;
  readonly target: string;
  readonly host: string;
  content: string;
  isComplete: boolean;
  /** Answered before its content was read. */
  readonly isEarly: boolean;
  /** Why Node refused it; empty when it did not. */
  readonly refusal: string;
  /** What is wrong with its fields, whatever was asked for; empty for nothing. */
  readonly complaint: string;
}

/** One of each in every request, and nothing of the client's in them. */
const ours: readonly (readonly [string, string])[] = [
  ["x-real-ip", "127.0.0.1"],
  ["x-forwarded-for", "127.0.0.1"],
  ["x-forwarded-proto", "http"],
  ["x-forwarded-scheme", "http"],
  ["x-scheme", "http"],
];

export class NodeEndpoint {
  seen: Seen[] = [];
  /** What came since `begin`, one text for each connection. */
  bytes: string[] = [];
  open = 0;
  #nextId = 1;
  #running = 0;
  readonly #refused = new WeakSet<Duplex>();
  readonly #http: http.Server;
  readonly #server = net.createServer({ noDelay: true, allowHalfOpen: true }, (socket) =>
    this.#accept(socket),
  );

  constructor() {
    // Whether the protocol is switched is not for the parser to say; until then it reads on.
    this.#http = http.createServer({
      shouldUpgradeCallback: () => false,
      keepAliveTimeout: 0,
      requestTimeout: 0,
      headersTimeout: 0,
    });
    this.#http.on("request", (request, response) => this.#serve(request, response));
    this.#http.on("clientError", (error: NodeJS.ErrnoException, socket) =>
      this.#refuse(error.code ?? error.message, socket),
    );
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** No request is being read or answered. */
  get isIdle(): boolean {
    return this.#running === 0;
  }

  async listen(): Promise<void> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
  }

  async close(): Promise<void> {
    this.#http.closeAllConnections();
    this.#server.close();
    await once(this.#server, "close");
  }

  begin(): void {
    this.seen = [];
    this.bytes = [];
  }

  #accept(socket: net.Socket): void {
    this.open += 1;
    socket.on("close", () => {
      this.open -= 1;
    });
    this.#http.emit("connection", socket);
    // Only a listener that comes after Node's own makes Node read by events, which others can hear too.
    let record = this.bytes;
    let index = -1;
    socket.on("data", (chunk: Buffer) => {
      if (record !== this.bytes || index < 0) {
        record = this.bytes;
        index = record.push("") - 1;
      }
      record[index] += chunk.toString("latin1");
    });
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const seen: Seen = {
      id: this.#nextId,
      method: request.method ?? "",
      target: request.url ?? "",
      host: request.headers.host ?? "",
      content: "",
      isComplete: false,
      isEarly: this.#nextId % 4 === 0 && request.headers["transfer-encoding"] !== undefined,
      refusal: "",
      complaint: complaintAbout(request),
    };
    this.#nextId += 1;
    this.#running += 1;
    this.seen.push(seen);
    request.on("data", (chunk: Buffer) => {
      seen.content += chunk.toString("latin1");
    });
    request.on("end", () => {
      seen.isComplete = request.complete;
      if (!seen.isEarly) answer(seen, response);
    });
    if (seen.isEarly) answer(seen, response);
    // Ended before it was complete: `isComplete` tells.
    request.on("error", () => undefined);
    response.on("close", () => {
      this.#running -= 1;
    });
  }

  #refuse(refusal: string, socket: Duplex): void {
    // A connection that ends inside a message is incomplete, which is no refusal.
    if (refusal === "HPE_INVALID_EOF_STATE" || refusal === "ECONNRESET" || refusal === "EPIPE") {
      socket.destroy();
      return;
    }
    // Node complains again with every further read.
    if (this.#refused.has(socket)) return;
    this.#refused.add(socket);
    const id = this.#nextId;
    this.#nextId += 1;
    this.seen.push({
      id,
      method: "",
      target: "",
      host: "",
      content: "",
      isComplete: false,
      isEarly: false,
      refusal,
      complaint: "",
    });
    socket.end(
      `HTTP/1.1 400 Bad Request\r\nX-Answer: ${id}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`,
    );
  }
}

/** By turns with a length and in chunks. */
function answer({ id }: Seen, response: ServerResponse): void {
  const content = `for ${id}`;
  response.sendDate = false;
  response.setHeader("X-Answer", id);
  // After an upgrade that it declined, Node says nothing about a message that it cannot read.
  if (response.req.headers.upgrade !== undefined) response.setHeader("Connection", "close");
  if (id % 3 > 0) response.setHeader("Content-Length", content.length);
  else response.write(content.slice(0, 2));
  response.end(id % 3 > 0 ? content : content.slice(2));
}

function complaintAbout({ rawHeaders }: IncomingMessage): string {
  const values = new Map<string, string[]>();
  for (let i = 0; i < rawHeaders.length; i += 2) {
    const name = rawHeaders[i]!.toLowerCase();
    values.set(name, [...(values.get(name) ?? []), rawHeaders[i + 1]!]);
  }
  for (const [name, value] of ours) {
    if (values.get(name)?.join() !== value) return `${name} is ${values.get(name)?.join()}`;
  }
  for (const name of ["host", "x-forwarded-host", "x-forwarded-port", "x-request-id"]) {
    if (values.get(name)?.length !== 1 && name !== "x-request-id")
      return `${name} is there ${values.get(name)?.length} times`;
  }
  const odd = [...values.keys()].find(
    (name) => name.includes("_") || name === "keep-alive" || name === "proxy-connection",
  );
  if (odd !== undefined) return `${odd} was forwarded`;
  const connection = values.get("connection")?.join() ?? "";
  return /^(?:|upgrade|te)$/.test(connection) ? "" : `Connection: ${connection}`;
}
