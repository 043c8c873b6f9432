// The endpoint of bench:bodies. GET /length/BYTES and /chunks/BYTES answer with so much content; PUT reads what comes,
// stops for a while half-way, and answers with the number of bytes. Its own process; started by children.ts with an IPC channel.
import http from "node:http";
import { Readable } from "node:stream";
import { reportReady } from "../lib/child-side.ts";
import { PIECE, STALL_MS } from "./stream.ts";

function* pieces(bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= PIECE.length)
    yield PIECE.subarray(0, Math.min(left, PIECE.length));
}

const server = http.createServer({ requestTimeout: 0 }, (request, response) => {
  // A proxy that gives up is found out by the runner.
  request.on("error", () => undefined);
  if (request.method === "GET") {
    const [, framing, bytes] = (request.url ?? "").split("/");
    if (framing === "length") response.setHeader("Content-Length", Number(bytes));
    Readable.from(pieces(Number(bytes)), { objectMode: false }).pipe(response);
    return;
  }
  const half = Number(request.headers["x-bytes"]) / 2;
  let received = 0;
  request.on("data", (piece: Buffer) => {
    if (received < half && received + piece.length >= half) {
      request.pause();
      setTimeout(() => request.resume(), STALL_MS);
    }
    received += piece.length;
  });
  request.on("end", () => response.end(String(received)));
});
server.listen(0, "127.0.0.1", () => reportReady(server));
