// What the benchmark programs that are ours do as child processes: say which port they took, end with the runner.
import type net from "node:net";

/** Message of a child to the runner once it accepts connections. */
export interface ReadyMessage {
  readonly port: number;
  /** NaN from servers without TLS. */
  readonly tlsPort: number;
}

/** Tells the runner the ports over IPC, and ends this process when the runner is gone, however it went. */
export function reportReady(server: net.Server, tlsServer?: net.Server): void {
  endWithRunner();
  const message: ReadyMessage = {
    port: portOf(server),
    tlsPort: tlsServer === undefined ? Number.NaN : portOf(tlsServer),
  };
  if (process.send === undefined) console.log(`listening on 127.0.0.1:${message.port}`);
  else process.send(message);
}

function portOf(server: net.Server): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the server has no TCP port");
  return address.port;
}

export function endWithRunner(): void {
  process.on("disconnect", () => process.exit(0));
  // Ctrl-C reaches the whole process group; the runner decides when its children end.
  if (process.send !== undefined) process.on("SIGINT", () => {});
}
