// docs/migrate.md, command by command, against a cluster with what the chart of ingress-nginx leaves in it. Pods are made
// by the real controllers, but nothing runs in them; so commands that reach into a pod (port-forward) are left out.
import { execFile } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, expect, test } from "vitest";
import { toolsBinary } from "../harness/binary.ts";
import { useCluster } from "../harness/cluster.ts";
import { eventually } from "../harness/eventually.ts";
import type { Fairway } from "../harness/fairway.ts";
import { Kubelet } from "../harness/kubelet.ts";
import { ingressBody } from "../harness/pods.ts";
import { root, runTool } from "../harness/tools.ts";
import type { PodTemplate } from "./variants.ts";

const cluster = useCluster();
const user = "system:serviceaccount:ingress-nginx:fairway";
const namespace = "ingress-nginx";
/** Like a checkout, in which files may be left. */
const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-migrate-"));
let kubelet: Kubelet | null = null;

beforeAll(async () => {
  const { objects, pods, plane } = cluster;
  for (const name of ["deploy", "bin", "package.json"])
    symlinkSync(path.join(root, name), path.join(directory, name));
  mkdirSync(path.join(directory, "path"));
  for (const tool of ["helm", "kubectl"]) {
    const file = path.join(directory, "path", tool);
    writeFileSync(file, `#!/bin/sh\nexec "${toolsBinary()}" ${tool} "$@"\n`);
    chmodSync(file, 0o755);
  }
  await objects.delete("IngressClass", "", "nginx");
  for (const name of ["apps", namespace]) await objects.namespace(name);
  await pods.service("apps", "web");
  await objects.create("Ingress", "apps", "web", ingressBody("web.example", "web"));
  const chart = path.join(root, "test/cluster/deploy/ingress-nginx");
  const kubeconfig = plane.kubeconfig("admin");
  await runTool("helm", ["install", "ingress-nginx", chart, "--namespace", namespace], { kubeconfig });
  kubelet = new Kubelet(objects, namespace);
});

afterAll(async () => {
  await kubelet?.stop();
  rmSync(directory, { recursive: true, force: true });
});

/** The blocks of commands of a step, in order. */
function commandsOf(step: number): readonly string[] {
  const sections = readFileSync(path.join(root, "docs/migrate.md"), "utf8").split(/^## /m);
  const section = sections.find((each) => each.startsWith(`${step}. `)) ?? "";
  return [...section.matchAll(/^```sh\n(.*?)^```$/gms)]
    .map((match) => match[1] ?? "")
    .filter((block) => !block.includes("port-forward"));
}

async function run(commands: string): Promise<string> {
  const { stdout } = await promisify(execFile)("sh", ["-euc", commands], {
    cwd: directory,
    env: {
      PATH: [path.join(directory, "path"), path.dirname(process.execPath), process.env["PATH"]].join(":"),
      HOME: directory,
      KUBECONFIG: cluster.plane.kubeconfig("admin"),
    },
  });
  return stdout;
}

/** Whose pods the Service with the address leads to. */
async function targets(): Promise<string> {
  const slices = await cluster.objects.list("EndpointSlice", namespace);
  const names = slices
    .filter(({ metadata }) => metadata.labels?.["kubernetes.io/service-name"] === "ingress-nginx-controller")
    .flatMap(
      (slice) => slice["endpoints"] as { targetRef: { name: string }; conditions: { ready: boolean } }[],
    )
    .filter(({ conditions }) => conditions.ready)
    .map(({ targetRef }) => targetRef.name.replace(/-controller-.*/, ""));
  return names.sort().join(" ");
}

async function leadsTo(expected: string): Promise<void> {
  let last = "";
  await eventually(async () => (last = await targets()) === expected, {
    what: () => `${expected}; last: ${last}`,
  });
}

/** The program as the Deployment in the cluster starts it, under the rights that it has there. */
async function deployed(): Promise<Fairway> {
  const deployment = await cluster.objects.find("Deployment", namespace, "fairway-controller");
  if (deployment === null) throw new Error("there is no Deployment of Fairway");
  const { template } = deployment["spec"] as { template: PodTemplate };
  const args = (template.spec.containers[0]?.args ?? []).filter(
    (word) => !/^(controller|--(http-port|https-port|healthz-port|shutdown-grace-period)=.*)$/.test(word),
  );
  return await cluster.fairway(args, { user });
}

test("the commands of docs/migrate.md lead from ingress-nginx to Fairway, and back where they say so", async () => {
  const { objects } = cluster;
  const ingressIsAccepted = async (name: string): Promise<boolean> =>
    await objects.create("Ingress", "apps", name, ingressBody(`${name}.example`, "web")).then(
      () => true,
      () => false,
    );

  const [translate = "", removeFiles = ""] = commandsOf(1);
  expect(await run(translate)).toContain("web.example");
  await run(removeFiles);

  const [install = "", uninstall = ""] = commandsOf(2);
  await run(install);
  await run(uninstall);
  expect(await objects.find("Deployment", namespace, "fairway-controller")).toBeNull();
  await run(install);
  const beside = await deployed();
  await beside.answers("web.example", 200, "web-1");
  await leadsTo("ingress-nginx ingress-nginx");

  const [both = "", all = "", shiftBack = ""] = commandsOf(3);
  await run(both);
  await leadsTo("fairway fairway ingress-nginx ingress-nginx");
  await run(all);
  await leadsTo("fairway fairway");
  await run(shiftBack);
  await leadsTo("ingress-nginx ingress-nginx");
  await run(all);
  await leadsTo("fairway fairway");

  const [stop = "", start = ""] = commandsOf(4);
  await run(stop);
  expect(await ingressIsAccepted("first")).toBe(true);
  await run(start);
  expect(await objects.find("ValidatingWebhookConfiguration", "", "ingress-nginx-admission")).not.toBeNull();
  await run(stop);

  const [takeOver = ""] = commandsOf(5);
  await run(takeOver);
  await leadsTo("fairway fairway");
  expect(await objects.find("IngressClass", "", "nginx")).toMatchObject({
    metadata: { annotations: { "meta.helm.sh/release-name": "fairway" } },
    spec: { controller: "k8s.io/ingress-nginx" },
  });
  expect(await objects.find("Deployment", namespace, "ingress-nginx-controller")).toBeNull();
  expect(await run("helm list --all-namespaces --short")).toBe("fairway\n");
  expect(await ingressIsAccepted("second")).toBe(true);
  const alone = await deployed();
  await alone.answers("second.example", 200, "web-1");
  const settings = await objects.find("ConfigMap", namespace, "fairway-controller");
  expect(settings?.["data"]).toEqual({ "hsts-max-age": "77" });
  expect([...beside.process.lines, ...alone.process.lines].filter((line) => /forbidden/i.test(line))).toEqual(
    [],
  );
});
