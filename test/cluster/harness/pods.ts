// Pods without a kubelet: the object in the API server, and a real HTTP server on the address of the pod.
import { once } from "node:events";
import http from "node:http";
import type { Objects } from "./objects.ts";

/** Every address of it is local in the namespace that run.ts makes. */
export const podNetwork = "10.244.0.0/16";
export const nodeName = "node-1";
export const podPort = 8080;

/** Each worker of the suite has 16 times 256. */
let lastAddress = (16 * 256 * Number(process.env["VITEST_POOL_ID"] ?? 0)) % 65_536;

/** Of a pod; nobody has had it before. */
export function nextAddress(): string {
  lastAddress += 1;
  return `10.244.${lastAddress >> 8}.${lastAddress & 255}`;
}

export class Pods {
  readonly #objects: Objects;
  readonly #pods = new Set<Pod>();
  #hasNode = false;

  constructor(objects: Objects) {
    this.#objects = objects;
  }

  /** Running, ready and answering, unless `isReady` is false. */
  async create(
    namespace: string,
    name: string,
    labels: Readonly<Record<string, string>>,
    { isReady = true } = {},
  ): Promise<Pod> {
    // The controller of EndpointSlices passes over pods of unknown nodes.
    if (!this.#hasNode && (await this.#objects.find("Node", "", nodeName)) === null) {
      await this.#objects.create("Node", "", nodeName);
    }
    this.#hasNode = true;
    const address = nextAddress();
    const server = await startEcho(name, address);
    await this.#objects.create("Pod", namespace, name, {
      labels,
      spec: {
        nodeName,
        containers: [{ name: "echo", image: "echo", ports: [{ name: "http", containerPort: podPort }] }],
      },
    });
    const pod = new Pod(this.#objects, namespace, name, address, server);
    this.#pods.add(pod);
    await pod.setReady(isReady);
    return pod;
  }

  /** A Service `name`, port 80 named http, of one pod `name-1`; ready when the caller's table has it. */
  async service(namespace: string, name: string): Promise<Pod> {
    await this.#objects.create("Service", namespace, name, serviceBody(name));
    return await this.create(namespace, `${name}-1`, { app: name });
  }

  /** Pods are the first to go, and stay until their kubelet, here we, says that they have ended. */
  async deleteNamespace(name: string): Promise<void> {
    await this.#objects.delete("Namespace", "", name);
    await Promise.all(
      (await this.#objects.list("Pod", name)).map(({ metadata }) =>
        this.#objects.delete("Pod", name, metadata.name),
      ),
    );
  }

  async stop(): Promise<void> {
    await Promise.all([...this.#pods].map((pod) => pod.stopServer()));
  }
}

/** Selects the pods with the label `app`. */
export function serviceBody(app: string) {
  return { spec: { selector: { app }, ports: [{ name: "http", port: 80, targetPort: "http" }] } };
}

/** One host, every path, to port 80 of one Service; of class `nginx`. */
export function ingressBody(host: string, service: string, secretName = "") {
  const backend = { service: { name: service, port: { number: 80 } } };
  return {
    spec: {
      ingressClassName: "nginx",
      rules: [{ host, http: { paths: [{ path: "/", pathType: "Prefix", backend }] } }],
      ...(secretName === "" ? {} : { tls: [{ hosts: [host], secretName }] }),
    },
  };
}

export class Pod {
  readonly namespace: string;
  readonly name: string;
  readonly address: string;
  readonly #objects: Objects;
  readonly #server: http.Server;

  constructor(objects: Objects, namespace: string, name: string, address: string, server: http.Server) {
    this.#objects = objects;
    this.namespace = namespace;
    this.name = name;
    this.address = address;
    this.#server = server;
  }

  /** As the kubelet would report it. */
  async setReady(isReady: boolean): Promise<void> {
    const status = isReady ? "True" : "False";
    await this.#objects.patch(
      "Pod",
      this.namespace,
      this.name,
      {
        status: {
          phase: "Running",
          podIP: this.address,
          podIPs: [{ ip: this.address }],
          conditions: ["Ready", "ContainersReady"].map((type) => ({ type, status })),
        },
      },
      "status",
    );
  }

  /** The object; its server answers on until `stop`. */
  async delete(): Promise<void> {
    await this.#objects.delete("Pod", this.namespace, this.name);
  }

  async stopServer(): Promise<void> {
    if (!this.#server.listening) return;
    const closed = once(this.#server, "close");
    this.#server.close();
    this.#server.closeAllConnections();
    await closed;
  }
}

async function startEcho(pod: string, address: string): Promise<http.Server> {
  const server = http.createServer((request, response) => {
    request.resume();
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ pod, path: request.url, headers: request.headers }));
  });
  server.listen(podPort, address);
  await once(server, "listening");
  return server;
}
