// The connections to the API server never last.
import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import { useCluster } from "./harness/cluster.ts";
import { ingressBody } from "./harness/pods.ts";

const cluster = useCluster();

test("watches that are cut every second lose no change and no request", async () => {
  const { objects } = cluster;
  await cluster.serve("cuts", "cuts.example");
  const proxy = await cluster.proxy();
  const fairway = await cluster.fairway([], { port: proxy.port });
  await fairway.answers("cuts.example", 200);
  const load = cluster.traffic(fairway, "cuts.example");
  for (let second = 0; second < 60; second += 1) {
    const name = `cut-${second}`;
    await objects.create("Ingress", "cuts", name, ingressBody(`${name}.example`, "web"));
    if (second > 0) await objects.delete("Ingress", "cuts", `cut-${second - 1}`);
    // The fault itself takes place in real time.
    await delay(1_000);
    proxy.cut();
  }
  await fairway.answers("cut-59.example", 200);
  await fairway.answers("cut-58.example", 404);
  await load.stop();
  expect(load.failures).toEqual([]);
  expect(
    await fairway.metric('fairway_kubernetes_watch_restarts_total{kind="Ingress"}'),
  ).toBeGreaterThanOrEqual(30);
}, 150_000);
