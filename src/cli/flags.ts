// The flags of the command line as data: names, values, defaults, texts. `--help` and docs/flags.md are made from them.
// Names and defaults are those of ingress-nginx; what only Fairway has says so.
import { isIP } from "node:net";
import { availableParallelism } from "node:os";
import { defaultTranslateOptions as translateDefaults } from "../controller/translate/options.ts";
import { defaultLimits as limits } from "../proxy/limits.ts";
import { isLogLevel, logLevels, type LogFormat, type LogLevel } from "./log.ts";

/** How a flag's text becomes its value. A wrong text throws `FlagValueError` with what was expected. */
export interface FlagType<Value> {
  /** Shown in the help: `<port>`; empty for booleans, which need no value. */
  readonly placeholder: string;
  readonly parse: (text: string) => Value;
  /** May be given several times; the lists that `parse` returns are joined. */
  readonly isRepeatable?: true;
}

export interface Flag<Value> {
  readonly name: string;
  /** One letter, without dash. */
  readonly short?: string;
  readonly type: FlagType<Value>;
  readonly default: Value;
  /** Instead of the default itself, where that is empty. */
  readonly defaultText?: string;
  readonly description: string;
  readonly group: FlagGroup;
}

export type FlagGroup =
  | "Source"
  | "Which Ingresses"
  | "Listeners"
  | "Defaults"
  | "Security"
  | "Limits"
  | "Operation";

/** The message says what was expected: `expected a port, 0 to 65535`. */
export class FlagValueError extends Error {}

const boolean: FlagType<boolean> = {
  placeholder: "",
  parse(text) {
    if (["1", "t", "T", "TRUE", "true", "True"].includes(text)) return true;
    if (["0", "f", "F", "FALSE", "false", "False"].includes(text)) return false;
    throw new FlagValueError("expected true or false");
  },
};

/** More threads than any machine has use for; each costs memory. */
const workersMax = 256;

function integer(placeholder: string, what: string, max: number, min = 0): FlagType<number> {
  return {
    placeholder,
    parse(text) {
      if (/^\d{1,10}$/.test(text) && Number(text) >= min && Number(text) <= max) return Number(text);
      throw new FlagValueError(`expected ${what}, ${min} to ${max}`);
    },
  };
}

function matching(placeholder: string, pattern: RegExp, expected: string): FlagType<string> {
  return {
    placeholder,
    parse(text) {
      if (pattern.test(text)) return text;
      throw new FlagValueError(`expected ${expected}`);
    },
  };
}

const port = integer("<port>", "a port", 65_535);
const workers = integer("<number>", "a number of threads", workersMax, 1);
const seconds = integer("<seconds>", "a number of seconds", 86_400);
const connections = integer("<number>", "a number of connections", 1_000_000, 1);
const connectionsOrNone = integer("<number>", "a number of connections", 1_000_000);
const milliseconds = integer("<milliseconds>", "a number of milliseconds", 60_000);
const percent = integer("<percent>", "a percentage", 100);
const name = "[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?";
const namespacedName = matching("<namespace/name>", new RegExp(`^${name}/${name}$`), "namespace/name");
const objectName = matching(
  "<name>",
  new RegExp(`^${name}$`),
  "a name of lower-case letters, digits, dashes and dots",
);
const qualifiedName = matching(
  "<name>",
  /^[A-Za-z0-9./_-]{1,253}$/,
  "letters, digits, dots, slashes and dashes",
);
/** Requirements as kubectl takes them: `a=b,c in (d,e),!f`. */
const labelKey = "([a-z0-9.-]+/)?[A-Za-z0-9][A-Za-z0-9._-]*";
const labelValue = "[A-Za-z0-9._-]*";
const requirement = `\\s*(!\\s*${labelKey}|${labelKey}(\\s*(=|==|!=)\\s*${labelValue}|\\s+(in|notin)\\s+\\(\\s*${labelValue}(\\s*,\\s*${labelValue})*\\s*\\))?)\\s*`;
const labelSelector = matching(
  "<selector>",
  new RegExp(`^${requirement}(,${requirement})*$`),
  "a label selector such as team=web,stage in (test,live)",
);
const file = matching("<file>", /./, "a file");
const url = matching("<address>", /./, "an address such as https://10.0.0.1:6443");
const perSecond = integer("<number>", "a number", 1_000_000, 1);

const zoneName = matching(
  "<zone>",
  /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/,
  "a label value: letters, digits, dashes, underscores and dots, 63 at most",
);
const path = matching("<path>", /^\/[\w/.~-]*$/, "a path that begins with /");

const directories: FlagType<readonly string[]> = {
  placeholder: "<directory>",
  isRepeatable: true,
  parse(text) {
    if (text === "") throw new FlagValueError("expected a directory");
    return [text];
  },
};

function parseAddress(text: string): string {
  const address = text.trim().replace(/^\[(.*)\]$/, "$1");
  if (isIP(address) === 0) throw new FlagValueError("expected an IPv4 or IPv6 address");
  return address;
}

const address: FlagType<string> = { placeholder: "<address>", parse: parseAddress };
const addresses: FlagType<readonly string[]> = {
  placeholder: "<addresses>",
  parse: (text) => text.split(",").map(parseAddress),
};

const logLevel: FlagType<LogLevel> = {
  placeholder: "<level>",
  parse(text) {
    if (isLogLevel(text)) return text;
    throw new FlagValueError(`expected one of ${logLevels.join(", ")}`);
  },
};

const logFormat: FlagType<LogFormat> = {
  placeholder: "<format>",
  parse(text) {
    if (text === "text" || text === "json") return text;
    throw new FlagValueError("expected text or json");
  },
};

function flag<Value>(definition: Flag<Value>): Flag<Value> {
  return definition;
}

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

export const controllerFlags = {
  manifests: manifestsFlag,
  ...clusterFlags,
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
