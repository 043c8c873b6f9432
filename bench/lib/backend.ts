// The backend behind every proxy of the benchmarks: a fixed answer, as cheap as Node can give it, so that the
// proxies and not the backend set the pace. Its own process; started by children.ts with an IPC channel.
//
//   node bench/lib/backend.ts <content bytes> [name] [address]
//
// Reads heads with `indexOf`, skips content by Content-Length, answers pipelined requests in one write. A request
// for `/echo...` is answered with its own head, which lets the runner see what a proxy forwards.
import net from "node:net";
import { reportReady } from "./child-side.ts";

const contentBytes = Number(process.argv[2] ?? 1024);
const name = process.argv[3] ?? "backend";
const HEAD_MAX_BYTES = 64 * 1024;

/** Anything that makes a request more than a bare head on a connection that stays open. */
const SPECIAL = /^[^\r]* HTTP\/1\.0\r\n|\r\n(?:content-length:|transfer-encoding:|connection:[ \t]*close)/i;
const CONTENT_LENGTH = /\r\ncontent-length:[ \t]*(\d+)/i;
const CLOSE = /^[^\r]* HTTP\/1\.0\r\n|\r\nconnection:[ \t]*close/i;

function response(content: string, lines = ""): string {
  const date = new Date().toUTCString();
  return `HTTP/1.1 200 OK\r\nDate: ${date}\r\nContent-Type: text/plain\r\nX-Backend: ${name}\r\nContent-Length: ${content.length}\r\n${lines}\r\n${content}`;
}

const content = "x".repeat(contentBytes);
const fixed = Buffer.from(response(content), "latin1");
/** Said to whoever asks for it, or the connection would be taken for one that stays. */
const fixedClosing = Buffer.from(response(content, "Connection: close\r\n"), "latin1");

interface Connection {
  readonly socket: net.Socket;
  /** Bytes of a head that is not complete. */
  rest: string;
  /** Bytes of request content still to be skipped. */
  skipBytes: number;
}

/** Answers one head; returns false when the connection is to be closed after the answer. */
function answer(connection: Connection, head: string): boolean {
  const { socket } = connection;
  const isSpecial = SPECIAL.test(head);
  if (head.startsWith("GET /echo")) socket.write(response(head), "latin1");
  else socket.write(isSpecial && CLOSE.test(head) ? fixedClosing : fixed);
  if (!isSpecial) return true;
  const length = CONTENT_LENGTH.exec(head)?.[1];
  connection.skipBytes = length === undefined ? 0 : Number(length);
  // Chunked content is nothing these benchmarks send; closing is the honest way not to understand it.
  return !CLOSE.test(head) && !/\r\ntransfer-encoding:/i.test(head);
}

function read(connection: Connection, chunk: Buffer): void {
  let text = connection.rest + chunk.toString("latin1");
  connection.socket.cork();
  for (;;) {
    const skipped = Math.min(connection.skipBytes, text.length);
    connection.skipBytes -= skipped;
    if (skipped > 0) text = text.slice(skipped);
    const end = text.indexOf("\r\n\r\n");
    if (end < 0) break;
    if (!answer(connection, text.slice(0, end + 4))) {
      connection.socket.end();
      text = "";
      break;
    }
    text = text.slice(end + 4);
  }
  connection.rest = text;
  connection.socket.uncork();
  if (text.length > HEAD_MAX_BYTES) connection.socket.destroy();
}

const server = net.createServer({ noDelay: true }, (socket) => {
  const connection: Connection = { socket, rest: "", skipBytes: 0 };
  socket.on("data", (chunk: Buffer) => read(connection, chunk));
  // A proxy that is ended resets its connections; the runner judges by what the client saw.
  socket.on("error", () => socket.destroy());
});
server.listen(0, process.argv[4] ?? "127.0.0.1", () => reportReady(server));
