// Starts the built program, whose worker threads run another file than those of a checkout, and ends it. Run by .ci/run
// after the build:
//   node test/readme/built.ts
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

const program = fileURLToPath(new URL("../../dist/cli/main.js", import.meta.url));
const manifests = fileURLToPath(new URL("../../deploy/demo", import.meta.url));
const ports = ["--http-port=0", "--https-port=0", "--healthz-port=0", "--bind-address=127.0.0.1"];
const child = spawn(
  process.execPath,
  [program, "controller", "--manifests", manifests, "--workers=2", "--allow-loopback-upstreams", ...ports],
  { stdio: ["ignore", "ignore", "pipe"] },
);
const exited = once(child, "exit");
const timer = setTimeout(() => child.kill("SIGKILL"), 30_000);
let printed = "";
child.stderr.on("data", (chunk: Buffer) => {
  printed += String(chunk);
  if (!child.killed && /serving HTTP on port \d+/.test(printed)) child.kill("SIGTERM");
});
const [code] = (await exited) as [number | null];
clearTimeout(timer);
assert.match(printed, /table 1 is in use/);
assert.equal(code, 0, printed);
console.log("ok: the built program serves and ends");
