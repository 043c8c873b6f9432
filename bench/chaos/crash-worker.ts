// Preloaded into every thread of the real program (NODE_OPTIONS=--import): on SIGUSR2 worker 0 writes down which clients
// it serves, and throws. For everything else the program is as it is.
import fs from "node:fs";
import net from "node:net";
import { BroadcastChannel, isMainThread, workerData } from "node:worker_threads";

const RECORD = "FAIRWAY_CHAOS_RECORD";
const channel = new BroadcastChannel("fairway chaos");
channel.unref();

/** Open sockets of this thread. Not documented, and there is no other way to know them from outside. */
function sockets(): net.Socket[] {
  const handles = (process as unknown as { _getActiveHandles(): unknown[] })._getActiveHandles();
  return handles.filter((handle) => handle instanceof net.Socket);
}

const record = process.env[RECORD];
if (record === undefined) {
  // Some other Node process that inherited the option.
} else if (isMainThread) {
  process.on("SIGUSR2", () => channel.postMessage(null));
} else if ((workerData as { worker?: number } | null)?.worker === 0) {
  channel.addEventListener("message", () => {
    const ports = sockets().map(({ localPort, remotePort }) => `${localPort} ${remotePort}`);
    fs.writeFileSync(record, ports.join("\n"));
    throw new Error("a crash that the benchmark asked for");
  });
}
