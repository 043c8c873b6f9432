// The program with etcd, API server and controller manager: built by Go once for each version of its sources, and kept
// outside the tree.
import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { findGo } from "./go.ts";

const sources = fileURLToPath(new URL("../control-plane/", import.meta.url));
const fileNames = ["go.mod", "go.sum", "main.go"];

/** Its path. Takes about 8 minutes on 2 cores when nothing of it has been compiled before. */
export async function buildControlPlane(say: (line: string) => void): Promise<string> {
  const hash = createHash("sha256");
  for (const name of fileNames) hash.update(readFileSync(path.join(sources, name)));
  const cache = path.join(process.env["XDG_CACHE_HOME"] || path.join(os.homedir(), ".cache"), "fairway");
  const binary = path.join(cache, `control-plane-${hash.digest("hex").slice(0, 16)}`);
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

/** The program that `npm run test:cluster` has built. */
export function controlPlaneBinary(): string {
  const binary = process.env["FAIRWAY_CONTROL_PLANE"] ?? "";
  if (binary === "") throw new Error("these tests need a control plane: run them by `npm run test:cluster`");
  return binary;
}
