import { expect, test } from "vitest";
import { OwnPods } from "../../../src/controller/publish/own-pods.ts";
import { ObservedObjects } from "../../../src/controller/publish/observed.ts";
import type { ApiRequest } from "../../../src/kube-api/client.ts";

interface PodOptions {
  readonly phase?: string;
  readonly isReady?: boolean;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
}

function pod(
  name: string,
  node: string,
  { phase = "Running", isReady = true, ...metadata }: PodOptions = {},
) {
  return {
    metadata: { name, labels: { app: "fairway", "pod-template-hash": "1" }, ...metadata },
    spec: { nodeName: node },
    status: { phase, conditions: [{ type: "Ready", status: isReady ? "True" : "False" }] },
  };
}

function podsOf(...items: readonly unknown[]): { readonly own: OwnPods; readonly asked: ApiRequest[] } {
  const asked: ApiRequest[] = [];
  const call = (request: ApiRequest): Promise<unknown> => {
    asked.push(request);
    const node = /\/nodes\/node-(\d)$/.exec(request.path)?.[1];
    if (node !== undefined) {
      return Promise.resolve({ status: { addresses: [{ type: "InternalIP", address: `192.0.2.${node}` }] } });
    }
    return Promise.resolve(request.path.endsWith("/pods") ? { items } : pod("one", "node-1"));
  };
  return { own: new OwnPods({ call }, { namespace: "system", name: "one" }), asked };
}

test("addresses are those of the nodes with a running and ready pod, each once", async () => {
  const { own, asked } = podsOf(
    pod("one", "node-1"),
    pod("two", "node-1"),
    pod("three", "node-3", { isReady: false }),
    pod("four", "node-4", { phase: "Pending" }),
    pod("five", "node-5"),
  );
  expect((await own.nodeAddresses(false))?.map(({ ip }) => ip)).toEqual(["192.0.2.1", "192.0.2.5"]);
  expect(asked[1]?.query).toMatchObject({ labelSelector: "app=fairway" });
});

test("another version of the same release is one of ours", async () => {
  const asked: ApiRequest[] = [];
  const labels = {
    "app.kubernetes.io/name": "fairway",
    "app.kubernetes.io/instance": "edge",
    "app.kubernetes.io/version": "1.0.0",
    "helm.sh/chart": "fairway-1.0.0",
    team: "web",
  };
  const call = (request: ApiRequest): Promise<unknown> => {
    asked.push(request);
    return Promise.resolve(request.path.endsWith("/pods") ? { items: [] } : pod("one", "node-1", { labels }));
  };
  await new OwnPods({ call }, { namespace: "system", name: "one" }).areOthersRunning();
  expect(asked[1]?.query).toMatchObject({
    labelSelector: "app.kubernetes.io/name=fairway,app.kubernetes.io/instance=edge",
  });
});

test("without a ready pod they are not known", async () => {
  expect(await podsOf(pod("one", "node-1", { isReady: false })).own.nodeAddresses(false)).toBeNull();
});

test.each([
  ["alone", [], false],
  ["beside one that starts", [pod("two", "node-2", { phase: "Pending", isReady: false })], true],
  ["beside one that ends", [pod("two", "node-2", { deletionTimestamp: "2026-01-01T00:00:00Z" })], false],
  ["beside one that has failed", [pod("two", "node-2", { phase: "Failed" })], false],
] as const)("others run: %s", async (_, others, expected) => {
  expect(await podsOf(pod("one", "node-1"), ...others).own.areOthersRunning()).toBe(expected);
});

test("the Service in front is told of when its addresses change, and only then", () => {
  const observed = new ObservedObjects("system/front");
  const told: (string | null)[] = [];
  observed.onService = () => void told.push(observed.serviceAddresses?.[0]?.ip ?? null);
  const service = (clusterIP: string, version: string) => ({
    metadata: { uid: "1", resourceVersion: version },
    spec: { clusterIP },
  });
  observed.observe("Service", "system/other", service("10.96.0.9", "1"));
  observed.observe("Service", "system/front", service("10.96.0.1", "2"));
  observed.observe("Service", "system/front", service("10.96.0.1", "3"));
  observed.observe("Service", "system/front", service("10.96.0.2", "4"));
  observed.observe("Service", "system/front", null);
  expect(told).toEqual(["10.96.0.1", "10.96.0.2", null]);
  expect(observed.uidOf({ kind: "Service", namespace: "system", name: "front" })).toBe("");
  expect(observed.uidOf({ kind: "Service", namespace: "system", name: "other" })).toBe("1");
});
