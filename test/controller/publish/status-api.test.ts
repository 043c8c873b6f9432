import { expect, test } from "vitest";
import { StatusApi } from "../../../src/controller/publish/status-api.ts";
import type { ApiRequest } from "../../../src/kube-api/client.ts";
import { ApiError } from "../../../src/kube-api/errors.ts";

const path = "/apis/networking.k8s.io/v1/namespaces/shop/ingresses/web";
const addresses = [
  { ip: "203.0.113.1", hostname: "" },
  { ip: "", hostname: "lb.example" },
];
const list = [{ ip: "203.0.113.1" }, { hostname: "lb.example" }];

/** Allows some methods, and notes what is asked. */
class Server {
  readonly asked: ApiRequest[] = [];
  allowed: readonly string[] = ["PATCH"];

  call(request: ApiRequest): Promise<unknown> {
    this.asked.push(request);
    const { method = "GET" } = request;
    if (method !== "GET" && !this.allowed.includes(method)) {
      return Promise.reject(new ApiError(403, "Forbidden", "no"));
    }
    const object = {
      metadata: { uid: "1", resourceVersion: "7" },
      spec: { rules: [] },
      status: { other: 1 },
    };
    return Promise.resolve(object);
  }

  get methods(): string {
    return this.asked.map(({ method = "GET" }) => method).join(" ");
  }
}

test("says one field, of the Ingress with this uid, in our name", async () => {
  const server = new Server();
  await new StatusApi(server).write("shop/web", "1", addresses);
  expect(server.asked).toMatchObject([
    {
      method: "PATCH",
      path: `${path}/status`,
      query: { fieldManager: "fairway" },
      contentType: "application/merge-patch+json",
      body: { metadata: { uid: "1" }, status: { loadBalancer: { ingress: list } } },
    },
  ]);
});

test("replaces the object where patch is not allowed, and goes back when that changes", async () => {
  const server = new Server();
  const api = new StatusApi(server);
  server.allowed = ["PUT"];
  await api.write("shop/web", "1", addresses);
  await api.write("shop/web", "1", addresses);
  expect(server.methods).toBe("PATCH GET PUT GET PUT");
  expect(server.asked.at(-1)).toMatchObject({
    path: `${path}/status`,
    query: { fieldManager: "fairway" },
    body: {
      metadata: { uid: "1", resourceVersion: "7" },
      spec: { rules: [] },
      status: { other: 1, loadBalancer: { ingress: list } },
    },
  });
  server.allowed = ["PATCH"];
  server.asked.length = 0;
  await api.write("shop/web", "1", addresses);
  await api.write("shop/web", "1", addresses);
  expect(server.methods).toBe("GET PUT PATCH PATCH");
});

test("rejects when neither is allowed, or the Ingress was made anew", async () => {
  const server = new Server();
  const api = new StatusApi(server);
  server.allowed = [];
  await expect(api.write("shop/web", "1", addresses)).rejects.toThrow("no");
  server.allowed = ["PUT"];
  await expect(api.write("shop/web", "2", addresses)).rejects.toThrow("it was made anew");
});
