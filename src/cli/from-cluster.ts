// What is made of flags when objects come from a Kubernetes API server.
import type { OwnPod } from "../controller/publish/own-pods.ts";
import { KubernetesSource, type KubernetesSourceOptions } from "../controller/sources/kubernetes.ts";
import type { TranslateOptions } from "../controller/translate/options.ts";
import { features } from "../features/registry.ts";
import { AccessError } from "../kube-api/access.ts";
import { ApiClient } from "../kube-api/client.ts";
import { findAccess } from "../kube-api/find-access.ts";
import { RequestLimit } from "../kube-api/request-limit.ts";
import type { SourceMetrics } from "../metrics/source-metrics.ts";
import { systemClock } from "../util/clock.ts";
import type { clusterFlags, FlagValues, translateFlags } from "./flags.ts";
import { StartError } from "./start-error.ts";
import { packageVersion } from "./version.ts";

export type ClusterValues = FlagValues<typeof clusterFlags>;

export interface Cluster {
  readonly client: ApiClient;
  readonly values: ClusterValues;
  /** The one that we run in; empty names: none, or not told. */
  readonly pod: OwnPod;
}

/** What translate is told. */
export function fromCluster(values: FlagValues<typeof translateFlags>) {
  return {
    ...values,
    parsers: features,
    offline: false,
    healthCheckPath: "/healthz",
    reservedPorts: [],
  } as const;
}

/** Rejects with a `StartError` when the flags lead to no API server; whether it answers is seen later. */
export async function connect(values: ClusterValues): Promise<Cluster> {
  try {
    return {
      client: new ApiClient({
        access: await findAccess({ ...values, env: process.env, clock: systemClock }),
        clock: systemClock,
        limit: new RequestLimit(values.kubeApiQps, values.kubeApiBurst, systemClock),
        userAgent: `fairway/${packageVersion()}`,
      }),
      values,
      pod: { name: process.env["POD_NAME"] ?? "", namespace: process.env["POD_NAMESPACE"] ?? "" },
    };
  } catch (cause) {
    if (cause instanceof AccessError) throw new StartError(cause.message, { cause });
    throw cause;
  }
}

export function clusterSource(
  { client, values }: Cluster,
  translate: Omit<TranslateOptions, "lastGoodCertificates">,
  counters: SourceMetrics,
  observe: KubernetesSourceOptions["observe"],
): KubernetesSource {
  return new KubernetesSource({
    ...translate,
    client,
    clock: systemClock,
    random: Math.random,
    watchNamespaceSelector: values.watchNamespaceSelector,
    publishService: values.publishService,
    counters,
    observe,
  });
}
