// From objects in the API server to answers, by the program itself.
import { expect, test } from "vitest";
import { makeCertificate } from "../../certs/make.ts";
import { controllerRules, useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import { podOf } from "./harness/fairway.ts";
import { ingressBody } from "./harness/pods.ts";

const cluster = useCluster();

test("an Ingress with Service and pods is served, changed and removed", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("serving");
  await pods.service("serving", "before");
  await objects.create("Ingress", "serving", "before", ingressBody("before.example", "before"));
  const fairway = await cluster.fairway();
  // What was there at the start is in the first table.
  const slice = await fairway.answers("before.example", 200, "before-1");
  expect(slice.headers["content-type"]).toBe("application/json");

  await objects.create("Ingress", "serving", "web", ingressBody("web.example", "web"));
  expect((await fairway.answers("web.example", 503)).status).toBe(503);
  const first = await pods.service("serving", "web");
  await fairway.answers("web.example", 200, "web-1");

  await pods.create("serving", "web-2", { app: "web" });
  await first.setReady(false);
  await fairway.answers("web.example", 200, "web-2");

  await objects.put("Ingress", "serving", "web", ingressBody("other.example", "web"));
  await fairway.answers("other.example", 200, "web-2");
  await fairway.answers("web.example", 404);

  await objects.delete("Ingress", "serving", "web");
  await fairway.answers("other.example", 404);
  expect(podOf(await fairway.get("before.example"))).toBe("before-1");
});

test("a Secret of any type is used once an Ingress names it, and nothing else is kept", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("tls");
  await pods.service("tls", "web");
  const fairway = await cluster.fairway();
  for (const [name, type] of [
    ["typed", "kubernetes.io/tls"],
    ["plain", "Opaque"],
  ] as const) {
    const host = `${name}.example`;
    const { chain, key } = await makeCertificate({ names: [host] });
    const data = { "tls.crt": base64(chain), "tls.key": base64(key) };
    await objects.create("Secret", "tls", name, { type, data });
    await objects.create("Ingress", "tls", name, ingressBody(host, "web", name));
    await eventually(async () => (await fairway.getTls(host)).certificate === host, {
      what: () => `the certificate of ${host}\n${fairway.process.tail()}`,
    });
  }
  await objects.delete("Ingress", "tls", "plain");
  await eventually(async () => (await fairway.getTls("plain.example")).certificate !== "plain.example", {
    what: "the end of the certificate",
  });
});

test("classes decide which Ingresses are ours, and may change", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("classes");
  await pods.service("classes", "web");
  const fairway = await cluster.fairway();
  const body = (host: string, ingressClassName: string) => {
    const { spec } = ingressBody(host, "web");
    return { spec: { ...spec, ingressClassName } };
  };
  await objects.create("Ingress", "classes", "foreign", body("foreign.example", "other"));
  await objects.create("Ingress", "classes", "late", body("late.example", "late"));
  await objects.create("Ingress", "classes", "ours", body("ours.example", "nginx"));
  await fairway.answers("ours.example", 200);
  expect((await fairway.get("foreign.example")).status).toBe(404);
  expect((await fairway.get("late.example")).status).toBe(404);
  await objects.create("IngressClass", "", "late", { spec: { controller: "k8s.io/ingress-nginx" } });
  await fairway.answers("late.example", 200);
  await objects.delete("IngressClass", "", "late");
  await fairway.answers("late.example", 404);
});

test("without the right to read classes annotations alone decide, until it is given", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("classless");
  await pods.service("classless", "web");
  const { spec } = ingressBody("annotated.example", "web");
  const { ingressClassName: _, ...unclassed } = spec;
  const annotations = { "kubernetes.io/ingress.class": "nginx" };
  await objects.create("Ingress", "classless", "annotated", { annotations, spec: unclassed });
  await objects.create("Ingress", "classless", "named", ingressBody("named.example", "web"));
  const withoutClasses = controllerRules.map((rule) => ({
    ...rule,
    resources: rule.resources.filter((each) => each !== "ingressclasses"),
  }));
  await objects.grant("second", withoutClasses);
  const fairway = await cluster.fairway([], { user: "second" });
  await fairway.answers("annotated.example", 200);
  expect((await fairway.get("named.example")).status).toBe(404);
  expect(await fairway.diagnostics()).toMatch(/IngressClass .*Forbidden/);
  const all = await cluster.fairway(["--watch-ingress-without-class"], { user: "second" });
  await all.answers("named.example", 200);
  await objects.grant("second", controllerRules);
  await fairway.answers("named.example", 200);
});

test("the namespaces that are watched are chosen by name or by label, which may change", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("red", { colour: "red" });
  await objects.namespace("blue", { colour: "blue" });
  for (const name of ["red", "blue"]) {
    await pods.service(name, "web");
    await objects.create("Ingress", name, "web", ingressBody(`${name}.example`, "web"));
  }
  const byName = await cluster.fairway(["--watch-namespace=red"]);
  await byName.answers("red.example", 200);
  await byName.answers("blue.example", 404);
  const byLabel = await cluster.fairway(["--watch-namespace-selector=colour=red"]);
  await byLabel.answers("red.example", 200);
  await byLabel.answers("blue.example", 404);
  await objects.patch("Namespace", "", "blue", { metadata: { labels: { colour: "red" } } });
  await byLabel.answers("blue.example", 200);
  await objects.patch("Namespace", "", "red", { metadata: { labels: { colour: "green" } } });
  await byLabel.answers("red.example", 404);
  await objects.create("Ingress", "red", "more", ingressBody("more.example", "web"));
  await objects.create("Ingress", "blue", "more", ingressBody("seen.example", "web"));
  await byLabel.answers("seen.example", 200);
  expect((await byLabel.get("more.example")).status).toBe(404);
});

test("the deletion of a namespace takes its hosts, and no others", async () => {
  const { objects, pods } = cluster;
  for (const name of ["going", "staying"]) {
    await objects.namespace(name);
    await pods.service(name, "web");
    await objects.create("Ingress", name, "web", ingressBody(`${name}.example`, "web"));
  }
  const fairway = await cluster.fairway();
  await fairway.answers("going.example", 200);
  await pods.deleteNamespace("going");
  await fairway.answers("going.example", 404);
  expect((await fairway.get("staying.example")).status).toBe(200);
});

test("the ConfigMap and the default backend and certificate lie where they like", async () => {
  const { objects, pods } = cluster;
  await objects.namespace("system");
  await objects.namespace("app");
  await pods.service("app", "web");
  await pods.service("system", "fallback");
  await objects.create("Ingress", "app", "web", ingressBody("app.example", "web"));
  const { chain, key } = await makeCertificate({ names: ["fallback.example"] });
  const data = { "tls.crt": base64(chain), "tls.key": base64(key) };
  await objects.create("Secret", "system", "fallback", { type: "Opaque", data });
  await objects.create("ConfigMap", "system", "settings", { data: { hsts: "true" } });
  const fairway = await cluster.fairway([
    "--watch-namespace=app",
    "--configmap=system/settings",
    "--default-backend-service=system/fallback",
    "--default-ssl-certificate=system/fallback",
  ]);
  await fairway.answers("app.example", 200, "web-1");
  await fairway.answers("none.example", 200, "fallback-1");
  expect((await fairway.getTls("none.example")).certificate).toBe("fallback.example");
});

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}
