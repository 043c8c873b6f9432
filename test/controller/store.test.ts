import { describe, expect, test } from "vitest";
import { decodeObject } from "../../src/controller/decode/decode.ts";
import { ObjectStore, type Change } from "../../src/controller/store.ts";
import { ingress, ref, rule, service, slice } from "./fake-source.ts";

function storeWith(...values: readonly unknown[]): ObjectStore {
  const store = new ObjectStore({
    configMap: "default/config",
    tcpServicesConfigMap: "default/tcp",
    udpServicesConfigMap: "",
    defaultBackendService: "default/fallback",
    defaultSslCertificate: "default/cert",
  });
  for (const value of values) put(store, value);
  return store;
}

function put(store: ObjectStore, value: unknown): Change {
  const { object, findings } = decodeObject(value);
  return store.upsert(object!, findings);
}

const plain = (kind: string, name: string, rest: object = {}): unknown => ({
  apiVersion: "v1",
  kind,
  metadata: { name },
  ...rest,
});
const web = ingress("web", {
  rules: [rule("a.example", { "/": ["web", 80] })],
  defaultBackend: { service: { name: "rest", port: { number: 80 } } },
  tls: [{ hosts: ["a.example"], secretName: "tls" }],
});

const ingressClass = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "x" },
  spec: { controller: "c" },
};

describe("what an event touches", () => {
  const none = { touched: [], diagnostics: false };
  const everything = { touched: [{ kind: "everything" }], diagnostics: false };
  const one = (kind: string, name: string): unknown => ({
    touched: [{ kind, key: `default/${name}` }],
    diagnostics: false,
  });
  test.each([
    ["an Ingress", ingress("other", {}), one("Ingress", "other")],
    ["a Secret that an Ingress names", plain("Secret", "tls"), one("Secret", "tls")],
    ["the Secret of the default certificate", plain("Secret", "cert"), one("Secret", "cert")],
    ["another Secret", plain("Secret", "other"), none],
    ["the ConfigMap of the controller", plain("ConfigMap", "config"), everything],
    ["another ConfigMap", plain("ConfigMap", "other"), none],
    ["an IngressClass", ingressClass, { touched: [{ kind: "IngressClass", name: "x" }], diagnostics: false }],
    ["a Namespace", plain("Namespace", "x"), none],
    ["a Service that a path names", service("web"), one("Service", "web")],
    ["a Service that a default backend names", service("rest"), one("Service", "rest")],
    ["the Service of the default backend", service("fallback"), one("Service", "fallback")],
    ["another Service", service("other"), one("Endpoints", "other")],
    ["an EndpointSlice", slice("web-1", "web", []), one("Endpoints", "web")],
    ["Endpoints", plain("Endpoints", "web"), one("Endpoints", "web")],
  ])("%s", (_name, value, expected) => {
    const store = storeWith(web);
    expect(put(store, value)).toEqual(expected);
    expect(put(store, value)).toEqual(none);
    const { object } = decodeObject(value);
    const { namespace, name } = object!.meta;
    expect(store.delete({ kind: object!.kind, namespace, name })).toEqual(expected);
    expect(store.delete({ kind: object!.kind, namespace, name })).toEqual(none);
  });

  test("a slice that goes over to another Service concerns both", () => {
    const store = storeWith(slice("s", "web", []));
    expect(put(store, slice("s", "api", [])).touched).toEqual([
      { kind: "Endpoints", key: "default/web" },
      { kind: "Endpoints", key: "default/api" },
    ]);
  });
});

test("tells who refers to a Service or a Secret, as long as they do", () => {
  const store = storeWith(web, ingress("api", { rules: [rule("b.example", { "/": ["web", 80] })] }));
  expect([...store.referrersOf("Service", "default/web")]).toEqual(["default/web", "default/api"]);
  expect([...store.referrersOf("Service", "default/rest")]).toEqual(["default/web"]);
  expect([...store.referrersOf("Secret", "default/tls")]).toEqual(["default/web"]);
  put(store, ingress("web", {}));
  expect([...store.referrersOf("Service", "default/web")]).toEqual(["default/api"]);
  store.delete(ref("Ingress", "api"));
  expect(store.referrersOf("Service", "default/web").size).toBe(0);
  expect(store.referrersOf("Secret", "default/tls").size).toBe(0);
});

describe("an update that the API server would refuse", () => {
  const broken = ingress("web", { rules: [rule("a.example:80", { "/": ["web", 80] })] });

  test("does not replace a good version, however often it comes", () => {
    const store = storeWith(web);
    const good = store.index.ingresses.get("default/web");
    expect(put(store, broken)).toEqual({ touched: [], diagnostics: true });
    expect(put(store, broken)).toEqual({ touched: [], diagnostics: false });
    expect(store.index.ingresses.get("default/web")).toBe(good);
    expect(store.diagnostics()).toMatchObject([
      { reason: "InvalidHost", message: expect.stringMatching(/keeps serving$/) },
    ]);
    // Back to what is served: no change of routing, the diagnostic goes.
    expect(put(store, web)).toEqual({ touched: [], diagnostics: true });
    expect(store.diagnostics()).toEqual([]);
  });

  test("a change of status, version or uid is none", () => {
    const spec = { rules: [rule("a.example", { "/": ["web", 80] })] };
    const stored = (version: string, ip: string): unknown => ({
      ...ingress("web", spec),
      metadata: { name: "web", uid: `uid-${version}`, resourceVersion: version, generation: 1 },
      status: { loadBalancer: { ingress: [{ ip }] } },
    });
    const store = storeWith(stored("1", "203.0.113.1"));
    expect(put(store, stored("2", "203.0.113.2"))).toEqual({ touched: [], diagnostics: false });
  });

  test("is used as far as it goes when it changes annotations: they may protect", () => {
    const store = storeWith(web);
    const guarded = {
      ...broken,
      metadata: {
        name: "web",
        annotations: { "nginx.ingress.kubernetes.io/whitelist-source-range": "10.0.0.0/8" },
      },
    };
    expect(put(store, guarded).touched).toHaveLength(1);
    expect(store.index.ingresses.get("default/web")?.meta.annotations.size).toBe(1);
    expect(store.diagnostics()).toMatchObject([{ message: expect.stringMatching(/the rule is left out$/) }]);
  });

  test("is used as far as it goes when there is no good version", () => {
    const store = storeWith(broken);
    expect(store.index.ingresses.get("default/web")?.rules).toEqual([]);
    expect(store.diagnostics()).toMatchObject([{ message: expect.stringMatching(/the rule is left out$/) }]);
    const better = ingress("web", { rules: [rule("b:1", {}), rule("c.example", {})] });
    expect(put(store, better).touched).toHaveLength(1);
    expect(store.index.ingresses.get("default/web")?.rules.map((each) => each.host)).toEqual(["c.example"]);
  });

  test("is forgotten with its object: the next one of the name is new", () => {
    const store = storeWith(web);
    put(store, broken);
    store.delete(ref("Ingress", "web"));
    expect(store.diagnostics()).toEqual([]);
    put(store, broken);
    expect(store.index.ingresses.get("default/web")?.rules).toEqual([]);
  });

  test("is not what a mere warning is", () => {
    const store = storeWith(web);
    const odd = ingress("web", { rules: [], ruels: [] });
    expect(put(store, odd)).toEqual({
      touched: [{ kind: "Ingress", key: "default/web" }],
      diagnostics: true,
    });
    expect(store.index.ingresses.get("default/web")?.rules).toEqual([]);
  });
});
