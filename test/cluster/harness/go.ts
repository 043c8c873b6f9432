// A Go that is new enough for Kubernetes: the one on PATH, or the toolchain that it can bring from the module proxy.
import { spawnSync } from "node:child_process";
import { chmodSync, readdirSync, readFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";

const goMod = fileURLToPath(new URL("../control-plane/go.mod", import.meta.url));
/** Brought when the machine's Go is older than go.mod asks for. */
const toolchain = "go1.26.8";

export interface Go {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
}

/** Throws with what to do when there is none. */
export function findGo(say: (line: string) => void): Go {
  const wanted = /^go (\d+)\.(\d+)/m.exec(readFileSync(goMod, "utf8"));
  const { stdout, error } = spawnSync("go", ["env", "GOVERSION"], { encoding: "utf8", cwd: os.tmpdir() });
  if (error !== undefined || wanted === null) {
    throw new Error(
      `Go is missing: the tests against a real Kubernetes API server build one. Install Go ${wanted?.slice(1).join(".")} or newer (https://go.dev/dl), or any Go from your distribution, which then brings ${toolchain} itself.`,
    );
  }
  const found = /^go(\d+)\.(\d+)/.exec(stdout.trim());
  const isNewEnough =
    found !== null &&
    (Number(found[1]) > Number(wanted[1]) ||
      (found[1] === wanted[1] && Number(found[2]) >= Number(wanted[2])));
  if (isNewEnough) return { command: "go", env: {} };
  say(`the machine has ${stdout.trim()}; bringing ${toolchain}`);
  return bringToolchain();
}

/** A toolchain is a module like any other, so an old Go can fetch it, though only a newer one would run it itself. */
function bringToolchain(): Go {
  const architectures: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
  const platform = `${process.platform}-${architectures[process.arch] ?? process.arch}`;
  const module = `golang.org/toolchain@v0.0.1-${toolchain}.${platform}`;
  // Outside any module: an old Go could not read our go.mod.
  const { status, stdout, stderr } = spawnSync("go", ["mod", "download", "-json", module], {
    encoding: "utf8",
    cwd: os.tmpdir(),
    env: { ...process.env, GO111MODULE: "on", GOFLAGS: "-mod=mod" },
  });
  if (status !== 0) throw new Error(`cannot bring ${module}: ${stderr.trim() || stdout.trim()}`);
  const { Dir: directory } = JSON.parse(stdout) as { Dir: string };
  // Modules carry no execute permissions.
  const tools = path.join(directory, "pkg", "tool", platform.replace("-", "_"));
  for (const folder of [path.join(directory, "bin"), tools]) {
    makeExecutable(folder);
  }
  return { command: path.join(directory, "bin", "go"), env: { GOTOOLCHAIN: "local", GOROOT: directory } };
}

function makeExecutable(folder: string): void {
  chmodSync(folder, 0o755);
  for (const name of readdirSync(folder)) chmodSync(path.join(folder, name), 0o755);
}
