// The clients of undici for one probe each: a single connection that is ours to end.
import type { buildConnector, Dispatcher } from "undici";
import type { HealthCheckSettings } from "../filter.ts";
import { ProbeSocket, type ProbeTarget } from "./probe.ts";

export const responseHeadMaxBytes = 16 * 1024;

/** With prior knowledge: for undici a socket speaks HTTP/2 when it looks as if TLS had agreed on it. */
export type Protocol = "http/1.1" | "h2";

/** Nothing of the client is left when it resolves or rejects, whatever its state was. */
export async function withClient<Outcome>(
  target: ProbeTarget,
  protocol: Protocol,
  makeClient: (connect: buildConnector.connector) => Dispatcher,
  use: (client: Dispatcher) => Promise<Outcome>,
): Promise<Outcome> {
  // undici asks again after a connection has failed; the first answer is the one that counts.
  const sockets: ProbeSocket[] = [];
  const client = makeClient((_, callback) => {
    sockets.push(
      new ProbeSocket(target, (error, socket) => {
        if (error === null) callback(null, Object.assign(socket, { alpnProtocol: protocol }));
        else callback(error, null);
      }),
    );
  });
  try {
    return await use(client);
  } finally {
    for (const socket of sockets) socket.destroy();
    await client.destroy();
  }
}

export function originOf({ address, port }: ProbeTarget): string {
  return `http://${authorityOf(address, port)}`;
}

export function probeFields({ host }: HealthCheckSettings): Record<string, string> {
  const agent = { "user-agent": "fairway-health-check" };
  return host === "" ? agent : { ...agent, host };
}

function authorityOf(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
