// Programs of others that tests run, made from their Go modules: the control plane (etcd, API server and controller
// manager) and the tools (helm and kubectl). Each is built once for each version of its sources, and kept outside the tree.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findGo } from "./go.ts";

/** Each is a folder of its own under test/cluster. */
export type ProgramName = "control-plane" | "tools";

const fileNames = ["go.mod", "go.sum", "main.go"];

/** Its path. Takes minutes when nothing of it has been compiled before: about 8 for the control plane, on 2 cores. */
export async function buildProgram(name: ProgramName, say: (line: string) => void): Promise<string> {
  const sources = fileURLToPath(new URL(`../${name}/`, import.meta.url));
  const hash = createHash("sha256");
  for (const file of fileNames) hash.update(readFileSync(path.join(sources, file)));
  const cache = path.join(process.env["XDG_CACHE_HOME"] || path.join(os.homedir(), ".cache"), "fairway");
  const binary = path.join(cache, `${name}-${hash.digest("hex").slice(0, 16)}`);
  if (existsSync(binary)) return binary;
  const go = findGo(say);
  mkdirSync(cache, { recursive: true });
  const unfinished = `${binary}.${process.pid}`;
  say(`building ${binary}: this takes minutes the first time`);
  const startedAt = performance.now();
  try {
    const child = spawn(go.command, ["build", "-trimpath", "-ldflags=-s -w", "-o", unfinished, "."], {
      cwd: sources,
      env: { ...process.env, ...go.env },
      stdio: ["ignore", "inherit", "inherit"],
    });
    const [code] = await once(child, "exit");
    if (code !== 0) throw new Error(`go build ended with ${code}`);
    renameSync(unfinished, binary);
  } finally {
    rmSync(unfinished, { force: true });
  }
  say(`built in ${Math.round((performance.now() - startedAt) / 1000)} s`);
  return binary;
}

export function controlPlaneBinary(): string {
  return binaryOf("FAIRWAY_CONTROL_PLANE");
}

export function toolsBinary(): string {
  return binaryOf("FAIRWAY_TOOLS");
}

/** What run.ts has built. */
function binaryOf(variable: string): string {
  const binary = process.env[variable] ?? "";
  if (binary === "") throw new Error("these tests need a control plane: run them by `npm run test:cluster`");
  return binary;
}
