// Workers share their ports by SO_REUSEPORT, which lets any program of the same user that asks for it listen there too
// and take a part of the connections. So the ports are first bound without it: whoever listens there, in whichever way,
// makes that fail.
import { once } from "node:events";
import net from "node:net";
import { listenMessage } from "../listen-message.ts";
import type { WorkerPorts } from "./protocol.ts";

/** Rejects with the error of the first port that is taken, which names the flag. */
export async function probePorts(addresses: readonly string[], ports: WorkerPorts): Promise<void> {
  const servers: net.Server[] = [];
  try {
    for (const [flag, port] of [
      ["--http-port", ports.http],
      ["--https-port", ports.https],
    ] as const) {
      // A free one is chosen when the first worker listens; the kernel takes none that is shared.
      if (port === 0) continue;
      for (const address of addresses.length === 0 ? [undefined] : addresses) {
        const server = net.createServer((socket) => socket.destroy());
        servers.push(server);
        await listen(server, address, port).catch((cause: unknown) => {
          throw new Error(listenMessage(flag, address, port, cause), { cause });
        });
      }
    }
  } finally {
    // Together, so that one port for both listeners is told as taken.
    for (const server of servers) if (server.listening) await closed(server);
  }
}

async function listen(server: net.Server, address: string | undefined, port: number): Promise<void> {
  server.listen({ port, ...(address === undefined ? {} : { host: address }) });
  await once(server, "listening");
}

async function closed(server: net.Server): Promise<void> {
  server.close();
  await once(server, "close");
}
