// What is written to the cluster: status, Lease and Events.
import { beforeAll, expect, test } from "vitest";
import { StatusApi } from "../../src/controller/publish/status-api.ts";
import { controllerRules, publisherRules, useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import type { Fairway } from "./harness/fairway.ts";
import type { Kind, Stored } from "./harness/objects.ts";
import { ingressBody, nodeName } from "./harness/pods.ts";

const cluster = useCluster();

/** The namespace that Fairway's pods are in. */
const own = "fairway-system";
/** Short, so that a takeover is. */
const ttl = "--election-ttl=4s";

beforeAll(async () => {
  await cluster.objects.namespace(own);
  await cluster.objects.grant("fairway", [...controllerRules, ...publisherRules]);
});

/** With the pod object that it would run in. */
async function replica(name: string, args: readonly string[]): Promise<Fairway> {
  if ((await cluster.objects.find("Pod", own, name)) === null) {
    const pod = await cluster.pods.create(own, name, { app: "fairway", "pod-template-hash": name });
    cluster.onCleanUp(() => pod.delete());
  }
  return await cluster.fairway([ttl, ...args], { env: { POD_NAME: name, POD_NAMESPACE: own } });
}

/** The addresses of each Ingress of the namespace, as text. */
async function statuses(namespace: string): Promise<readonly string[]> {
  return (await cluster.objects.list("Ingress", namespace)).map(statusOf);
}

function statusOf(object: Stored): string {
  const { loadBalancer = {} } = (object["status"] ?? {}) as {
    loadBalancer?: { ingress?: { ip?: string; hostname?: string }[] };
  };
  return (loadBalancer.ingress ?? []).map(({ ip = "", hostname = "" }) => ip + hostname).join(",");
}

async function allHave(namespace: string, status: string): Promise<void> {
  let last: readonly string[] = [];
  await eventually(
    async () => {
      last = await statuses(namespace);
      return last.every((each) => each === status);
    },
    {
      what: () => `status ${JSON.stringify(status)}, found ${JSON.stringify([...new Set(last)])}`,
      timeoutMs: 60_000,
    },
  );
}

async function versions(kind: Kind, namespace: string): Promise<readonly string[]> {
  return (await cluster.objects.list(kind, namespace)).map(({ metadata }) => metadata.resourceVersion);
}

function writes(fairway: Fairway): Promise<number | null> {
  return fairway.metric('fairway_status_writes_total{result="success"}');
}

const leaderMetric = 'fairway_leader_election_status{name="ingress-controller-leader"}';

async function leads(fairway: Fairway): Promise<void> {
  await eventually(async () => (await fairway.metric(leaderMetric)) === 1, {
    what: () => `a leader\n${fairway.process.tail()}`,
  });
}

async function balancer(...addresses: readonly string[]): Promise<void> {
  const status = { loadBalancer: { ingress: addresses.map((ip) => ({ ip })) } };
  await cluster.objects.patch("Service", own, "front", { status }, "status");
}

test("the status of 1,000 Ingresses is exact, changes with the Service in front, leads to no build, and goes at the end", async () => {
  const { objects } = cluster;
  await cluster.serve("many", "first.example");
  await objects.create("Service", own, "front", { spec: { type: "LoadBalancer", ports: [{ port: 80 }] } });
  await balancer("203.0.113.1");
  const names = Array.from({ length: 999 }, (_, index) => `many-${index}`).values();
  const createNext = async (): Promise<void> => {
    for (const name of names)
      await objects.create("Ingress", "many", name, ingressBody(`${name}.example`, "web"));
  };
  await Promise.all(Array.from({ length: 16 }, createNext));
  await objects.create("Ingress", "many", "foreign", {
    spec: { ...ingressBody("f.example", "web").spec, ingressClassName: "other" },
  });
  const fairway = await replica("status-1", [`--publish-service=${own}/front`]);
  await fairway.answers("first.example", 200, "web-1");
  const tables = await fairway.metric("fairway_table_generation");
  const ours = async (status: string): Promise<void> => {
    await eventually(
      async () => {
        const found = (await objects.list("Ingress", "many")).filter((each) => statusOf(each) === status);
        return found.length === 1_000;
      },
      { what: () => `${status} on all\n${fairway.process.tail()}`, timeoutMs: 60_000 },
    );
  };
  await ours("203.0.113.1");
  expect(statusOf((await objects.find("Ingress", "many", "foreign"))!)).toBe("");
  expect(await writes(fairway)).toBe(1_000);

  await balancer("203.0.113.2");
  await ours("203.0.113.2");
  // What is right is not written again, though the Service and one Ingress change in other ways.
  const before = await versions("Ingress", "many");
  await objects.patch("Service", own, "front", { metadata: { labels: { touched: "yes" } } });
  await objects.patch("Ingress", "many", "many-7", { status: { loadBalancer: null } }, "status");
  await eventually(async () => (await writes(fairway)) === 2_001, { what: "the write of the one" });
  const after = await versions("Ingress", "many");
  expect(after.filter((version, index) => version !== before[index])).toHaveLength(1);
  await eventually(async () => (await fairway.metric("fairway_status_differences")) === 0, {
    what: "the end of the differences",
  });
  expect(await fairway.metric("fairway_table_generation")).toBe(tables);

  await fairway.stop();
  await allHave("many", "");
  const lease = (await objects.find("Lease", own, "ingress-controller-leader"))!;
  expect((lease["spec"] as { holderIdentity?: string }).holderIdentity ?? "").toBe("");
  await cluster.pods.deleteNamespace("many");
}, 150_000);

test("observing writes nothing, and tells what differs", async () => {
  const { objects } = cluster;
  await cluster.serve("observed", "observed.example", "right.example");
  const status = { loadBalancer: { ingress: [{ ip: "198.51.100.9" }] } };
  await objects.patch("Ingress", "observed", "right.example", { status }, "status");
  const before = await versions("Ingress", "observed");
  const fairway = await replica("observe-1", [
    "--status=observe",
    "--watch-namespace=observed",
    "--publish-status-address=198.51.100.9",
  ]);
  await leads(fairway);
  await eventually(
    async () => (await fairway.admin("/debug/cluster")).body.includes("observed/observed.example  none"),
    {
      what: "the difference on the page",
    },
  );
  const page = (await fairway.admin("/debug/cluster")).body;
  expect(page).not.toContain("right.example");
  expect(page).toMatch(/holder +observe-1_/);
  await fairway.stop();
  expect(await versions("Ingress", "observed")).toEqual(before);
});

test("a leader that is killed is replaced within the life of its Lease, and status goes with the living", async () => {
  const { objects } = cluster;
  await cluster.serve("takeover", "takeover.example");
  const node = await objects.find("Node", "", nodeName);
  expect(node).not.toBeNull();
  const addresses = [{ type: "InternalIP", address: "192.0.2.10" }];
  await objects.patch("Node", "", nodeName, { status: { addresses } }, "status");
  const first = await replica("leader-1", ["--status-update-interval=5", "--watch-namespace=takeover"]);
  await leads(first);
  await allHave("takeover", "192.0.2.10");
  const second = await replica("leader-2", ["--status-update-interval=5", "--watch-namespace=takeover"]);
  expect(await second.metric(leaderMetric)).toBe(0);
  const killedAt = performance.now();
  await first.stop("SIGKILL");
  await leads(second);
  // 4 s from when the second has seen the last renewal, and a quarter of it until the next look; the rest is for a busy
  // machine.
  expect(performance.now() - killedAt).toBeLessThan(10_000);
  const before = await versions("Ingress", "takeover");
  await objects.create("Ingress", "takeover", "late", ingressBody("late.example", "web"));
  await allHave("takeover", "192.0.2.10");
  expect(await versions("Ingress", "takeover")).toEqual(expect.arrayContaining([...before]));
  // The pod of the first is still there, so the second leaves the status.
  await second.stop();
  expect(await statuses("takeover")).toEqual(["192.0.2.10", "192.0.2.10"]);
});

test("an Ingress that nobody may write does not hold up the others", async () => {
  const { objects, plane } = cluster;
  await cluster.serve("refusing", "good.example", "bad.example");
  await objects.grant("second", [
    ...controllerRules,
    ...publisherRules.filter(({ resources }) => !resources.includes("ingresses/status")),
    // As the role of ingress-nginx has it: `update`, and here for one only.
    {
      apiGroups: ["networking.k8s.io"],
      resources: ["ingresses/status"],
      resourceNames: ["good.example"],
      verbs: ["update"],
    },
  ]);
  // One that was made anew meanwhile is another.
  await expect(
    new StatusApi(plane.admin).write("refusing/good.example", "of-another", [
      { ip: "192.0.2.1", hostname: "" },
    ]),
  ).rejects.toThrow(/uid|UID/);
  const fairway = await cluster.fairway(
    [ttl, "--publish-status-address=lb.example", "--watch-namespace=refusing"],
    {
      user: "second",
      env: { POD_NAME: "refused-1", POD_NAMESPACE: own },
    },
  );
  await eventually(
    async () => statusOf((await objects.find("Ingress", "refusing", "good.example"))!) === "lb.example",
    { what: () => `the status of the good one\n${fairway.process.tail()}` },
  );
  await fairway.process.line(/status of Ingress .*forbidden/);
  await eventually(async () => (await fairway.metric("fairway_status_differences")) === 1, {
    what: "one that differs",
  });
  await objects.grant("second", [...controllerRules, ...publisherRules]);
  await allHave("refusing", "lb.example");
});

test("a diagnostic is one Event on its object, however often we start", async () => {
  const { objects } = cluster;
  await objects.namespace("events");
  const { metadata } = await objects.create(
    "Ingress",
    "events",
    "lost",
    ingressBody("lost.example", "nowhere"),
  );
  const events = (): Promise<readonly Stored[]> => objects.list("Event", "events");
  const first = await replica("events-1", ["--status=off", "--watch-namespace=events"]);
  await eventually(async () => (await events()).length > 0, {
    what: () => `an Event\n${first.process.tail()}`,
  });
  await first.stop();
  const [event] = await events();
  expect(event).toMatchObject({
    type: "Warning",
    reason: "ServiceNotFound",
    involvedObject: { kind: "Ingress", name: "lost", uid: metadata.uid },
    source: { component: "fairway" },
  });
  const second = await replica("events-2", ["--status=off", "--watch-namespace=events"]);
  await eventually(async () => ((await second.metric('fairway_events_total{result="written"}')) ?? 0) >= 1, {
    what: "another look at the Event",
  });
  // A later diagnostic comes after it, so all before it have been dealt with.
  await objects.create("Ingress", "events", "later", ingressBody("later.example", "nowhere"));
  await eventually(async () => (await events()).length > 1, { what: "the Event of the other" });
  const found = await events();
  expect(found.map((each) => (each["involvedObject"] as { name: string }).name).sort()).toEqual([
    "later",
    "lost",
  ]);
  expect(found.find(({ metadata }) => metadata.name === event!.metadata.name)!.metadata.resourceVersion).toBe(
    event!.metadata.resourceVersion,
  );
});

test("TCP services are checked, and told not to be served", async () => {
  const { objects } = cluster;
  await objects.namespace("streams");
  await objects.create("ConfigMap", "streams", "tcp", { data: { "9000": "shop/db:5432", "9001": "db" } });
  const fairway = await cluster.fairway(["--tcp-services-configmap=streams/tcp"]);
  const told = await eventually(
    async () => {
      const text = await fairway.diagnostics();
      return text.includes("data.9001") ? text : null;
    },
    { what: "the diagnostics" },
  );
  expect(told).toMatch(/data\.9000: UnsupportedStreamService: Fairway does not serve TCP services yet/);
  expect(told).toMatch(/data\.9001: InvalidStreamService: found "db", expected namespace\/service:port/);
});
