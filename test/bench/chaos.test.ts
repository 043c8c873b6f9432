import { spawn } from "node:child_process";
import { once } from "node:events";
import { expect, test } from "vitest";
import {
  accountOfBackends,
  accountOfWorker,
  doubles,
  problems,
  readRecord,
} from "../../bench/chaos/account.ts";
import type { Failure } from "../../bench/chaos/messages.ts";

function failure(id: string, more: Partial<Failure> = {}): Failure {
  return { id, method: "GET", sentAt: 990, failedAt: 1010, localPort: 1, what: "socket hang up", ...more };
}

test("what was at the dead backend without an answer is excused, and nothing else", () => {
  const dead = readRecord("get a\nanswered a\nget b\npost c\n");
  const living = readRecord("get d\nanswered d\nget e\n");
  const death = { killedAt: 1000, goneAt: 1000, dead: [dead], living: [living] };
  const excused = [failure("b"), failure("c"), failure("unread")];
  const others = [
    failure("a"),
    failure("e"),
    failure("b", { failedAt: 999 }),
    failure("unread", { sentAt: 1200, failedAt: 1201 }),
  ];
  const account = accountOfBackends("one", { requests: 9, failures: [...excused, ...others] }, death);
  expect(account).toMatchObject({ failed: 7, inFlight: 3 });
  expect(account.unexcused.length).toBe(4);
  expect(problems([account], []).length).toBe(1);
});

test("what was on a connection of the dead worker is excused, and nothing else", () => {
  const load = { requests: 9, failures: [failure("a"), failure("b", { localPort: 2 })] };
  const account = accountOfWorker("worker", load, { killedAt: 1000, ports: new Set([1, 3]) });
  expect(account.unexcused).toEqual(["GET b: socket hang up after 20 ms"]);
});

test("a POST that came to two backends is found", () => {
  expect(doubles([readRecord("post a\nget b\n"), readRecord("get b\npost a\npost c\n")])).toEqual(["a"]);
});

test("killing a worker, a backend and half of the endpoints under load loses what was in flight there, no more", async () => {
  const args = ["--rounds=1", "--milliseconds=250", "--backends=5", "--connections=12"];
  const child = spawn(process.execPath, ["bench/chaos.ts", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => {
      output += chunk.toString("utf8");
    });
  }
  const [code] = await once(child, "exit");
  expect(code, output).toBe(0);
}, 120_000);
