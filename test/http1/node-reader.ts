// Node's own HTTP parser as a second opinion: a real node:http server and client over in-memory streams, in their
// default strict mode. No sockets, no timers left behind.
import http, { type IncomingMessage } from "node:http";
import { Duplex } from "node:stream";

export interface NodeMessage {
  readonly message: IncomingMessage;
  content: string;
}

export interface NodeReading {
  /** Requests; or the responses, interim ones included. */
  readonly messages: readonly NodeMessage[];
  /** Why the parser, or the server by itself, refused; empty when it did not. */
  readonly refusal: string;
}

/** A connection whose peer sends `bytes`, ends its side, and takes whatever comes. */
class Wire extends Duplex {
  readonly messages: NodeMessage[] = [];
  refusal = "";
  #hasRead = false;
  readonly #bytes: Buffer;

  constructor(bytes: Buffer) {
    super();
    this.#bytes = bytes;
  }

  override _read(): void {
    if (this.#hasRead) return;
    this.#hasRead = true;
    this.push(this.#bytes);
    this.push(null);
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    // The server refuses a request without Host by an answer of its own.
    if (chunk.toString("latin1", 0, 12) === "HTTP/1.1 400") this.refusal = "400";
    done();
  }

  addMessage(message: IncomingMessage): NodeMessage {
    const read: NodeMessage = { message, content: "" };
    this.messages.push(read);
    message.on("data", (chunk: Buffer) => {
      read.content += chunk.toString("latin1");
    });
    message.on("error", () => {
      // An incomplete message; `complete` tells.
    });
    return read;
  }

  refuse(error: Error & { code?: string; reason?: string }): void {
    // Bytes that end inside a message are no refusal: they are incomplete to both.
    const isEnd = error.code === "HPE_INVALID_EOF_STATE" || error.code === "ECONNRESET";
    if (!isEnd) this.refusal = `${error.code ?? ""} ${error.reason ?? error.message}`;
    // What was read before is delivered in later ticks; destroying at once would lose it.
    setImmediate(() => this.destroy());
  }
}

function settled(wire: Wire): Promise<NodeReading> {
  const { promise, resolve } = Promise.withResolvers<NodeReading>();
  wire.once("close", () => resolve({ messages: wire.messages, refusal: wire.refusal }));
  return promise;
}

/** Reads requests from one connection after the other. It never listens. */
export function createNodeServer(): (bytes: Buffer) => Promise<NodeReading> {
  const server = http.createServer({
    // Whether the protocol is switched is not for the parser to say; until then it reads on.
    shouldUpgradeCallback: () => false,
  });
  server.on("request", (request, response) => {
    const wire: unknown = request.socket;
    if (!(wire instanceof Wire)) throw new Error("a connection that is none of ours");
    wire.addMessage(request);
    request.on("end", () => response.end());
  });
  server.on("clientError", (error: Error, wire: Duplex) => {
    if (wire instanceof Wire) wire.refuse(error);
  });
  return (bytes) => {
    const wire = new Wire(bytes);
    server.emit("connection", wire);
    return settled(wire);
  };
}

/** Reads the responses to one request, interim ones included. */
export function readNodeResponse(bytes: Buffer, method: string): Promise<NodeReading> {
  const wire = new Wire(bytes);
  const request = http.request({ method, createConnection: () => wire });
  request.on("response", (response) => wire.addMessage(response));
  request.on("upgrade", (response) => {
    wire.addMessage(response);
    wire.destroy();
  });
  request.on("error", (error) => wire.refuse(error));
  request.end();
  return settled(wire);
}
