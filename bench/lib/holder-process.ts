// The process of holder.ts, with an IPC channel, so that what connections take here is nobody else's.
import { once } from "node:events";
import net from "node:net";
import tls from "node:tls";
import { endWithRunner } from "./child-side.ts";
import type { HolderCommand, HolderReply } from "./holder.ts";

/** At a time. */
const CONCURRENCY = 20;
const held = new Set<net.Socket>();

async function open({ port, isTls, host, path }: HolderCommand): Promise<void> {
  const target = { host: "127.0.0.1", port };
  const socket = isTls
    ? tls.connect({ ...target, servername: host, rejectUnauthorized: false })
    : net.connect(target);
  held.add(socket);
  // The runner judges by how many are left.
  socket.on("error", () => undefined);
  socket.on("close", () => held.delete(socket));
  const { promise: answered, resolve } = Promise.withResolvers<void>();
  socket.on("close", () => resolve());
  socket.write(`GET ${path} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
  let bytes = 0;
  let length = -1;
  let head = "";
  socket.on("data", (chunk: Buffer) => {
    bytes += chunk.length;
    if (length < 0) {
      head += chunk.toString("latin1");
      const end = head.indexOf("\r\n\r\n");
      if (end >= 0) length = end + 4 + Number(/\r\ncontent-length: (\d+)/i.exec(head)?.[1]);
    }
    if (bytes === length) resolve();
  });
  await answered;
}

async function hold(command: HolderCommand): Promise<HolderReply> {
  if (command.count === 0) {
    const closed = [...held].map((socket) => once(socket, "close"));
    for (const socket of held) socket.destroy();
    await Promise.all(closed);
  }
  let missing = command.count - held.size;
  const worker = async (): Promise<void> => {
    while (missing > 0) {
      missing -= 1;
      await open(command);
    }
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
  return { open: held.size };
}

process.on("message", (message) => {
  // The runner sends nothing else. A failure would end this process, which the runner sees.
  void hold(message as HolderCommand).then((reply) => process.send?.(reply));
});
endWithRunner();
