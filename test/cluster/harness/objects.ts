// Objects in the API server by kind and name: made, changed, deleted, as tests want them.
import type { ApiClient } from "../../../src/kube-api/client.ts";
import { ApiError } from "../../../src/kube-api/errors.ts";

/** Group and version, plural, and whether it lives in a namespace. */
const kinds = {
  Namespace: ["v1", "namespaces", false],
  Node: ["v1", "nodes", false],
  Pod: ["v1", "pods", true],
  Service: ["v1", "services", true],
  Secret: ["v1", "secrets", true],
  ConfigMap: ["v1", "configmaps", true],
  Event: ["v1", "events", true],
  Endpoints: ["v1", "endpoints", true],
  EndpointSlice: ["discovery.k8s.io/v1", "endpointslices", true],
  Ingress: ["networking.k8s.io/v1", "ingresses", true],
  IngressClass: ["networking.k8s.io/v1", "ingressclasses", false],
  Deployment: ["apps/v1", "deployments", true],
  Lease: ["coordination.k8s.io/v1", "leases", true],
  Role: ["rbac.authorization.k8s.io/v1", "roles", true],
  RoleBinding: ["rbac.authorization.k8s.io/v1", "rolebindings", true],
  ValidatingWebhookConfiguration: [
    "admissionregistration.k8s.io/v1",
    "validatingwebhookconfigurations",
    false,
  ],
  CustomResourceDefinition: ["apiextensions.k8s.io/v1", "customresourcedefinitions", false],
  ClusterRole: ["rbac.authorization.k8s.io/v1", "clusterroles", false],
  ClusterRoleBinding: ["rbac.authorization.k8s.io/v1", "clusterrolebindings", false],
} as const satisfies Record<string, readonly [string, string, boolean]>;

export type Kind = keyof typeof kinds;

/** Without apiVersion, kind and name, which are given apart. */
export interface Body {
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly [field: string]: unknown;
}

/** An object as the API server has it. */
export interface Stored {
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly uid: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly [field: string]: unknown;
}

export class Objects {
  readonly client: ApiClient;

  constructor(client: ApiClient) {
    this.client = client;
  }

  async create(kind: Kind, namespace: string, name: string, body: Body = {}): Promise<Stored> {
    const created = await this.client.call({
      method: "POST",
      path: pathOf(kind, namespace),
      body: objectOf(kind, namespace, name, body),
    });
    return created as Stored;
  }

  /** Created when it is not there, replaced as a whole when it is. */
  async put(kind: Kind, namespace: string, name: string, body: Body = {}): Promise<Stored> {
    const found = await this.find(kind, namespace, name);
    if (found === null) return await this.create(kind, namespace, name, body);
    const object = objectOf(kind, namespace, name, body);
    const { resourceVersion } = found.metadata;
    const replaced = await this.client.call({
      method: "PUT",
      path: `${pathOf(kind, namespace)}/${name}`,
      body: { ...object, metadata: { ...object.metadata, resourceVersion } },
    });
    return replaced as Stored;
  }

  /** A JSON merge patch. `subresource`: `status`, as a rule. */
  async patch(
    kind: Kind,
    namespace: string,
    name: string,
    patch: unknown,
    subresource = "",
  ): Promise<Stored> {
    const patched = await this.client.call({
      method: "PATCH",
      path: `${pathOf(kind, namespace)}/${name}${subresource === "" ? "" : `/${subresource}`}`,
      body: patch,
      contentType: "application/merge-patch+json",
    });
    return patched as Stored;
  }

  /** Null when it is not there. */
  async find(kind: Kind, namespace: string, name: string): Promise<Stored | null> {
    try {
      return (await this.client.call({ path: `${pathOf(kind, namespace)}/${name}` })) as Stored;
    } catch (cause) {
      if (cause instanceof ApiError && cause.status === 404) return null;
      throw cause;
    }
  }

  /** Of all namespaces when `namespace` is empty. */
  async list(kind: Kind, namespace = ""): Promise<readonly Stored[]> {
    const list = await this.client.call({ path: pathOf(kind, namespace) });
    return (list as { items: Stored[] }).items;
  }

  /** At once, without waiting for whoever runs it. */
  async delete(kind: Kind, namespace: string, name: string): Promise<void> {
    await this.client.call({
      method: "DELETE",
      path: `${pathOf(kind, namespace)}/${name}`,
      body: { apiVersion: "v1", kind: "DeleteOptions", gracePeriodSeconds: 0 },
    });
  }

  async namespace(name: string, labels: Readonly<Record<string, string>> = {}): Promise<string> {
    await this.create("Namespace", "", name, { labels });
    return name;
  }

  /** Gives a user a cluster-wide role with these rules, in place of the one that it had from here. */
  async grant(user: string, rules: readonly Rule[]): Promise<void> {
    const name = `test-${user}`;
    await this.put("ClusterRole", "", name, { rules });
    if ((await this.find("ClusterRoleBinding", "", name)) !== null) return;
    await this.create("ClusterRoleBinding", "", name, {
      roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name },
      subjects: [{ apiGroup: "rbac.authorization.k8s.io", kind: "User", name: user }],
    });
  }
}

export interface Rule {
  readonly apiGroups: readonly string[];
  readonly resources: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly verbs: readonly string[];
}

export function pathOf(kind: Kind, namespace: string): string {
  const [version, plural, isNamespaced] = kinds[kind];
  const root = version === "v1" ? "/api/v1" : `/apis/${version}`;
  return isNamespaced && namespace !== "" ? `${root}/namespaces/${namespace}/${plural}` : `${root}/${plural}`;
}

function objectOf(kind: Kind, namespace: string, name: string, body: Body) {
  const [apiVersion, , isNamespaced] = kinds[kind];
  const { labels = {}, annotations = {}, ...rest } = body;
  const metadata = { name, labels, annotations, ...(isNamespaced ? { namespace } : {}) };
  return { apiVersion, kind, metadata, ...rest };
}
