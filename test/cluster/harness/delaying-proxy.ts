// A TCP proxy in front of the API server that makes it slow, or cuts it off.
import { once } from "node:events";
import net from "node:net";

export class DelayingProxy {
  readonly #server: net.Server;
  readonly #sockets = new Set<net.Socket>();
  /** What comes from the API server arrives this much later. */
  delayMs = 0;
  /** False: new connections are closed at once. */
  isOpen = true;

  static async start(targetPort: number): Promise<DelayingProxy> {
    const proxy = new DelayingProxy(targetPort);
    proxy.#server.listen(0, "127.0.0.1");
    await once(proxy.#server, "listening");
    return proxy;
  }

  private constructor(targetPort: number) {
    this.#server = net.createServer((client) => {
      if (!this.isOpen) {
        client.on("error", () => undefined);
        client.destroy();
        return;
      }
      const target = net.connect(targetPort, "127.0.0.1");
      for (const socket of [client, target]) {
        this.#sockets.add(socket);
        socket.on("error", () => undefined);
        socket.on("close", () => {
          this.#sockets.delete(socket);
          client.destroy();
          target.destroy();
        });
      }
      client.pipe(target);
      // In order, since all wait equally long.
      target.on("data", (chunk) => setTimeout(() => client.writable && client.write(chunk), this.delayMs));
      target.on("end", () => setTimeout(() => client.end(), this.delayMs));
    });
  }

  get port(): number {
    return (this.#server.address() as net.AddressInfo).port;
  }

  /** Resets what is there; new connections are taken when `isOpen`. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async stop(): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    this.cut();
    await closed;
  }
}
