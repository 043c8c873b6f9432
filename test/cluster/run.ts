// `npm run test:cluster`: builds the control plane, helm and kubectl, and runs the suite in a network namespace of its own, where every
// address of a pod is local. All processes are in a namespace of theirs too, so that none can outlive the run.
//   node test/cluster/run.ts [arguments of vitest]
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { buildProgram, type ProgramName } from "./harness/binary.ts";
import { podNetwork } from "./harness/pods.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));

/** `unshare` and `ip` are of Debian's packages util-linux and iproute2. */
const inNamespace = `
  ip link set lo up
  ip route add local ${podNetwork} dev lo
  exec "$@"
`;

function namespaceFlags(): readonly string[] {
  const isolated = ["--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
  // Without root a user namespace gives the right to the others, where the system allows that.
  const flags = process.getuid?.() === 0 ? isolated : ["--map-root-user", "--mount", ...isolated];
  const { status, stderr, error } = spawnSync("unshare", [...flags, "ip", "link", "set", "lo", "up"], {
    encoding: "utf8",
  });
  if (status === 0) return flags;
  fail(
    `cannot make a network namespace: it takes root (or user namespaces), unshare of util-linux and ip of iproute2: ${error?.message ?? stderr.trim()}`,
  );
}

function build(name: ProgramName): Promise<string> {
  return buildProgram(name, (line) => console.log(line)).catch((cause: unknown) =>
    fail(cause instanceof Error ? cause.message : String(cause)),
  );
}

function fail(message: string): never {
  console.error(`test:cluster: ${message}`);
  process.exit(1);
}

const flags = namespaceFlags();
const controlPlane = await build("control-plane");
const tools = await build("tools");
const command = [process.execPath, vitest, "run", "--config", "test/cluster/vitest.config.ts"];
const child = spawn(
  "unshare",
  [...flags, "sh", "-euc", inNamespace, "sh", ...command, ...process.argv.slice(2)],
  {
    cwd: root,
    stdio: "inherit",
    env: { ...process.env, FAIRWAY_CONTROL_PLANE: controlPlane, FAIRWAY_TOOLS: tools },
  },
);
for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => child.kill(signal));
const [code] = await once(child, "exit");
process.exitCode = typeof code === "number" ? code : 1;
