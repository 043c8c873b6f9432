// The program under exactly the rights that the chart renders: its user is the service account of the chart, and the
// bindings are those of the manifest.
import { beforeAll, expect, test } from "vitest";
import { makeCertificate } from "../../../certs/make.ts";
import { useCluster } from "../harness/cluster.ts";
import { eventually } from "../harness/eventually.ts";
import type { Fairway } from "../harness/fairway.ts";
import { ingressBody, nodeName } from "../harness/pods.ts";
import { runTool } from "../harness/tools.ts";
import { argsOf, podTemplateOf, render, variants } from "./variants.ts";

const cluster = useCluster();
const user = "system:serviceaccount:fairway:fairway";

beforeAll(async () => {
  for (const namespace of ["fairway", "apps", "pages"]) await cluster.objects.namespace(namespace);
  await cluster.pods.service("apps", "web");
  await cluster.pods.service("pages", "errors");
  await putCertificate("apps", "typed", "kubernetes.io/tls", "typed.example");
  await putCertificate("apps", "plain", "Opaque", "plain.example");
  await putCertificate("fairway", "default", "kubernetes.io/tls", "default.example");
});

async function putCertificate(namespace: string, name: string, type: string, host: string): Promise<void> {
  const { chain, key } = await makeCertificate({ names: [host] });
  const data = { "tls.crt": base64(chain), "tls.key": base64(key) };
  await cluster.objects.create("Secret", namespace, name, { type, data });
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

interface Release {
  readonly manifest: string;
  readonly fairway: Fairway;
}

/** Applies what a variant renders, less what `without` takes out of it, and runs the program as its pod would. */
async function release(name: string, without = (manifest: string) => manifest): Promise<Release> {
  const variant = variants.find((each) => each.name === name);
  const manifest = without(await render(variant?.values ?? {}));
  const options = { input: manifest, kubeconfig: cluster.plane.kubeconfig("admin") };
  await runTool("kubectl", ["apply", "--filename", "-"], options);
  cluster.onCleanUp(async () => {
    await runTool("kubectl", ["delete", "--wait=false", "--filename", "-"], options);
  });
  // The ports are those of the harness; everything else is as it was rendered.
  const args = argsOf(manifest).filter((word) => !/^(controller|--(http|https|healthz)-port=.*)$/.test(word));
  const grace = args.map((word) => word.replace(/^--shutdown-grace-period=.*/, "--shutdown-grace-period=0"));
  const env = { POD_NAME: await podOf(manifest), POD_NAMESPACE: "fairway" };
  return { manifest, fairway: await cluster.fairway(grace, { user, env }) };
}

/** A pod as the manifest's Deployment makes them; its name. */
async function podOf(manifest: string): Promise<string> {
  const { labels } = podTemplateOf(manifest).metadata;
  const name = "fairway-controller-1";
  if ((await cluster.objects.find("Pod", "fairway", name)) === null) {
    await cluster.pods.create("fairway", name, labels);
  }
  return name;
}

/** One Ingress for each host, of the class or with the annotation of the chart, with the Secret of the host's name. */
async function ingresses(...names: readonly string[]): Promise<void> {
  for (const name of names) {
    const { spec } = ingressBody(`${name}.example`, "web", name);
    await cluster.objects.put("Ingress", "apps", name, { spec: { ...spec, ingressClassName: "fairway" } });
  }
}

async function servesTls(fairway: Fairway, host: string): Promise<void> {
  const certificate = async () => (await fairway.getTls(host)).certificate;
  await eventually(async () => (await certificate()) === host, {
    what: () => `the certificate of ${host}\n${fairway.process.tail()}`,
  });
}

async function refusals(fairway: Fairway): Promise<readonly string[]> {
  const told = [...fairway.process.lines, ...(await fairway.diagnostics()).split("\n")];
  return told.filter((line) => /forbidden|unauthorized/i.test(line));
}

type Right = readonly [verb: string, group: string, resource: string, namespace?: string, name?: string];

async function may(...[verb, group, resource, namespace = "", name = ""]: Right): Promise<boolean> {
  const resourceAttributes = { verb, group, resource, namespace, name };
  const review = await cluster.plane.client(user).call({
    method: "POST",
    path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    body: {
      apiVersion: "authorization.k8s.io/v1",
      kind: "SelfSubjectAccessReview",
      spec: { resourceAttributes },
    },
  });
  return (review as { status: { allowed: boolean } }).status.allowed;
}

test("the rights of the chart are enough to serve, with Secrets of any type and a ConfigMap that changes", async () => {
  const { fairway } = await release("default");
  await ingresses("typed", "plain");
  await servesTls(fairway, "typed.example");
  await servesTls(fairway, "plain.example");
  await cluster.objects.patch("ConfigMap", "fairway", "fairway-controller", {
    data: { "hsts-max-age": "77" },
  });
  await eventually(
    async () =>
      /max-age=77/.test(String((await fairway.getTls("typed.example")).headers["strict-transport-security"])),
    { what: () => `the change of the ConfigMap\n${fairway.process.tail()}` },
  );
  await writes(fairway);
  expect(await refusals(fairway)).toEqual([]);
});

/** Status, of the Service of the release, and an Event, by the one that leads. */
async function writes(fairway: Fairway): Promise<void> {
  await cluster.objects.put("Ingress", "apps", "lost", {
    spec: { ...ingressBody("lost.example", "nowhere").spec, ingressClassName: "fairway" },
  });
  const status = { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } };
  await cluster.objects.patch("Service", "fairway", "fairway-controller", { status }, "status");
  await eventually(
    async () => {
      const lost = await cluster.objects.find("Ingress", "apps", "lost");
      return JSON.stringify(lost?.["status"]).includes("203.0.113.1");
    },
    { what: () => `the status\n${fairway.process.tail()}` },
  );
  await eventually(async () => (await cluster.objects.list("Event", "apps")).length > 0, {
    what: () => `an Event\n${fairway.process.tail()}`,
  });
}

test("without a Service the status has the addresses of nodes, which may be read then", async () => {
  const { fairway } = await release("host-network");
  await ingresses("typed");
  const addresses = [{ type: "InternalIP", address: "192.0.2.7" }];
  await cluster.objects.patch("Node", "", nodeName, { status: { addresses } }, "status");
  await eventually(
    async () => {
      const { body } = await fairway.admin("/debug/cluster");
      return /addresses +192\.0\.2\.7/.test(body);
    },
    { what: () => `the address of the node\n${fairway.process.tail()}` },
  );
  expect(await refusals(fairway)).toEqual([]);
});

test("a right that is missing is told: the test above can fail", async () => {
  const { fairway } = await release("default", (manifest) =>
    manifest.replace("services, secrets", "services"),
  );
  await eventually(async () => (await refusals(fairway)).length > 0, {
    what: "the word of the missing right",
  });
  expect((await refusals(fairway)).join("\n")).toContain("Secret");
});

test("the rights of the chart are no more than that", async () => {
  await release("default");
  const allowed: readonly Right[] = [
    ["list", "networking.k8s.io", "ingresses"],
    ["watch", "", "secrets"],
    ["list", "", "configmaps", "fairway", "fairway-controller"],
    ["update", "coordination.k8s.io", "leases", "fairway", "fairway-leader"],
    ["patch", "networking.k8s.io", "ingresses/status", "apps"],
  ];
  for (const each of allowed) expect(await may(...each), each.join(" ")).toBe(true);
  const refused: readonly Right[] = [
    ["list", "", "configmaps"],
    ["list", "", "configmaps", "fairway"],
    ["create", "", "secrets", "fairway"],
    ["update", "networking.k8s.io", "ingresses", "apps"],
    ["delete", "networking.k8s.io", "ingresses", "apps"],
    ["create", "", "pods", "fairway"],
    ["create", "", "pods/exec", "fairway"],
    ["list", "", "nodes"],
    ["get", "", "nodes"],
    ["update", "coordination.k8s.io", "leases", "fairway", "other"],
    ["create", "coordination.k8s.io", "leases", "apps"],
    ["list", "", "pods", "apps"],
    ["create", "", "serviceaccounts/token", "fairway", "fairway"],
    ["escalate", "rbac.authorization.k8s.io", "roles", "fairway"],
    ["update", "admissionregistration.k8s.io", "validatingwebhookconfigurations"],
  ];
  for (const each of refused) expect(await may(...each), each.join(" ")).toBe(false);
});

test("in the scope of one namespace nothing else can be read", async () => {
  const { fairway } = await release("scope-elsewhere");
  const annotations = { "kubernetes.io/ingress.class": "fairway" };
  const { ingressClassName: _, ...spec } = ingressBody("annotated.example", "web").spec;
  await cluster.objects.put("Ingress", "apps", "annotated", { annotations, spec });
  await fairway.answers("annotated.example", 200, "web-1");
  // What flags name may lie elsewhere.
  await fairway.answers("none.example", 200, "errors-1");
  await servesTls(fairway, "default.example");
  for (const line of await refusals(fairway)) expect(line).toMatch(/IngressClass/);
  expect(await may("list", "", "secrets")).toBe(false);
  expect(await may("list", "", "secrets", "apps")).toBe(true);
  expect(await may("list", "", "secrets", "fairway")).toBe(false);
  expect(await may("list", "", "secrets", "fairway", "default")).toBe(true);
  expect(await may("list", "networking.k8s.io", "ingressclasses")).toBe(false);
});

test.each(["scope", "scope-selector"])("the rights of variant %s are enough for its flags", async (name) => {
  const { fairway } = await release(name);
  await cluster.objects.patch("Namespace", "", "apps", { metadata: { labels: { team: "web" } } });
  await ingresses("typed");
  if (name === "scope-selector") await servesTls(fairway, "typed.example");
  else expect((await fairway.get("typed.example")).status).toBe(404);
  expect(await refusals(fairway)).toEqual([]);
});
