// Which Ingresses admission refuses, which it warns of, and which are none of its business.
import { describe, expect, test } from "vitest";
import { ingress, rule, service, slice } from "../fake-source.ts";
import { clusterOf, withMeta, type Value } from "./support.ts";

const prefix = "nginx.ingress.kubernetes.io";
const web = (name: string, spec: Value = {}, annotations: Value = {}): Value =>
  ingress(name, { rules: [rule("a.example", { [`/${name}`]: ["web", 80] })], ...spec }, annotations);
const base = [service("web"), slice("web-1", "web", ["10.0.0.1"])];
const older = withMeta(web("old"), { creationTimestamp: "2026-01-01T00:00:00Z" });

describe("what is wrong in itself is refused", () => {
  test.each<[string, Value, string]>([
    [
      "an annotation that cannot be read",
      web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" }),
      "ssl-redirect",
    ],
    [
      "a protective annotation that is not supported",
      web("x", {}, { [`${prefix}/auth-url`]: "http://auth.example" }),
      "UnsupportedAnnotation",
    ],
    [
      "a regular expression that does not compile",
      web(
        "x",
        {},
        {
          [`${prefix}/canary`]: "true",
          [`${prefix}/canary-by-header`]: "h",
          [`${prefix}/canary-by-header-pattern`]: "(",
        },
      ),
      "canary-by-header-pattern",
    ],
    [
      "a resource backend",
      ingress("x", { defaultBackend: { resource: { kind: "Bucket", name: "b", apiGroup: "x" } } }),
      "ResourceBackend",
    ],
    [
      "a path that no request can have",
      ingress("x", { rules: [rule("a.example", { "/a//b": ["web", 80] })] }),
      "InvalidPath",
    ],
  ])("%s", async (_, candidate, reason) => {
    const cluster = await clusterOf(base);
    const verdict = cluster.judge(candidate);
    expect(verdict).toMatchObject({ isAllowed: false, outcome: "refused" });
    expect(verdict.message).toContain(reason);
  });

  test("a default backend where they are switched off", async () => {
    const cluster = await clusterOf(base, { disableCatchAll: true });
    const candidate = ingress("x", { defaultBackend: { service: { name: "web", port: { number: 80 } } } });
    expect(cluster.judge(candidate).message).toContain("CatchAllDisabled");
  });

  test("but not for what the ConfigMap has wrong", async () => {
    const configMap = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "settings" },
      data: { "global-auth-url": "http://auth.example" },
    };
    const cluster = await clusterOf([...base, configMap], { configMap: "default/settings" });
    expect(cluster.judge(web("x"))).toMatchObject({ isAllowed: true, warnings: [] });
  });
});

describe("what others may mend is a warning", () => {
  test("a Service that is not there, and an annotation without effect", async () => {
    const cluster = await clusterOf([]);
    const verdict = cluster.judge(web("x", {}, { [`${prefix}/no-such-thing`]: "1" }));
    expect(verdict).toMatchObject({ isAllowed: true, outcome: "warned" });
    expect(verdict.warnings.join("\n")).toMatch(/UnknownAnnotation[^]*ServiceNotFound/);
  });

  test("an Ingress without a fault has none", async () => {
    const cluster = await clusterOf(base);
    expect(cluster.judge(web("x"))).toEqual({
      isAllowed: true,
      message: "",
      warnings: [],
      outcome: "allowed",
    });
  });

  test("Secrets are not spoken of: whether they exist is not for everybody to know", async () => {
    const secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "broken" },
      stringData: { "tls.crt": "x" },
    };
    const named = web("y", { tls: [{ hosts: ["a.example"], secretName: "broken" }] });
    const cluster = await clusterOf([...base, secret, named]);
    for (const secretName of ["broken", "missing"]) {
      const verdict = cluster.judge(web("x", { tls: [{ hosts: ["a.example"], secretName }] }));
      expect(verdict).toMatchObject({ isAllowed: true, warnings: [] });
    }
  });
});

describe("paths of others", () => {
  const clash = ingress("new", { rules: [rule("a.example", { "/old": ["web", 80] })] });
  const elsewhere = withMeta(clash, { namespace: "other" });
  test.each([
    ["refuse", clash, false],
    ["refuse", elsewhere, false],
    ["refuse-other-namespace", clash, true],
    ["refuse-other-namespace", elsewhere, false],
    ["warn", elsewhere, true],
  ] as const)("by option %s", async (pathConflicts, candidate, isAllowed) => {
    const cluster = await clusterOf([...base, older]);
    const verdict = cluster.judge(candidate, { pathConflicts });
    expect(verdict.isAllowed).toBe(isAllowed);
    const text = isAllowed ? verdict.warnings.join("\n") : verdict.message;
    expect(text).toMatch(
      /PathConflict: Prefix path "\/old" of host "a.example" is already declared by Ingress default\/old/,
    );
  });

  test("an older Ingress cannot take a path from a younger one", async () => {
    const young = withMeta(web("young"), { creationTimestamp: "2026-02-01T00:00:00Z" });
    const cluster = await clusterOf([...base, older, young]);
    const both = { "/old": ["web", 80], "/young": ["web", 80] } as const;
    const changed = { ...older, spec: { ...(older["spec"] as Value), rules: [rule("a.example", both)] } };
    const verdict = cluster.judge(changed, { old: older });
    expect(verdict.message).toContain(
      '"/young" of host "a.example" is already declared by Ingress default/young',
    );
    const warned = cluster.judge(changed, { old: older, pathConflicts: "warn" });
    expect(warned.warnings.join("\n")).toContain("Ingress default/young");
  });

  test("a canary joins, a path twice in one Ingress is a warning, another path type is no conflict", async () => {
    const cluster = await clusterOf([...base, service("canary"), older]);
    const canary = ingress(
      "canary",
      { rules: [rule("a.example", { "/old": ["canary", 80] })] },
      { [`${prefix}/canary`]: "true", [`${prefix}/canary-weight`]: "10" },
    );
    expect(cluster.judge(canary)).toMatchObject({ isAllowed: true });
    const twice = rule("b.example", { "/": ["web", 80] });
    const verdict = cluster.judge(ingress("x", { rules: [twice, twice] }));
    expect(verdict.isAllowed).toBe(true);
    expect(verdict.warnings.join("\n")).toContain("PathConflict");
  });

  test("a conflict that was there before does not keep an Ingress from being changed", async () => {
    const cluster = await clusterOf([...base, older, clash]);
    const labelled = withMeta(clash, { labels: { a: "b" } });
    expect(cluster.judge(labelled, { old: clash })).toMatchObject({ isAllowed: true });
  });
});

describe("what is none of its business", () => {
  const broken = web("x", { ingressClassName: "other" }, { [`${prefix}/ssl-redirect`]: "maybe" });
  test("Ingresses of other controllers", async () => {
    const cluster = await clusterOf(base);
    expect(cluster.judge(broken)).toMatchObject({ isAllowed: true, warnings: [], outcome: "foreign" });
  });

  test("namespaces that are not watched", async () => {
    const ours = web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" });
    const cluster = await clusterOf(base, { watchNamespace: "mine" });
    expect(cluster.judge(ours).outcome).toBe("foreign");
    expect((await clusterOf(base)).judge(ours, { isWatched: () => false }).outcome).toBe("foreign");
  });

  test.each<[string, Value]>([
    ["deletions", { operation: "DELETE", object: null, oldObject: {} }],
    ["the status", { subResource: "status" }],
    ["other kinds", { kind: { group: "", version: "v1", kind: "Service" } }],
  ])("%s", async (_, request) => {
    const cluster = await clusterOf(base);
    const ours = web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" });
    expect(cluster.judge(ours, { request }).outcome).toBe("skipped");
  });

  test("what is being deleted, which has to lose its finalizers", async () => {
    const cluster = await clusterOf(base);
    const ours = web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" });
    const leaving = withMeta(ours, { deletionTimestamp: "2026-01-01T00:00:00Z" });
    expect(cluster.judge(leaving, { old: ours }).outcome).toBe("skipped");
  });
});

test("what was wrong before does not keep the rest from being changed, a new fault does", async () => {
  const faulty = web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" });
  const cluster = await clusterOf([...base, faulty]);
  const labelled = withMeta(faulty, { labels: { a: "b" } });
  const verdict = cluster.judge(labelled, { old: faulty });
  expect(verdict).toMatchObject({ isAllowed: true, outcome: "warned" });
  expect(verdict.warnings.join("\n")).toContain("ssl-redirect");
  const worse = withMeta(faulty, {
    annotations: { [`${prefix}/ssl-redirect`]: "maybe", [`${prefix}/force-ssl-redirect`]: "maybe" },
  });
  expect(cluster.judge(worse, { old: faulty }).message).toContain("force-ssl-redirect");
});

test("judging changes nothing of the translation in use", async () => {
  const cluster = await clusterOf([...base, older]);
  const before = [cluster.loop.state.ir, cluster.loop.state.diagnostics].map((each) => JSON.stringify(each));
  cluster.judge(web("x", {}, { [`${prefix}/ssl-redirect`]: "maybe" }));
  cluster.judge(withMeta(web("old"), { creationTimestamp: "2025-01-01T00:00:00Z" }));
  cluster.apply(service("another"));
  expect([cluster.loop.state.ir, cluster.loop.state.diagnostics].map((each) => JSON.stringify(each))).toEqual(
    before,
  );
});
