// A small HTTP server that answers every request with what it received. The demo starts some, so that one sees which
// backend a request went to and what Fairway told it.
import { once } from "node:events";
import http from "node:http";
import type { AddressInfo } from "node:net";

export interface EchoBackend {
  readonly name: string;
  readonly port: number;
  close(): Promise<void>;
}

/** Listens on loopback. Rejects when the port cannot be bound. */
export async function startEchoBackend(name: string, port: number): Promise<EchoBackend> {
  const server = http.createServer((request, response) => {
    const headers = Object.fromEntries(
      Object.entries(request.headersDistinct).map(([field, values]) => [field, (values ?? []).join(", ")]),
    );
    const body = `${JSON.stringify({ backend: name, method: request.method, path: request.url, headers }, null, 2)}\n`;
    // Answered at the end of the request, so that a connection can be used again.
    request.resume();
    request.on("end", () => {
      response.writeHead(200, {
        "content-type": "application/json; charset=utf-8",
        "content-length": Buffer.byteLength(body),
      });
      response.end(body);
    });
  });
  // Longer than the proxy keeps idle connections, so that it is never the backend that closes one in use.
  server.keepAliveTimeout = 90_000;
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    name,
    port: (server.address() as AddressInfo).port,
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
