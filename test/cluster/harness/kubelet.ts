// Stands in for scheduler and kubelet: the pods of one namespace that others make, such as a Deployment, are bound and
// reported as ready, and end when they are deleted. Nothing runs in them.
import { setTimeout as delay } from "node:timers/promises";
import type { Objects, Stored } from "./objects.ts";
import { nextAddress, nodeName } from "./pods.ts";

const pauseMs = 50;

interface PodObject extends Stored {
  readonly metadata: Stored["metadata"] & { readonly deletionTimestamp?: string };
  readonly spec: { readonly nodeName?: string };
}

export class Kubelet {
  readonly #objects: Objects;
  readonly #namespace: string;
  readonly #loop: Promise<void>;
  #isStopped = false;

  constructor(objects: Objects, namespace: string) {
    this.#objects = objects;
    this.#namespace = namespace;
    this.#loop = this.#run();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.#loop;
  }

  async #run(): Promise<void> {
    while (!this.#isStopped) {
      for (const pod of (await this.#objects.list("Pod", this.#namespace)) as readonly PodObject[]) {
        if (pod.metadata.deletionTimestamp !== undefined) {
          await this.#objects.delete("Pod", this.#namespace, pod.metadata.name);
        } else if (pod.spec.nodeName === undefined) await this.#start(pod.metadata.name);
      }
      await delay(pauseMs);
    }
  }

  async #start(name: string): Promise<void> {
    await this.#objects.client.call({
      method: "POST",
      path: `/api/v1/namespaces/${this.#namespace}/pods/${name}/binding`,
      body: {
        apiVersion: "v1",
        kind: "Binding",
        metadata: { name },
        target: { kind: "Node", name: nodeName },
      },
    });
    const address = nextAddress();
    const conditions = ["Ready", "ContainersReady"].map((type) => ({ type, status: "True" }));
    const status = { phase: "Running", podIP: address, podIPs: [{ ip: address }], conditions };
    await this.#objects.patch("Pod", this.#namespace, name, { status }, "status");
  }
}
