// What the admin port and the webhook, servers for a few well-known clients, have in common: binding, a bound on
// connections, and an end that leaves nothing open.
import { once } from "node:events";
import type http from "node:http";
import type https from "node:https";
import type { AddressInfo, Socket } from "node:net";

export class SmallServer {
  readonly #server: http.Server | https.Server;
  readonly #connectionsMax: number;
  /** Oldest first. */
  readonly #connections = new Set<Socket>();

  /** Beyond `connectionsMax` the oldest connection goes, so that nobody keeps others out by sitting on connections. */
  constructor(server: http.Server | https.Server, connectionsMax: number) {
    this.#server = server;
    this.#connectionsMax = connectionsMax;
    server.on("connection", (socket: Socket) => this.#onConnection(socket));
  }

  /** `host` empty: all addresses. Rejects when the port cannot be bound. */
  async listen({ port, host }: { readonly port: number; readonly host: string }): Promise<AddressInfo> {
    this.#server.listen({ port, ...(host === "" ? {} : { host }) });
    await once(this.#server, "listening");
    // Of a TCP port it is never a path or null.
    return this.#server.address() as AddressInfo;
  }

  /** At once; a TLS handshake under way is no connection that Node would end itself. */
  async close(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const socket of this.#connections) socket.destroy();
    await closed;
  }

  #onConnection(socket: Socket): void {
    this.#connections.add(socket);
    socket.once("close", () => this.#connections.delete(socket));
    if (this.#connections.size <= this.#connectionsMax) return;
    const [oldest] = this.#connections;
    oldest?.destroy();
  }
}
