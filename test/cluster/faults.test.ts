// What happens to clients when the API server or what is in it goes wrong: nothing, as far as that is possible.
import { expect, test } from "vitest";
import { makeCertificate } from "../../certs/make.ts";
import { controllerRules, useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import { ingressBody } from "./harness/pods.ts";

const cluster = useCluster();

test("a compaction of etcd while we are cut off is a list, compared", async () => {
  const { objects, plane } = cluster;
  await cluster.serve("compaction", "kept.example", "gone.example");
  const proxy = await cluster.proxy();
  const fairway = await cluster.fairway([], { port: proxy.port });
  await fairway.answers("gone.example", 200);
  const load = cluster.traffic(fairway, "kept.example");
  proxy.isOpen = false;
  proxy.cut();
  await objects.delete("Ingress", "compaction", "gone.example");
  await objects.create("Ingress", "compaction", "new", ingressBody("new.example", "web"));
  await plane.compact();
  // What the API server itself still remembers ends with it.
  await plane.stopApiServer();
  await plane.startApiServer();
  const tables = (await fairway.metric('fairway_config_reloads_total{result="success"}')) ?? 0;
  proxy.isOpen = true;
  await fairway.answers("gone.example", 404);
  await fairway.answers("new.example", 200);
  await load.stop();
  expect(load.failures).toEqual([]);
  const expired = 'fairway_kubernetes_errors_total{kind="Ingress",reason="Expired"}';
  expect(await fairway.metric(expired)).toBeGreaterThanOrEqual(1);
  expect(await fairway.metric('fairway_config_reloads_total{result="success"}')).toBeLessThanOrEqual(
    tables + 2,
  );
});

test("a slow API server makes us slow to learn, not wrong", async () => {
  const { objects } = cluster;
  await cluster.serve("slow", "slow.example");
  const proxy = await cluster.proxy();
  proxy.delayMs = 500;
  const fairway = await cluster.fairway([], { port: proxy.port });
  await fairway.answers("slow.example", 200);
  await objects.create("Ingress", "slow", "later", ingressBody("later.example", "web"));
  await fairway.answers("later.example", 200);
});

test("a burst of 1,000 Ingresses is served whole, and costs no request", async () => {
  const { objects } = cluster;
  await cluster.serve("burst", "burst.example");
  const fairway = await cluster.fairway();
  await fairway.answers("burst.example", 200);
  const load = cluster.traffic(fairway, "burst.example");
  const names = Array.from({ length: 1_000 }, (_, index) => `burst-${index}`);
  const queue = names.values();
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      for (const name of queue) {
        await objects.create("Ingress", "burst", name, ingressBody(`${name}.example`, "web"));
      }
    }),
  );
  for (const name of [...names.slice(0, 5), ...names.slice(-20)])
    await fairway.answers(`${name}.example`, 200);
  for (const name of names) {
    const { status } = await fairway.get(`${name}.example`);
    expect([name, status]).toEqual([name, 200]);
  }
  await load.stop();
  expect(load.failures).toEqual([]);
});

test("a Secret replaced by garbage serves on as it was, and is taken again when it is good", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("garbage");
  await pods.service("garbage", "web");
  const pair = async (name: string) => {
    const { chain, key } = await makeCertificate({ names: [name, "secret.example"] });
    return { "tls.crt": base64(chain), "tls.key": base64(key) };
  };
  await objects.create("Secret", "garbage", "cert", { type: "kubernetes.io/tls", data: await pair("one") });
  await objects.create("Ingress", "garbage", "web", ingressBody("secret.example", "web", "cert"));
  const fairway = await cluster.fairway();
  expect((await fairway.getTls("secret.example")).certificate).toBe("one");
  const garbage = { "tls.crt": base64("no"), "tls.key": base64("certificate") };
  await objects.patch("Secret", "garbage", "cert", { data: garbage });
  await eventually(async () => (await fairway.diagnostics()).includes("Secret garbage/cert"), {
    what: "a diagnostic about the Secret",
  });
  expect((await fairway.getTls("secret.example")).certificate).toBe("one");
  await objects.patch("Secret", "garbage", "cert", { data: await pair("two") });
  await eventually(async () => (await fairway.getTls("secret.example")).certificate === "two", {
    what: "the new certificate",
  });
  expect(await fairway.diagnostics()).not.toContain("Secret garbage/cert");
});

test("without the right to read Secrets the rest works, and it comes back with the right", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("rights");
  await pods.service("rights", "web");
  const { chain, key } = await makeCertificate({ names: ["rights.example"] });
  const data = { "tls.crt": base64(chain), "tls.key": base64(key) };
  await objects.create("Secret", "rights", "cert", { type: "kubernetes.io/tls", data });
  await objects.create("Ingress", "rights", "web", ingressBody("rights.example", "web", "cert"));
  await objects.create("Ingress", "rights", "plain", ingressBody("plain.rights.example", "web"));
  const withoutSecrets = controllerRules.map((rule) => ({
    ...rule,
    resources: rule.resources.filter((each) => each !== "secrets"),
  }));
  await objects.grant("second", withoutSecrets);
  const fairway = await cluster.fairway([], { user: "second" });
  await fairway.answers("plain.rights.example", 200);
  expect((await fairway.getTls("rights.example")).certificate).not.toBe("rights.example");
  expect(await fairway.diagnostics()).toMatch(/Secret .*Forbidden.*secrets is forbidden/);

  await objects.grant("second", controllerRules);
  await eventually(async () => (await fairway.getTls("rights.example")).certificate === "rights.example", {
    what: "the certificate",
    timeoutMs: 60_000,
  });
  await eventually(async () => !(await fairway.diagnostics()).includes("Forbidden"), { what: "its end" });

  // Taken away again: what was read serves on. A watch keeps its right until it ends, so it is ended.
  await objects.grant("second", withoutSecrets);
  await cluster.plane.stopApiServer();
  await cluster.plane.startApiServer();
  await eventually(async () => (await fairway.diagnostics()).includes("Forbidden"), {
    what: "a diagnostic",
    timeoutMs: 60_000,
  });
  expect((await fairway.getTls("rights.example")).certificate).toBe("rights.example");
});

test("nothing is ready before every kind has been read, and a signal ends the wait", async () => {
  const { objects } = cluster;
  await objects.grant("guest", controllerRules.slice(1));
  const fairway = await cluster.fairway(["--healthz-port=19254"], { user: "guest", isAwaited: false });
  await fairway.process.line(/Service \(all\): Forbidden: .* nothing is served before it can be read/);
  const response = await fetch("http://127.0.0.1:19254/readyz");
  expect([response.status, await response.text()]).toEqual([
    503,
    expect.stringContaining("the Kubernetes API has not been read yet"),
  ]);
  fairway.process.kill("SIGTERM");
  await fairway.process.line(/SIGTERM: ending before anything was served/);
  await fairway.process.line(/fairway has ended \(0\)/);
});

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
