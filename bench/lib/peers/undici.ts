// Peer: node:http towards the client and an undici Pool towards the backend, through `dispatch`, undici's cheapest
// interface. It does what any proxy must: drops hop-by-hop fields, adds the X-Forwarded fields, streams both ways
// with back-pressure, and answers 502.
//
//   node bench/lib/peers/undici.ts <backend port> <certificate file> <key file>
import { once } from "node:events";
import fs from "node:fs";
import http from "node:http";
import https from "node:https";
import { Pool, type Dispatcher } from "undici";
import { reportReady } from "../child-side.ts";

const pool = new Pool(`http://127.0.0.1:${process.argv[2]}`, { connections: 1024, pipelining: 1 });
const HOP_BY_HOP = new Set(["connection", "keep-alive", "proxy-connection", "te", "trailer", "upgrade"]);
HOP_BY_HOP.add("transfer-encoding");

function requestFields(request: http.IncomingMessage): string[] {
  const fields: string[] = [];
  const raw = request.rawHeaders;
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = raw[index] ?? "";
    if (!HOP_BY_HOP.has(name.toLowerCase())) fields.push(name, raw[index + 1] ?? "");
  }
  const { remoteAddress = "", localPort = 0 } = request.socket;
  fields.push("x-forwarded-for", remoteAddress, "x-forwarded-port", String(localPort));
  fields.push(
    "x-forwarded-proto",
    "encrypted" in request.socket ? "https" : "http",
    "x-forwarded-host",
    request.headers.host ?? "",
  );
  return fields;
}

class Forward implements Dispatcher.DispatchHandler {
  readonly #response: http.ServerResponse;

  constructor(response: http.ServerResponse) {
    this.#response = response;
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    const response = this.#response;
    response.on("drain", () => controller.resume());
    response.on("close", () => {
      if (!response.writableFinished) controller.abort(new Error("the client went away"));
    });
  }

  onResponseStart(
    _controller: Dispatcher.DispatchController,
    statusCode: number,
    headers: Record<string, string | string[] | undefined>,
  ): void {
    for (const name of HOP_BY_HOP) if (name in headers) Reflect.deleteProperty(headers, name);
    this.#response.writeHead(statusCode, headers);
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    if (!this.#response.write(chunk)) controller.pause();
  }

  onResponseEnd(): void {
    this.#response.end();
  }

  onResponseError(): void {
    if (this.#response.headersSent) this.#response.destroy();
    else this.#response.writeHead(502).end();
  }
}

function hasContent(request: http.IncomingMessage): boolean {
  return "content-length" in request.headers || "transfer-encoding" in request.headers;
}

function listener(request: http.IncomingMessage, response: http.ServerResponse): void {
  pool.dispatch(
    {
      method: request.method ?? "GET",
      path: request.url ?? "/",
      headers: requestFields(request),
      body: hasContent(request) ? request : null,
    },
    new Forward(response),
  );
}

const [, , , certificateFile = "", keyFile = ""] = process.argv;
const credentials = { cert: fs.readFileSync(certificateFile), key: fs.readFileSync(keyFile) };
const server = http.createServer(listener).listen(0, "127.0.0.1");
const tlsServer = https.createServer(credentials, listener).listen(0, "127.0.0.1");
await Promise.all([once(server, "listening"), once(tlsServer, "listening")]);
reportReady(server, tlsServer);
