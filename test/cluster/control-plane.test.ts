// What every other test here stands on: a real API server whose controllers turn pods into endpoints.
import { expect, test } from "vitest";
import { ApiError } from "../../src/kube-api/errors.ts";
import { useCluster } from "./harness/cluster.ts";
import { eventually } from "./harness/eventually.ts";
import { Objects } from "./harness/objects.ts";
import { serviceBody } from "./harness/pods.ts";

const cluster = useCluster();

test("a ready pod becomes an endpoint of its Service, and answers on its address", async () => {
  await cluster.objects.namespace("basics");
  await cluster.objects.create("Service", "basics", "web", serviceBody("web"));
  const pod = await cluster.pods.create("basics", "web-1", { app: "web" });
  const addresses = await eventually(
    async () => {
      const slices = await cluster.objects.list("EndpointSlice", "basics");
      const found = slices.flatMap((slice) => (slice["endpoints"] as { addresses: string[] }[] | null) ?? []);
      return found.length > 0 ? found.flatMap((each) => each.addresses) : null;
    },
    { what: "an EndpointSlice" },
  );
  expect(addresses).toEqual([pod.address]);
  const response = await fetch(`http://${pod.address}:8080/x`);
  expect(await response.json()).toMatchObject({ pod: "web-1", path: "/x" });
});

test("a user may do only what it was given", async () => {
  const guest = new Objects(cluster.plane.client("guest"));
  await expect(guest.list("Secret")).rejects.toMatchObject({ status: 403, reason: "Forbidden" });
  await cluster.objects.grant("guest", [{ apiGroups: [""], resources: ["secrets"], verbs: ["list"] }]);
  await eventually(
    () =>
      guest.list("Secret").catch((cause: unknown) => {
        if (cause instanceof ApiError && cause.status === 403) return null;
        throw cause;
      }),
    { what: "the right to list Secrets" },
  );
  guest.client.close();
});

test("objects survive the API server", async () => {
  await cluster.objects.namespace("survivor");
  await cluster.plane.stopApiServer();
  await cluster.plane.startApiServer();
  expect(await cluster.objects.find("Namespace", "", "survivor")).not.toBeNull();
});

test("a namespace and what is in it can be deleted", async () => {
  await cluster.objects.namespace("doomed");
  await cluster.objects.create("ConfigMap", "doomed", "settings");
  await cluster.objects.delete("Namespace", "", "doomed");
  await eventually(async () => (await cluster.objects.find("Namespace", "", "doomed")) === null, {
    what: "the end of the namespace",
  });
});
