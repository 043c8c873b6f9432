// The backend of the slow attacks: answers once it has a whole request, `/large` with much more than all buffers on the
// way can hold. Its own process; started by children.ts with an IPC channel.
import http from "node:http";
import { reportReady } from "../child-side.ts";

const LARGE_BYTES = 64 * 1024 * 1024;
const small = Buffer.alloc(1024, "x");
/** One for all responses: what waits to be written holds no memory of its own. */
const large = Buffer.alloc(LARGE_BYTES, "x");

const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  // A proxy that gives a request up ends its connection; the runner judges by what clients saw.
  request.on("error", () => undefined);
  request.resume();
  request.on("end", () => {
    const content = request.url === "/large" ? large : small;
    response.setHeader("Content-Length", content.length);
    response.end(content);
  });
});
server.listen(0, "127.0.0.1", () => reportReady(server));
