// Values of the chart as people would set them, and what they render to.
import { parseAllDocuments } from "yaml";
import { chart, runTool } from "../harness/tools.ts";

export interface Variant {
  readonly name: string;
  readonly values: Readonly<Record<string, unknown>>;
}

export const variants: readonly Variant[] = [
  { name: "default", values: {} },
  {
    name: "drop-in",
    values: {
      fullnameOverride: "ingress",
      controller: {
        ingressClassResource: { name: "nginx", controllerValue: "k8s.io/ingress-nginx", default: true },
        watchIngressWithoutClass: true,
        ingressClassByName: true,
        config: { "proxy-body-size": "8m", hsts: true, "keep-alive": 75, "keep-alive-requests": 1_000_000 },
        extraArgs: { "default-ssl-certificate": "fairway/default", "disable-svc-external-name": "" },
        service: { externalTrafficPolicy: "Local", annotations: { "example.com/kind": "internal" } },
      },
    },
  },
  {
    name: "host-network",
    values: {
      controller: {
        kind: "DaemonSet",
        hostNetwork: true,
        service: { enabled: false },
        updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1 } },
        tolerations: [{ key: "edge", operator: "Exists", effect: "NoSchedule" }],
      },
    },
  },
  {
    name: "host-port",
    values: { controller: { kind: "DaemonSet", hostPort: { enabled: true }, service: { type: "NodePort" } } },
  },
  { name: "low-ports", values: { controller: { containerPort: { http: 80, https: 443 } } } },
  {
    name: "autoscaling",
    values: {
      controller: {
        autoscaling: { enabled: true, minReplicas: 3, targetMemoryUtilizationPercentage: 80 },
        minAvailable: "50%",
        affinity: {
          podAntiAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              {
                weight: 1,
                podAffinityTerm: {
                  topologyKey: "kubernetes.io/hostname",
                  labelSelector: { matchLabels: { "app.kubernetes.io/component": "controller" } },
                },
              },
            ],
          },
        },
        topologySpreadConstraints: [
          {
            maxSkew: 1,
            topologyKey: "topology.kubernetes.io/zone",
            whenUnsatisfiable: "ScheduleAnyway",
            labelSelector: { matchLabels: { "app.kubernetes.io/component": "controller" } },
          },
        ],
      },
    },
  },
  {
    name: "replicas",
    values: { controller: { replicaCount: 3, maxUnavailable: 1, updateStrategy: { type: "RollingUpdate" } } },
  },
  { name: "scope", values: { controller: { scope: { enabled: true } } } },
  {
    name: "scope-elsewhere",
    values: {
      rbac: { scope: true },
      controller: {
        scope: { enabled: true, namespace: "apps" },
        watchIngressWithoutClass: true,
        ingressClassResource: { enabled: false },
        extraArgs: {
          "default-ssl-certificate": "fairway/default",
          "default-backend-service": "pages/errors",
        },
      },
    },
  },
  {
    name: "scope-selector",
    values: { controller: { scope: { enabled: true, namespaceSelector: "team in (web,shop)" } } },
  },
  {
    name: "metrics",
    values: {
      commonLabels: { team: "edge" },
      controller: {
        metrics: {
          enabled: true,
          serviceMonitor: {
            enabled: true,
            additionalLabels: { release: "prometheus" },
            scrapeTimeout: "10s",
          },
        },
      },
    },
  },
  {
    name: "admission",
    values: { controller: { replicaCount: 2, admissionWebhooks: { enabled: true } } },
  },
  {
    name: "admission-cert-manager",
    values: { controller: { admissionWebhooks: { enabled: true, certManager: { enabled: true } } } },
  },
  {
    name: "admission-given",
    values: {
      controller: {
        networkPolicy: { enabled: true },
        admissionWebhooks: {
          enabled: true,
          failurePolicy: "Ignore",
          namespaceSelector: { matchLabels: { team: "web" } },
          existingSecret: { name: "webhook", caBundle: "LS0tLS1CRUdJTg==" },
        },
      },
    },
  },
  {
    name: "network-policy",
    values: {
      controller: {
        networkPolicy: {
          enabled: true,
          metricsFrom: [
            { namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": "monitoring" } } },
          ],
        },
      },
    },
  },
];

/** As a manifest. */
export async function render(
  values: Readonly<Record<string, unknown>>,
  { release = "fairway", namespace = "fairway" } = {},
): Promise<string> {
  const args = ["template", release, chart, "--namespace", namespace, "--values", "-"];
  return await runTool("helm", args, { input: JSON.stringify(values) });
}

export interface Rendered {
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
  readonly spec?: unknown;
  readonly rules?: unknown;
}

export function objectsOf(manifest: string): readonly Rendered[] {
  return parseAllDocuments(manifest)
    .map((document) => document.toJS() as Rendered | null)
    .filter((each) => each !== null);
}

export interface PodTemplate {
  readonly metadata: { readonly labels: Readonly<Record<string, string>> };
  readonly spec: {
    readonly containers: readonly { readonly args: readonly string[] }[];
    readonly terminationGracePeriodSeconds: number;
  };
}

/** The pods of a rendered release. */
export function podTemplateOf(manifest: string): PodTemplate {
  const owner = objectsOf(manifest).find(({ kind }) => kind === "Deployment" || kind === "DaemonSet");
  if (owner === undefined) throw new Error("neither Deployment nor DaemonSet");
  return (owner.spec as { template: PodTemplate }).template;
}

/** The words after the program's name. */
export function argsOf(manifest: string): readonly string[] {
  return podTemplateOf(manifest).spec.containers[0]?.args ?? [];
}
