// A backend of the slow attacks: answers once it has a whole request, always with as many bytes as its argument says.
// Its own process; started by children.ts with an IPC channel.
import http from "node:http";
import { reportReady } from "../lib/child-side.ts";

/** One for all responses: what waits to be written holds no memory of its own. */
const content = Buffer.alloc(Number(process.argv[2] ?? 1024), "x");

const server = http.createServer({ keepAliveTimeout: 0, requestTimeout: 0 }, (request, response) => {
  // A proxy that gives a request up ends its connection; the runner judges by what clients saw.
  request.on("error", () => undefined);
  request.resume();
  request.on("end", () => {
    response.setHeader("Content-Length", content.length);
    response.end(content);
  });
});
server.listen(0, "127.0.0.1", () => reportReady(server));
