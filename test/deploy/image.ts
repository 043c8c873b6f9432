// Makes the image by the steps of the Dockerfile, without an engine, and runs it as a pod of the restricted kind would:
// its own root file system, read-only, as an unprivileged user without capabilities. Needs root. Run by .ci/run:
//   node test/deploy/image.ts
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { buildImage, type Image } from "./dockerfile.ts";

const context = fileURLToPath(new URL("../../", import.meta.url));
const sizeMaxMiB = 200;

/** A process namespace too, so that nothing of it outlives the script; and a network in which every port is free. */
const isolated = ["--mount", "--net", "--pid", "--fork", "--kill-child"];
const mountAndRun = `
  mount --bind "$ROOT" "$ROOT"
  mount --bind "$MANIFESTS" "$ROOT/manifests"
  mount -o remount,bind,ro "$ROOT"
  mount -t proc proc "$ROOT/proc"
  echo "$FIRST_PORT" >/proc/sys/net/ipv4/ip_unprivileged_port_start
  exec setpriv --no-new-privs --inh-caps=-all --bounding-set="-all,+setuid,+setgid,+sys_chroot$CAPABILITIES" \
    chroot --userspec="$IMAGE_USER" "$ROOT" "$@"
`;

/** What the kubelet makes of a pod. */
interface Pod {
  readonly user?: string;
  /** Beyond none: `,+net_bind_service`. */
  readonly capabilities?: string;
  /** The first port that takes no capability. */
  readonly firstPort?: number;
}

interface Ended {
  readonly code: number | null;
  readonly stderr: string;
}

/** Until it ends, or until it says `until`, when it is told to end. */
async function run(image: Image, words: readonly string[], until: RegExp, pod: Pod = {}): Promise<Ended> {
  const child = spawn("unshare", [...isolated, "sh", "-euc", mountAndRun, "sh", ...words], {
    stdio: ["ignore", "inherit", "pipe"],
    env: {
      PATH: process.env["PATH"],
      ROOT: image.root,
      IMAGE_USER: pod.user ?? image.user,
      CAPABILITIES: pod.capabilities ?? "",
      FIRST_PORT: String(pod.firstPort ?? 1024),
      MANIFESTS: path.join(context, "deploy/demo"),
    },
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), 60_000);
  let stderr = "";
  let isTold = false;
  child.stderr.on("data", (chunk: Buffer) => {
    stderr += String(chunk);
    if (isTold || !until.test(stderr)) return;
    isTold = true;
    // The first process of the namespace, which a signal to unshare does not reach.
    const children = readFileSync(`/proc/${child.pid}/task/${child.pid}/children`, "utf8").trim();
    process.kill(Number(children), "SIGTERM");
  });
  const [code] = (await once(child, "close")) as [number | null];
  clearTimeout(timer);
  return { code, stderr };
}

const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-image-"));
try {
  const image = buildImage(readFileSync(path.join(context, "Dockerfile"), "utf8"), context, directory);
  const content = readdirSync(image.root, { recursive: true, encoding: "utf8" });
  const tools = /(^|\/)(sh|bash|npm|apt|typescript|vitest|tsconfig\.json)$|^app\/(src|dist\/.*\.ts$)/;
  assert.deepEqual(content.find((file) => tools.test(file)) ?? null, null, "of no use in the image");
  const mebibytes = Number(execFileSync("du", ["-sm", image.root], { encoding: "utf8" }).split("\t")[0]);
  assert.ok(mebibytes <= sizeMaxMiB, `the image takes ${mebibytes} MiB`);
  // Made by the kubelet, as mount points.
  for (const name of ["proc", "manifests"]) mkdirSync(path.join(image.root, name));

  const serve = async (http: number, https: number, pod?: Pod): Promise<Ended> => {
    const ports = [`--http-port=${http}`, `--https-port=${https}`];
    const words = [...image.entrypoint, "controller", "--manifests=/manifests", "--workers=2", ...ports];
    return await run(image, words, /serving HTTP on port \d+/, pod);
  };
  // As the variants of the chart: by default, with low ports, and with low ports in the network of the node.
  const netBind = { user: "0:0", capabilities: ",+net_bind_service" };
  for (const [http, https, pod] of [
    [8080, 8443, {}],
    [80, 443, { firstPort: 0 }],
    [80, 443, netBind],
  ] as const) {
    const { code, stderr } = await serve(http, https, pod);
    assert.match(stderr, /table 1 is in use/);
    assert.equal(code, 0, stderr);
  }
  const refused = await serve(80, 443);
  assert.match(refused.stderr, /EACCES/);
  assert.notEqual(refused.code, 0);

  // The client of kubeconfig files is whole: it is loaded before the file is looked for.
  const words = [...image.entrypoint, "controller", "--kubeconfig=/nowhere", "--http-port=8080"];
  const lost = await run(image, words, /$^/);
  assert.match(lost.stderr, /cannot read --kubeconfig \/nowhere \(ENOENT\)/);
  assert.notEqual(lost.code, 0);

  const probe = `
    const fs = require("node:fs");
    const status = fs.readFileSync("/proc/self/status", "utf8");
    const failure = (attempt) => { try { attempt(); return "none"; } catch (cause) { return cause.code; } };
    console.error(JSON.stringify({
      user: process.getuid(),
      capabilities: /CapEff:\\s*(\\w+)/.exec(status)[1],
      write: failure(() => fs.writeFileSync("/app/x", "")),
    }));`;
  const seen = await run(image, [image.entrypoint[0] ?? "", "-e", probe], /$^/);
  assert.deepEqual(JSON.parse(seen.stderr), { user: 65532, capabilities: "0".repeat(16), write: "EROFS" });
  console.log(`ok: the image serves and ends, read-only and unprivileged (${mebibytes} MiB unpacked)`);
} finally {
  rmSync(directory, { recursive: true, force: true });
}
