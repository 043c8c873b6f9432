// Names of Kubernetes objects as they appear in the IR, in diagnostics and on the admin page.

/** Identifies one Kubernetes object. `namespace` is empty for cluster-scoped kinds. */
export interface ObjectRef {
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
}

/** `Ingress default/web`, or `IngressClass nginx` for cluster-scoped kinds. */
export function formatRef(ref: ObjectRef): string {
  return ref.namespace === "" ? `${ref.kind} ${ref.name}` : `${ref.kind} ${ref.namespace}/${ref.name}`;
}

/** A key for maps: `Ingress/default/web`. Kubernetes names cannot hold a slash, so keys never collide. */
export function refKey(ref: ObjectRef): string {
  return `${ref.kind}/${ref.namespace}/${ref.name}`;
}
