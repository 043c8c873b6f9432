// Versions of what is measured belong to every figure.
import { spawnSync } from "node:child_process";
import fs from "node:fs";

/** Of a package that is installed here, or of Fairway without a name. */
export function packageVersion(name?: string): string {
  const file = name === undefined ? "../../package.json" : `../../node_modules/${name}/package.json`;
  const text = fs.readFileSync(new URL(file, import.meta.url), "utf8");
  // A package.json always has a version.
  return (JSON.parse(text) as { version: string }).version;
}

/** Undefined: it is not installed. */
export function programVersion(command: string, argument: string): string | undefined {
  const probe = spawnSync(command, [argument], { encoding: "utf8" });
  if (probe.error !== undefined) return undefined;
  return /\d+\.\d+\.\d+/.exec(probe.stdout + probe.stderr)?.[0] ?? "unknown";
}
