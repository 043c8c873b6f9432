// Runs the README's first command as a user would: starts the demo, runs every curl line it prints as it stands, checks
// that each gives what its comment says, edits a manifest, and ends the demo by Ctrl-C and by a signal to npm alone.
// Run by .ci/run:
//   node test/readme/smoke.ts
// Uses the demo's own ports (8080, 8443, 10254 and those of its backends), which must be free.
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import net from "node:net";
import { promisify } from "node:util";
import { demoBackends } from "../../src/cli/demo.ts";

const run = promisify(execFile);
const startTimeoutMs = 30_000;

/** What the comment above a curl line promises, and how its output shows it. First match counts. */
const promises: readonly (readonly [RegExp, (output: string) => void])[] = [
  [/^about 10 of 100/, (output) => assert.ok(Number(output) >= 1 && Number(output) <= 30, output)],
  [/^404/, (output) => assert.equal(output.trim(), "404")],
  [/^308 to (\S+),/, (output) => assert.match(output, /^308 https:\/\/shop\.localhost\/?\n$/)],
  [/^backend api-canary/, (output) => assert.equal(backendOf(output), "api-canary")],
  [/^backend api, or api-canary/, (output) => assert.match(backendOf(output), /^api(-canary)?$/)],
  [/^backend api\b/, (output) => assert.equal(backendOf(output), "api")],
  [/^backend apps/, (output) => assert.equal(backendOf(output), "apps")],
  [/^backend web-1 or web-2/, (output) => assert.match(backendOf(output), /^web-[12]$/)],
];

function backendOf(output: string): string {
  const answer: unknown = JSON.parse(output);
  assert.ok(typeof answer === "object" && answer !== null && "backend" in answer, output);
  return String(answer.backend);
}

/** Starts the demo and resolves with all it printed up to its last line. */
async function startDemo(command: string, args: string[]): Promise<{ demo: ChildProcess; printed: string }> {
  const demo = spawn(command, args, { stdio: ["ignore", "pipe", "inherit"], detached: true });
  let printed = "";
  // Broken off by the loop below; what is printed later is not read.
  demo.stdout?.on("error", () => {});
  const timer = setTimeout(() => demo.kill("SIGKILL"), startTimeoutMs);
  for await (const chunk of demo.stdout ?? []) {
    printed += String(chunk);
    if (/^End: /m.test(printed)) break;
  }
  clearTimeout(timer);
  assert.match(printed, /^End: /m, `${command} ended before it was ready`);
  return { demo, printed };
}

async function checkLines(printed: string): Promise<number> {
  const lines = printed.split("\n").map((line) => line.trim());
  let checked = 0;
  for (const [index, line] of lines.entries()) {
    if (!line.startsWith("curl ") && !line.startsWith("for ")) continue;
    const promise = (lines[index - 1] ?? "").replace(/^# /, "");
    const check = promises.find(([pattern]) => pattern.test(promise))?.[1];
    assert.ok(check !== undefined, `no check for the promise "${promise}"`);
    // From wherever the user is.
    const { stdout } = await run("bash", ["-c", line], { cwd: "/" });
    check(stdout);
    checked += 1;
    console.log(`ok: ${promise}`);
  }
  return checked;
}

/** A change of the weight to all of it is live without a restart, and back. */
async function checkEdit(): Promise<void> {
  const file = "deploy/demo/ingresses.yaml";
  const before = await readFile(file, "utf8");
  const after = before.replace(/(canary-weight: )"10"/, '$1"100"');
  assert.notEqual(after, before, "the demo has no canary-weight of 10");
  const request = ["-sk", "--resolve", "shop.localhost:8443:127.0.0.1", "https://shop.localhost:8443/api/x"];
  await writeFile(file, after);
  try {
    const deadline = Date.now() + 5_000;
    for (let inARow = 0; inARow < 10;) {
      assert.ok(Date.now() < deadline, "the edit is not live after 5 s");
      const { stdout } = await run("curl", request);
      inARow = backendOf(stdout) === "api-canary" ? inARow + 1 : 0;
    }
  } finally {
    await writeFile(file, before);
  }
  console.log("ok: an edit of the canary's weight is live");
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1");
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

/** `npm start` passes a signal on to the program, and leaves nothing behind. */
async function checkNpmPassesOn(): Promise<void> {
  const { demo: child } = await startDemo("npm", ["start"]);
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
  const deadline = Date.now() + 5_000;
  for (const port of [8080, 8443, 10254, ...Object.values(demoBackends)]) {
    while (await isTaken(port)) {
      assert.ok(Date.now() < deadline, `npm start leaves port ${port} taken when it is ended`);
    }
  }
  console.log("ok: npm start passes SIGTERM on");
}

/** npm ends by the signal itself whatever its child does, so the program's own exit code is judged without npm. */
async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<readonly unknown[]> {
  const exited = once(child, "exit");
  // As Ctrl-C does, to the whole process group.
  process.kill(-(child.pid ?? 0), signal);
  return await exited;
}

const { demo, printed } = await startDemo("npm", ["start"]);
try {
  const checked = await checkLines(printed);
  assert.ok(checked >= 8, `only ${checked} curl lines were printed`);
  await checkEdit();
} finally {
  await end(demo, "SIGINT");
}
for (const signal of ["SIGINT", "SIGTERM"] as const) {
  // Its ports are free again, or this one could not start.
  const { demo: again } = await startDemo("bin/fairway", ["demo"]);
  assert.deepEqual(await end(again, signal), [0, null], `${signal} does not end the demo cleanly`);
  console.log(`ok: ${signal} ends the demo with exit code 0`);
}
await checkNpmPassesOn();
