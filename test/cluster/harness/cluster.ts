// What most test files want: one control plane for the file, and everything that a test starts ended after it.
import { afterAll, afterEach, beforeAll } from "vitest";
import { ControlPlane, type UserName } from "./control-plane.ts";
import { DelayingProxy } from "./delaying-proxy.ts";
import { Fairway, Traffic } from "./fairway.ts";
import { Objects, type Rule } from "./objects.ts";
import { ingressBody, Pods } from "./pods.ts";

export class Cluster {
  #started: { readonly plane: ControlPlane; readonly objects: Objects; readonly pods: Pods } | null = null;
  readonly #cleanUps: (() => Promise<void>)[] = [];

  get plane(): ControlPlane {
    return this.#parts.plane;
  }

  /** As admin. */
  get objects(): Objects {
    return this.#parts.objects;
  }

  get pods(): Pods {
    return this.#parts.pods;
  }

  async start(): Promise<void> {
    const plane = await ControlPlane.start();
    const objects = new Objects(plane.admin);
    this.#started = { plane, objects, pods: new Pods(objects) };
    await objects.create("IngressClass", "", "nginx", { spec: { controller: "k8s.io/ingress-nginx" } });
    await objects.grant("fairway", controllerRules);
  }

  async stop(): Promise<void> {
    await this.cleanUp();
    await this.#started?.pods.stop();
    await this.#started?.plane.stop();
  }

  /** Runs after the test, the last one first. */
  onCleanUp(cleanUp: () => Promise<void>): void {
    this.#cleanUps.push(cleanUp);
  }

  async cleanUp(): Promise<void> {
    for (const cleanUp of this.#cleanUps.splice(0).reverse()) await cleanUp();
  }

  /** A controller that ends with the test; ready unless `isAwaited` is false. */
  async fairway(
    args: readonly string[] = [],
    { user = "fairway", port = this.plane.apiPort, isAwaited = true, env = {} }: FairwayOfCluster = {},
  ): Promise<Fairway> {
    const fairway = new Fairway({ kubeconfig: this.plane.kubeconfig(user, port), args, env });
    this.onCleanUp(() => fairway.stop());
    if (isAwaited) await fairway.ready();
    return fairway;
  }

  /** A namespace with one Service, `web`, of one pod, and an Ingress of its own for each host. */
  async serve(namespace: string, ...hosts: readonly string[]): Promise<void> {
    await this.objects.namespace(namespace);
    await this.pods.service(namespace, "web");
    for (const host of hosts) {
      await this.objects.create("Ingress", namespace, host, ingressBody(host, "web"));
    }
  }

  /** Requests that go on until the test ends or stops them. */
  traffic(fairway: Fairway, ...hosts: readonly string[]): Traffic {
    const traffic = new Traffic(fairway, hosts);
    this.onCleanUp(() => traffic.stop());
    return traffic;
  }

  /** A proxy in front of the API server. */
  async proxy(): Promise<DelayingProxy> {
    const proxy = await DelayingProxy.start(this.plane.apiPort);
    this.onCleanUp(() => proxy.stop());
    return proxy;
  }

  get #parts() {
    if (this.#started === null) throw new Error("the cluster has not started");
    return this.#started;
  }
}

export interface FairwayOfCluster {
  readonly user?: UserName;
  /** That of a proxy in front of the API server. */
  readonly port?: number;
  readonly isAwaited?: boolean;
  readonly env?: Readonly<Record<string, string>>;
}

/** What the source reads. */
export const controllerRules: readonly Rule[] = [
  {
    apiGroups: [""],
    resources: ["services", "secrets", "configmaps", "namespaces"],
    verbs: ["get", "list", "watch"],
  },
  { apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"] },
  {
    apiGroups: ["networking.k8s.io"],
    resources: ["ingresses", "ingressclasses"],
    verbs: ["get", "list", "watch"],
  },
];

/** What writing to the cluster takes besides, as docs/cluster.md has it. */
export const publisherRules: readonly Rule[] = [
  { apiGroups: ["networking.k8s.io"], resources: ["ingresses/status"], verbs: ["patch"] },
  { apiGroups: [""], resources: ["events"], verbs: ["create", "patch"] },
  { apiGroups: [""], resources: ["pods"], verbs: ["get", "list"] },
  { apiGroups: [""], resources: ["nodes"], verbs: ["get"] },
  { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: ["get", "create", "update"] },
];

/** Starts before the tests of the file and ends after them. */
export function useCluster(): Cluster {
  const cluster = new Cluster();
  beforeAll(() => cluster.start());
  afterEach(() => cluster.cleanUp());
  afterAll(() => cluster.stop());
  return cluster;
}
