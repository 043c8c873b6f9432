// helm and kubectl, the real ones, as processes.
import { spawn } from "node:child_process";
import { once } from "node:events";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { toolsBinary } from "./binary.ts";

export const root = fileURLToPath(new URL("../../../", import.meta.url));
export const chart = fileURLToPath(new URL("../../../deploy/chart/fairway", import.meta.url));

export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface CommandOptions {
  readonly input?: string;
  readonly kubeconfig?: string;
  readonly binary?: string;
}

/** Resolves however the program ends. */
export async function tryTool(
  tool: "helm" | "kubectl",
  args: readonly string[],
  { input = "", kubeconfig = "", binary = toolsBinary() }: CommandOptions = {},
): Promise<Finished> {
  // Whatever they keep for themselves goes with the control plane, whose kinds kubectl remembers by its address.
  const home = path.dirname(kubeconfig === "" ? binary : kubeconfig);
  const child = spawn(binary, [tool, ...args], {
    cwd: root,
    stdio: ["pipe", "pipe", "pipe"],
    env: { PATH: process.env["PATH"] ?? "", HOME: home, KUBECONFIG: kubeconfig },
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text));
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text));
  child.stdin.end(input);
  const [code] = (await once(child, "close")) as [number | null];
  return { code: code ?? 1, stdout, stderr };
}

/** What it prints. Rejects when it fails. */
export async function runTool(
  tool: "helm" | "kubectl",
  args: readonly string[],
  options?: CommandOptions,
): Promise<string> {
  const { code, stdout, stderr } = await tryTool(tool, args, options);
  if (code !== 0) throw new Error(`${tool} ${args.join(" ")} ended with ${code}:\n${stderr}${stdout}`);
  return stdout;
}
