// The flags of the command line as data: names, values, defaults, texts. `--help` and docs/flags.md are made from them.
// Names and defaults are those of ingress-nginx; what only Fairway has says so.
import { availableParallelism } from "node:os";
import { defaultTranslateOptions as translateDefaults } from "../controller/translate/options.ts";
import { defaultLimits as limits } from "../proxy/limits.ts";
import {
  type Flag,
  address,
  addresses,
  boolean,
  connections,
  connectionsOrNone,
  directories,
  file,
  flag,
  labelSelector,
  logFormat,
  logLevel,
  milliseconds,
  namespacedName,
  objectName,
  path,
  percent,
  perSecond,
  port,
  qualifiedName,
  seconds,
  url,
  workers,
  workersMax,
  zoneName,
} from "./flag-types.ts";
import { logLevels, type LogFormat, type LogLevel } from "./log.ts";
import { admissionFlags } from "./admission-flags.ts";
import { publishFlags } from "./publish-flags.ts";

/** What decides how objects are read: taken by `controller` and by `translate`. */
export const translateFlags = {
  ingressClass: flag({
    name: "ingress-class",
    type: objectName,
    default: translateDefaults.ingressClass,
    description: "Value of the annotation kubernetes.io/ingress.class that is ours.",
    group: "Which Ingresses",
  }),
  controllerClass: flag({
    name: "controller-class",
    type: qualifiedName,
    default: translateDefaults.controllerClass,
    description: "spec.controller of the IngressClasses that are ours.",
    group: "Which Ingresses",
  }),
  ingressClassByName: flag({
    name: "ingress-class-by-name",
    type: boolean,
    default: translateDefaults.ingressClassByName,
    description: "An IngressClass whose name equals --ingress-class is ours too.",
    group: "Which Ingresses",
  }),
  watchIngressWithoutClass: flag({
    name: "watch-ingress-without-class",
    type: boolean,
    default: translateDefaults.watchIngressWithoutClass,
    description: "Ingresses with neither class nor annotation are ours.",
    group: "Which Ingresses",
  }),
  watchNamespace: flag({
    name: "watch-namespace",
    type: objectName,
    default: translateDefaults.watchNamespace,
    defaultText: "all",
    description: "Only Ingresses of this namespace are ours.",
    group: "Which Ingresses",
  }),
  disableCatchAll: flag({
    name: "disable-catch-all",
    type: boolean,
    default: translateDefaults.disableCatchAll,
    description: "Ignore Ingresses with spec.defaultBackend.",
    group: "Which Ingresses",
  }),
  annotationsPrefix: flag({
    name: "annotations-prefix",
    type: qualifiedName,
    default: translateDefaults.annotationsPrefix,
    description: "Prefix of the annotations.",
    group: "Which Ingresses",
  }),
  configMap: flag({
    name: "configmap",
    type: namespacedName,
    default: translateDefaults.configMap,
    defaultText: "none",
    description: "The ConfigMap with the settings for all Ingresses.",
    group: "Defaults",
  }),
  defaultBackendService: flag({
    name: "default-backend-service",
    type: namespacedName,
    default: translateDefaults.defaultBackendService,
    defaultText: "built-in 404",
    description: "The Service, by its first port, for requests that no Ingress takes.",
    group: "Defaults",
  }),
  defaultSslCertificate: flag({
    name: "default-ssl-certificate",
    type: namespacedName,
    default: translateDefaults.defaultSslCertificate,
    defaultText: "self-signed",
    description: "The Secret with the certificate for hosts that have none.",
    group: "Defaults",
  }),
  enableTopologyAwareRouting: flag({
    name: "enable-topology-aware-routing",
    type: boolean,
    default: translateDefaults.enableTopologyAwareRouting,
    description:
      "Services with the annotation service.kubernetes.io/topology-mode: auto prefer endpoints of our zone, as those with spec.trafficDistribution always do.",
    group: "Defaults",
  }),
  zone: flag({
    name: "zone",
    type: zoneName,
    default: process.env["FAIRWAY_ZONE"] ?? translateDefaults.zone,
    defaultText: "FAIRWAY_ZONE of the environment",
    description: "The zone of the node, as topology.kubernetes.io/zone has it. (Fairway only)",
    group: "Defaults",
  }),
  nodeName: flag({
    name: "node-name",
    type: objectName,
    default: process.env["NODE_NAME"] ?? translateDefaults.nodeName,
    defaultText: "NODE_NAME of the environment",
    description: "The node that this runs on, for Services that prefer endpoints of it. (Fairway only)",
    group: "Defaults",
  }),
  tcpServicesConfigMap: flag({
    name: "tcp-services-configmap",
    type: namespacedName,
    default: translateDefaults.tcpServicesConfigMap,
    defaultText: "none",
    description: "The ConfigMap with TCP services. It is checked; its services are not served yet.",
    group: "Defaults",
  }),
  udpServicesConfigMap: flag({
    name: "udp-services-configmap",
    type: namespacedName,
    default: translateDefaults.udpServicesConfigMap,
    defaultText: "none",
    description: "The ConfigMap with UDP services. It is checked; its services are not served yet.",
    group: "Defaults",
  }),
  disableSvcExternalName: flag({
    name: "disable-svc-external-name",
    type: boolean,
    default: translateDefaults.disableSvcExternalName,
    description: "Services of type ExternalName have no endpoints.",
    group: "Security",
  }),
  allowLoopbackUpstreams: flag({
    name: "allow-loopback-upstreams",
    type: boolean,
    default: translateDefaults.allowLoopbackUpstreams,
    description: "Endpoints may be loopback addresses. For trials on one machine only. (Fairway only)",
    group: "Security",
  }),
};

export const operationFlags = {
  workers: flag({
    name: "workers",
    type: workers,
    default: Math.min(availableParallelism(), workersMax),
    defaultText: "the CPUs that are available, by affinity and container limits",
    description: "Threads that serve. (a ConfigMap key of ingress-nginx: worker-processes)",
    group: "Operation",
  }),
  shutdownGracePeriod: flag({
    name: "shutdown-grace-period",
    type: seconds,
    default: 0,
    description: "Seconds from SIGTERM during which new connections are still served while /readyz fails.",
    group: "Operation",
  }),
  workerShutdownTimeout: flag({
    name: "worker-shutdown-timeout",
    type: seconds,
    default: 240,
    description: "Seconds after that which running requests have to end. (a ConfigMap key of ingress-nginx)",
    group: "Operation",
  }),
  connectionsMax: flag({
    name: "connections-max",
    type: connections,
    default: limits.connectionsMax,
    description:
      "Connections of clients at a time, of all workers; never more than two fifths of the file descriptors. (Fairway only)",
    group: "Limits",
  }),
  connectionsPerClientMax: flag({
    name: "connections-per-client-max",
    type: connectionsOrNone,
    default: limits.connectionsPerClientMax,
    defaultText: "0: any number",
    description:
      "Connections of one client address, or IPv6 /64, at a time. Behind a load balancer that replaces addresses all clients are one. (Fairway only)",
    group: "Limits",
  }),
  overloadEventLoopDelay: flag({
    name: "overload-event-loop-delay",
    type: milliseconds,
    default: limits.overloadEventLoopDelayMs,
    description:
      "Milliseconds that a worker may be behind before it refuses new connections; 0: any number. (Fairway only)",
    group: "Limits",
  }),
  overloadMemory: flag({
    name: "overload-memory",
    type: percent,
    default: limits.overloadMemoryShare * 100,
    description:
      "Percent of the container's memory, and of a worker's heap, beyond which new connections are refused; 0: all of it. (Fairway only)",
    group: "Limits",
  }),
  logLevel: flag<LogLevel>({
    name: "log-level",
    type: logLevel,
    default: "info",
    description: `What is logged: ${logLevels.join(", ")}. (Fairway only)`,
    group: "Operation",
  }),
  logFormat: flag<LogFormat>({
    name: "log-format",
    type: logFormat,
    default: "text",
    description: "text or json, one line each, on standard error. (Fairway only)",
    group: "Operation",
  }),
};

/** The ports, with the defaults of a command. */
export function listenerFlags(defaults: { http: number; https: number; isLoopback: boolean }) {
  return {
    httpPort: flag({
      name: "http-port",
      type: port,
      default: defaults.http,
      description: "Port for HTTP; 0 takes a free one.",
      group: "Listeners",
    }),
    httpsPort: flag({
      name: "https-port",
      type: port,
      default: defaults.https,
      description: "Port for HTTPS; 0 takes a free one.",
      group: "Listeners",
    }),
    bindAddress: flag<readonly string[]>({
      name: "bind-address",
      type: addresses,
      default: defaults.isLoopback ? ["127.0.0.1"] : [],
      ...(defaults.isLoopback ? {} : { defaultText: "all" }),
      description: "Comma-separated addresses for HTTP and HTTPS. (a ConfigMap key of ingress-nginx)",
      group: "Listeners",
    }),
    healthzPort: flag({
      name: "healthz-port",
      type: port,
      default: 10_254,
      description: "Port for health, metrics and debug pages; 0 takes a free one.",
      group: "Listeners",
    }),
    healthzHost: flag({
      name: "healthz-host",
      type: address,
      default: defaults.isLoopback ? "127.0.0.1" : "",
      ...(defaults.isLoopback ? {} : { defaultText: "all" }),
      description: "Address for health, metrics and debug pages. /debug answers local clients only.",
      group: "Listeners",
    }),
    healthCheckPath: flag({
      name: "health-check-path",
      type: path,
      default: "/healthz",
      description:
        "Path of the liveness page, beside /healthz; answers 200 on the data ports too, for hosts without a rule.",
      group: "Listeners",
    }),
  } as const;
}

export const manifestsFlag = flag<readonly string[]>({
  name: "manifests",
  type: directories,
  default: [],
  defaultText: "none",
  description:
    "Directory of manifests to serve and watch, instead of the Kubernetes API. May be given several times. (Fairway only)",
  group: "Source",
});

/** How the Kubernetes API is reached and what is asked of it. */
export const clusterFlags = {
  ...publishFlags,
  kubeconfig: flag({
    name: "kubeconfig",
    type: file,
    default: "",
    defaultText: "the service account of the pod",
    description: "A kubeconfig file; its current context is used.",
    group: "Source",
  }),
  apiserverHost: flag({
    name: "apiserver-host",
    type: url,
    default: "",
    defaultText: "that of the pod's cluster",
    description: "Address of the Kubernetes API server; wins over the one in --kubeconfig.",
    group: "Source",
  }),
  certificateAuthority: flag({
    name: "certificate-authority",
    type: file,
    default: "",
    defaultText: "none",
    description: "Certificate authority of --apiserver-host.",
    group: "Source",
  }),
  kubeApiQps: flag({
    name: "kube-api-qps",
    type: perSecond,
    default: 100,
    description: "Requests to the Kubernetes API a second, after a burst. (Fairway only)",
    group: "Source",
  }),
  kubeApiBurst: flag({
    name: "kube-api-burst",
    type: perSecond,
    default: 200,
    description: "Requests to the Kubernetes API at once. (Fairway only)",
    group: "Source",
  }),
  watchNamespaceSelector: flag({
    name: "watch-namespace-selector",
    type: labelSelector,
    default: "",
    defaultText: "all",
    description: "Only objects of namespaces with these labels count. Not together with --watch-namespace.",
    group: "Which Ingresses",
  }),
};

/** The validating webhook. */

export const controllerFlags = {
  manifests: manifestsFlag,
  ...clusterFlags,
  ...admissionFlags,
  ...listenerFlags({ http: 80, https: 443, isLoopback: false }),
  ...translateFlags,
  ...operationFlags,
};

/** Enough to show that there are several. */
const demoWorkersMax = 2;

export const demoFlags = {
  manifests: flag({
    ...manifestsFlag,
    defaultText: "deploy/demo",
    description: "Directory to serve instead of the demo's own, such as a copy of it.",
  }),
  ...listenerFlags({ http: 8080, https: 8443, isLoopback: true }),
  workers: flag({
    ...operationFlags.workers,
    default: Math.min(availableParallelism(), demoWorkersMax),
    defaultText: "1 or 2, by the CPUs that are available",
  }),
  logLevel: operationFlags.logLevel,
  logFormat: operationFlags.logFormat,
};

/** A set of flags, the types of their values forgotten. */
export type AnyFlags = Readonly<Record<string, Flag<unknown>>>;

/** The values of a set of flags, by key. */
export type FlagValues<Flags> = {
  readonly [Key in keyof Flags]: Flags[Key] extends Flag<infer Value> ? Value : never;
};

export function defaultValues<Flags extends AnyFlags>(flags: Flags): FlagValues<Flags> {
  // Each default has the type of its own flag.
  return Object.fromEntries(
    Object.entries(flags).map(([key, flag]) => [key, flag.default]),
  ) as FlagValues<Flags>;
}
