// The pods of our own Deployment or DaemonSet: who else runs, and on which nodes. Found by the labels of our own pod:
// those that say what it is part of, when it has them; else all but those that change with a rollout. An old pod that
// did not know its successor would take the status with it in the middle of an upgrade.
import type { ApiReader } from "../sources/kubernetes/reflector.ts";
import {
  fieldsOf,
  itemsOf,
  nodeAddresses,
  sortAddresses,
  textOf,
  type Addresses,
  type PublishedAddress,
} from "./addresses.ts";

export interface OwnPod {
  readonly namespace: string;
  readonly name: string;
}

/** Recommended by Kubernetes, and set by charts. */
const identityLabels: ReadonlySet<string> = new Set([
  "app.kubernetes.io/name",
  "app.kubernetes.io/instance",
  "app.kubernetes.io/component",
]);
const rolloutLabels: ReadonlySet<string> = new Set([
  "pod-template-hash",
  "controller-revision-hash",
  "pod-template-generation",
  "helm.sh/chart",
]);
const timeoutMs = 10_000;
/** Of the pods and nodes of one controller. */
const podsMax = 1_000;

interface Pod {
  readonly name: string;
  readonly node: string;
  readonly isServing: boolean;
  /** It has not ended, and is not told to. */
  readonly isStaying: boolean;
}

export class OwnPods {
  readonly #client: Pick<ApiReader, "call">;
  readonly #own: OwnPod;
  #selector: string | null = null;

  constructor(client: Pick<ApiReader, "call">, own: OwnPod) {
    this.#client = client;
    this.#own = own;
  }

  /** Of the nodes with a running and ready pod of ours; null: there is none. Rejects when they cannot be read. */
  async nodeAddresses(prefersInternal: boolean): Promise<Addresses | null> {
    const nodes = new Set((await this.#list()).flatMap((pod) => (pod.isServing ? [pod.node] : [])));
    if (nodes.size === 0) return null;
    const addresses: PublishedAddress[] = [];
    for (const node of nodes) {
      addresses.push(...nodeAddresses(await this.#read(`/api/v1/nodes/${node}`, {}), prefersInternal));
    }
    return sortAddresses(addresses);
  }

  /** Rejects when they cannot be read. */
  async areOthersRunning(): Promise<boolean> {
    return (await this.#list()).some(({ name, isStaying }) => isStaying && name !== this.#own.name);
  }

  async #list(): Promise<readonly Pod[]> {
    const path = `/api/v1/namespaces/${this.#own.namespace}/pods`;
    this.#selector ??= selectorOf(await this.#read(`${path}/${this.#own.name}`, {}));
    const list = await this.#read(path, { labelSelector: this.#selector, limit: String(podsMax) });
    return itemsOf(fieldsOf(list)["items"]).map(podOf);
  }

  async #read(path: string, query: Readonly<Record<string, string>>): Promise<unknown> {
    return await this.#client.call({ path, query, signal: AbortSignal.timeout(timeoutMs) });
  }
}

function selectorOf(pod: unknown): string {
  const { labels } = fieldsOf(fieldsOf(pod)["metadata"]);
  const all = Object.entries(fieldsOf(labels));
  const identity = all.filter(([key]) => identityLabels.has(key));
  const telling = identity.length > 0 ? identity : all.filter(([key]) => !rolloutLabels.has(key));
  if (telling.length === 0) throw new Error("our own pod has no labels by which its like could be found");
  return telling.map(([key, value]) => `${key}=${textOf(value)}`).join(",");
}

function podOf(value: unknown): Pod {
  const pod = fieldsOf(value);
  const { name, deletionTimestamp } = fieldsOf(pod["metadata"]);
  const { phase, conditions } = fieldsOf(pod["status"]);
  const isReady = itemsOf(conditions).some((each) => {
    const { type, status } = fieldsOf(each);
    return type === "Ready" && status === "True";
  });
  const isStaying = deletionTimestamp === undefined && phase !== "Succeeded" && phase !== "Failed";
  return {
    name: textOf(name),
    node: textOf(fieldsOf(pod["spec"])["nodeName"]),
    isServing: phase === "Running" && isReady,
    isStaying,
  };
}
