// Which kinds Fairway reads, and which it knows well enough to pass over in silence.

/** apiVersion of the kinds we read. */
export const readKinds: ReadonlyMap<string, string> = new Map([
  ["Ingress", "networking.k8s.io/v1"],
  ["IngressClass", "networking.k8s.io/v1"],
  ["Service", "v1"],
  ["EndpointSlice", "discovery.k8s.io/v1"],
  ["Endpoints", "v1"],
  ["Secret", "v1"],
  ["ConfigMap", "v1"],
  ["Namespace", "v1"],
]);

/** Versions that Kubernetes no longer serves, of kinds we read. */
export const oldVersions: ReadonlySet<string> = new Set([
  "extensions/v1beta1",
  "networking.k8s.io/v1beta1",
  "discovery.k8s.io/v1beta1",
]);

/** Kinds of Kubernetes that do not concern routing, by API group. */
const passedOver: Readonly<Record<string, string>> = {
  "": "Binding ComponentStatus Event LimitRange Node PersistentVolume PersistentVolumeClaim Pod PodTemplate ReplicationController ResourceQuota ServiceAccount",
  "admissionregistration.k8s.io":
    "MutatingAdmissionPolicy MutatingAdmissionPolicyBinding MutatingWebhookConfiguration ValidatingAdmissionPolicy ValidatingAdmissionPolicyBinding ValidatingWebhookConfiguration",
  "apiextensions.k8s.io": "CustomResourceDefinition",
  "apiregistration.k8s.io": "APIService",
  apps: "ControllerRevision DaemonSet Deployment ReplicaSet StatefulSet",
  autoscaling: "HorizontalPodAutoscaler Scale",
  batch: "CronJob Job",
  "certificates.k8s.io": "CertificateSigningRequest ClusterTrustBundle",
  "coordination.k8s.io": "Lease LeaseCandidate",
  "events.k8s.io": "Event",
  "flowcontrol.apiserver.k8s.io": "FlowSchema PriorityLevelConfiguration",
  "networking.k8s.io": "IPAddress NetworkPolicy ServiceCIDR",
  "node.k8s.io": "RuntimeClass",
  policy: "Eviction PodDisruptionBudget PodSecurityPolicy",
  "rbac.authorization.k8s.io": "ClusterRole ClusterRoleBinding Role RoleBinding",
  "resource.k8s.io": "DeviceClass ResourceClaim ResourceClaimTemplate ResourceSlice",
  "scheduling.k8s.io": "PriorityClass",
  "storage.k8s.io":
    "CSIDriver CSINode CSIStorageCapacity StorageClass VolumeAttachment VolumeAttributesClass",
};

const kindsByGroup: ReadonlyMap<string, ReadonlySet<string>> = new Map(
  Object.entries(passedOver).map(([group, kinds]) => [group, new Set(kinds.split(" "))]),
);

/** API groups of other projects that usually lie beside Ingresses; whatever they define is not for us. */
const foreignGroups: ReadonlySet<string> = new Set([
  "acme.cert-manager.io",
  "cert-manager.io",
  "external-secrets.io",
  "gateway.networking.k8s.io",
  "kustomize.config.k8s.io",
  "monitoring.coreos.com",
  "bitnami.com",
]);

/** True for kinds that need no word: they are valid and have nothing to do with routing. */
export function isPassedOver(apiVersion: string, kind: string): boolean {
  const slash = apiVersion.indexOf("/");
  const group = slash < 0 ? "" : apiVersion.slice(0, slash);
  return foreignGroups.has(group) || (kindsByGroup.get(group)?.has(kind) ?? false);
}

/** Every kind name we know, for suggestions. */
export function knownKinds(): readonly string[] {
  return [...readKinds.keys(), ...[...kindsByGroup.values()].flatMap((kinds) => [...kinds])];
}
