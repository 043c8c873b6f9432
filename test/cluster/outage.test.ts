// The API server is away for a minute.
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import { ingressBody } from "./harness/pods.ts";

const cluster = useCluster();

test("a minute without API server costs no request, and what changed meanwhile comes at once", async () => {
  const { objects, plane } = cluster;
  await cluster.serve("outage", "outage.example");
  const fairway = await cluster.fairway();
  await fairway.answers("outage.example", 200);
  const load = cluster.traffic(fairway, "outage.example");
  await plane.stopApiServer();
  await eventually(async () => (await fairway.diagnostics()).includes("ApiUnreachable"), {
    what: "a diagnostic about the outage",
  });
  // Real time: back-off must have grown to its full length.
  await delay(60_000);
  expect(await fairway.metric('fairway_kubernetes_last_contact_age_seconds{kind="Ingress"}')).toBeGreaterThan(
    59,
  );
  expect((await fairway.admin("/readyz")).status).toBe(200);
  const tables = await fairway.metric("fairway_table_generation");
  await plane.startApiServer();
  await eventually(async () => !(await fairway.diagnostics()).includes("ApiUnreachable"), {
    what: "the end of the diagnostic",
    timeoutMs: 40_000,
  });
  // Nothing has changed, so nothing was built.
  expect(await fairway.metric("fairway_table_generation")).toBe(tables);
  await objects.create("Ingress", "outage", "after", ingressBody("after.example", "web"));
  await fairway.answers("after.example", 200);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(load.requests).toBeGreaterThan(100);
}, 150_000);
