import net from "node:net";
import { expect, test } from "vitest";
import { ok, startBackend } from "../harness.ts";
import { get, startPool } from "./pool-harness.ts";

type Outcome = "answered" | "refused" | "lost";

/** One request on a connection of its own. Refused is one that was never made. */
async function attempt(port: number): Promise<Outcome> {
  const socket = net.connect({ port, host: "127.0.0.1", noDelay: true });
  let received = "";
  let isConnected = false;
  socket.on("connect", () => {
    isConnected = true;
    socket.write(get());
  });
  socket.on("data", (chunk: Buffer) => {
    received += chunk.toString("latin1");
  });
  let code: string | undefined;
  socket.on("error", (error: NodeJS.ErrnoException) => {
    code = error.code;
  });
  await new Promise<void>((resolve) => void socket.on("close", () => resolve()));
  if (received.startsWith("HTTP/1.1 200")) return "answered";
  return !isConnected && code === "ECONNREFUSED" ? "refused" : "lost";
}

const workers = 3;
const rounds = 2;
const clientsMax = 32;

/**
 * The kernel resets what comes between the last look at a queue and its close, and there is no way to do both at once
 * (`net.ipv4.tcp_migrate_req` would give it to another worker). 32 clients that connect without a pause lost 19 in a drain
 * while queues were closed as they were, and lose up to 5 now.
 */
const lostPerDrainMax = 12;

test("closing the listening sockets of all workers loses few connections, whatever arrives", async () => {
  const backend = await startBackend();
  backend.answer(() => ok());
  const outcomes: Record<Outcome, number> = { answered: 0, refused: 0, lost: 0 };
  for (let round = 0; round < rounds; round += 1) {
    const harness = await startPool([backend], { workers });
    harness.pool.startDraining();
    const client = async (): Promise<void> => {
      for (let isOver = false; !isOver;) {
        const outcome = await attempt(harness.httpPort);
        outcomes[outcome] += 1;
        isOver = outcome === "refused";
      }
    };
    const clients = Array.from({ length: clientsMax }, client);
    const before = outcomes.answered;
    while (outcomes.answered < before + 100) await new Promise(setImmediate);
    const drained = harness.pool.drain(10_000);
    await Promise.all(clients);
    expect(await drained).toBe(0);
  }
  expect(outcomes.answered).toBeGreaterThanOrEqual(rounds * 100);
  expect(outcomes.refused).toBe(rounds * clientsMax);
  expect(outcomes.lost).toBeLessThanOrEqual(rounds * lostPerDrainMax);
}, 120_000);
