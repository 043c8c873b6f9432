// The chart, by the real helm, and what it renders, by the real API server.
import { createPrivateKey, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import os from "node:os";
import path from "node:path";
import { beforeAll, describe, expect, test, vi } from "vitest";
import { makeProgram } from "../../../src/cli/program.ts";
import { useCluster } from "../harness/cluster.ts";
import { chart, runTool, tryTool } from "../harness/tools.ts";
import { installCrds } from "./crds.ts";
import { renderStatic, staticFile } from "./static-manifest.ts";
import { argsOf, objectsOf, podTemplateOf, render, variants } from "./variants.ts";

const cluster = useCluster();
const strictDryRun = ["--dry-run=server", "--validate=strict"];
const manifests = new Map<string, string>();

beforeAll(async () => {
  await installCrds(cluster.objects);
  for (const name of ["apps", "pages"]) await cluster.objects.namespace(name);
  await cluster.objects.namespace("fairway", { "pod-security.kubernetes.io/enforce": "restricted" });
  await Promise.all(
    variants.map(async ({ name, values }) => manifests.set(name, await render(values, { release: name }))),
  );
});

function manifest(name: string): string {
  return manifests.get(name) ?? "";
}

const kubectl = (...args: readonly string[]) =>
  runTool("kubectl", args, { kubeconfig: cluster.plane.kubeconfig("admin") });

test("helm finds nothing to say about the chart", async () => {
  const args = ["lint", "--strict", chart];
  const printed = await runTool("helm", args);
  expect(printed).toContain("1 chart(s) linted, 0 chart(s) failed");
  expect(printed).not.toMatch(/WARNING|ERROR/);
});

test("every object of every variant is accepted by the API server", async () => {
  const directory = mkdtempSync(path.join(os.tmpdir(), "fairway-variants-"));
  try {
    for (const [name, text] of manifests) writeFileSync(path.join(directory, `${name}.yaml`), text);
    const printed = await kubectl("apply", ...strictDryRun, "--filename", directory);
    const expected = [...manifests.values()].flatMap((text) => objectsOf(text)).length;
    expect(printed.trim().split("\n")).toHaveLength(expected);
    expect(printed).not.toMatch(/warning/i);
  } finally {
    rmSync(directory, { recursive: true });
  }
});

test("an object that the API server does not know by its fields is refused: the check above can fail", async () => {
  const broken = manifest("default").replace("terminationGracePeriodSeconds", "terminationGracePeriodSecond");
  const options = { input: broken, kubeconfig: cluster.plane.kubeconfig("admin") };
  const { code, stderr } = await tryTool("kubectl", ["apply", ...strictDryRun, "--filename", "-"], options);
  expect(code).not.toBe(0);
  expect(stderr).toContain("terminationGracePeriodSecond");
});

describe.each(variants.map(({ name }) => name))("variant %s", (name) => {
  test("is started with flags that the program takes, each once", () => {
    const words = argsOf(manifest(name));
    expect(words[0]).toBe("controller");
    const flags = words.slice(1).map((word) => word.slice(0, word.indexOf("=")));
    expect(new Set(flags).size).toBe(flags.length);
    expect(() => parse(words)).not.toThrow();
  });

  test("gives running requests as much time as Kubernetes gives the pod", () => {
    const { terminationGracePeriodSeconds } = podTemplateOf(manifest(name)).spec;
    const seconds = (flag: string): number =>
      Number(
        argsOf(manifest(name))
          .find((word) => word.startsWith(`--${flag}=`))
          ?.split("=")[1],
      );
    expect(seconds("shutdown-grace-period") + seconds("worker-shutdown-timeout")).toBe(
      terminationGracePeriodSeconds - 5,
    );
  });
});

test("flags that the program does not take are found: the check above can fail", () => {
  expect(() => parse(["controller", "--no-such-flag=1"])).toThrow("unknown flag --no-such-flag");
  expect(() => parse(["controller", "--http-port=many"])).toThrow("expected a port");
});

test("a pod is labelled with the zone of its node, where the environment of the program finds it", async () => {
  const { objects } = cluster;
  const zone = "topology.kubernetes.io/zone";
  await objects.create("Node", "", "zoned", { labels: { [zone]: "north" } });
  await objects.create("Pod", "apps", "zoned", { spec: { containers: [{ name: "none", image: "none" }] } });
  await objects.client.call({
    method: "POST",
    path: "/api/v1/namespaces/apps/pods/zoned/binding",
    body: {
      apiVersion: "v1",
      kind: "Binding",
      metadata: { name: "zoned" },
      target: { kind: "Node", name: "zoned" },
    },
  });
  expect((await objects.find("Pod", "apps", "zoned"))?.metadata.labels).toMatchObject({ [zone]: "north" });
  expect(JSON.stringify(podTemplateOf(manifest("default")).spec)).toContain(`metadata.labels['${zone}']`);
});

test("the certificate that helm makes is one that the API server takes for the webhook's Service", () => {
  const objects = objectsOf(manifest("admission")) as unknown as readonly Readonly<Record<string, unknown>>[];
  const find = (kind: string) => objects.find((each) => each["kind"] === kind);
  const { data } = find("Secret") as { data: Record<string, string> };
  const { webhooks } = find("ValidatingWebhookConfiguration") as {
    webhooks: { clientConfig: { caBundle: string; service: { name: string; namespace: string } } }[];
  };
  const { caBundle, service } = webhooks[0]!.clientConfig;
  const certificate = new X509Certificate(Buffer.from(data["tls.crt"] ?? "", "base64"));
  const authority = new X509Certificate(Buffer.from(caBundle, "base64"));
  expect(certificate.verify(authority.publicKey)).toBe(true);
  expect(certificate.checkHost(`${service.name}.${service.namespace}.svc`)).toBeDefined();
  expect(certificate.checkPrivateKey(createPrivateKey(Buffer.from(data["tls.key"] ?? "", "base64")))).toBe(
    true,
  );
});

test("pods are within the pod security standard restricted, but for those in the network of the node", async () => {
  const kubeconfig = cluster.plane.kubeconfig("admin");
  const create = async (name: string): Promise<string> => {
    const { metadata, spec } = podTemplateOf(manifest(name));
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, name: "pod", namespace: "fairway" },
      spec,
    };
    const args = ["create", ...strictDryRun, "--filename", "-"];
    return (await tryTool("kubectl", args, { input: JSON.stringify(pod), kubeconfig })).stderr;
  };
  const outside = new Set(["host-network", "host-port"]);
  const errors = await Promise.all(variants.map(async ({ name }) => [name, await create(name)] as const));
  for (const [name, error] of errors) {
    if (outside.has(name)) expect(error).toContain('violates PodSecurity "restricted:latest"');
    else expect(error, name).toBe("");
  }
  const hostNetwork = errors.find(([name]) => name === "host-network")?.[1] ?? "";
  // Nothing but the network of the node, and the user and capability that its low ports take.
  expect(hostNetwork).not.toMatch(/seccomp|allowPrivilegeEscalation|unrestricted capabilities .*must set/);
});

test.each([
  ["a value that nothing reads", { controller: { replicas: 2 } }, "replicas"],
  [
    "a feature of ingress-nginx that is not there",
    { controller: { opentelemetry: { enabled: true } } },
    "opentelemetry",
  ],
  ["a number in place of a name", { controller: { ingressClassResource: { name: 7 } } }, "name"],
  ["an unknown kind", { controller: { kind: "StatefulSet" } }, "kind"],
  ["a probe of another kind", { controller: { livenessProbe: { exec: {} } } }, "exec"],
  [
    "an autoscaler of a DaemonSet",
    { controller: { kind: "DaemonSet", autoscaling: { enabled: true } } },
    "a DaemonSet has one pod on each node",
  ],
  [
    "less time than the shutdown takes",
    { controller: { terminationGracePeriodSeconds: 12 } },
    "terminationGracePeriodSeconds is 12",
  ],
  [
    "a longer drain than Kubernetes allows",
    { controller: { extraArgs: { "worker-shutdown-timeout": 600 } } },
    "worker-shutdown-timeout is 600 s",
  ],
  [
    "a monitor without its Service",
    { controller: { metrics: { serviceMonitor: { enabled: true } } } },
    "metrics.enabled",
  ],
  [
    "a certificate that nobody could trust",
    { controller: { admissionWebhooks: { enabled: true, existingSecret: { name: "webhook" } } } },
    "caBundle is missing",
  ],
  ["rights for one namespace where all are watched", { rbac: { scope: true } }, "rbac.scope needs"],
] as const)("%s is refused", async (_, values, message) => {
  await expect(render(values)).rejects.toThrow(message);
});

test("the static manifest is the chart as it is, and the kustomize base is the same", async () => {
  expect(readFileSync(staticFile, "utf8"), "run `npm run deploy:static`").toBe(await renderStatic());
  const built = await kubectl("kustomize", "deploy/kustomize");
  const names = (text: string) =>
    objectsOf(text)
      .map(({ kind, metadata: { name } }) => `${kind} ${name}`)
      .sort();
  expect(names(built)).toEqual(names(readFileSync(staticFile, "utf8")));
  const printed = await kubectl("apply", ...strictDryRun, "--kustomize", "deploy/kustomize");
  expect(printed).toContain("deployment.apps/fairway-controller");
});

/** Throws what the program would say. */
function parse(words: readonly string[]): void {
  const refuse = vi.spyOn(process, "exit").mockImplementation(() => {
    throw new Error(`refused: ${said.mock.calls.flat().join("")}`);
  });
  const said = vi.spyOn(process.stderr, "write").mockReturnValue(true);
  try {
    const { program, words: normalized } = makeProgram(words);
    const controller = program.commands.find((each) => each.name() === "controller");
    controller?.action(() => {});
    program.parse(normalized, { from: "user" });
  } finally {
    refuse.mockRestore();
    said.mockRestore();
  }
}
