// What translate needs to know besides the objects. The names follow the flags.
import type { CertificateIr } from "../../ir/routing.ts";
import type { AnyFeatureParser } from "../annotations.ts";
import type { ObjectKey } from "../objects.ts";

export interface TranslateOptions {
  /** The feature registry, in order of execution. */
  readonly parsers: readonly AnyFeatureParser[];
  /** Value of the annotation `kubernetes.io/ingress.class` that is ours. */
  readonly ingressClass: string;
  /** `spec.controller` of the IngressClasses that are ours. */
  readonly controllerClass: string;
  /** An IngressClass whose name equals `ingressClass` is ours too. */
  readonly ingressClassByName: boolean;
  /** Ingresses with neither field nor annotation are ours. */
  readonly watchIngressWithoutClass: boolean;
  readonly annotationsPrefix: string;
  /** `namespace/name`, or empty: the built-in 404. */
  readonly defaultBackendService: string;
  /** `namespace/name`, or empty: the self-signed one. */
  readonly defaultSslCertificate: string;
  /** Ingresses with `spec.defaultBackend` are ignored. */
  readonly disableCatchAll: boolean;
  readonly disableSvcExternalName: boolean;
  /** The annotation `service.kubernetes.io/topology-mode: auto` counts as `spec.trafficDistribution` does without it. */
  readonly enableTopologyAwareRouting: boolean;
  /** Where the proxy runs; empty: not known, and no endpoint is nearer than another. */
  readonly nodeName: string;
  readonly zone: string;
  /** `namespace/name` of the global ConfigMap, or empty. */
  readonly configMap: string;
  /** `namespace/name` of the ConfigMaps with TCP and UDP services, or empty. */
  readonly tcpServicesConfigMap: string;
  readonly udpServicesConfigMap: string;
  /** Ports that are our own and can be no such service's. */
  readonly reservedPorts: readonly number[];
  /** Path that answers 200 on the catch-all host, for load balancers that probe the data ports; empty: none. */
  readonly healthCheckPath: string;
  /** Only Ingresses of this namespace are ours; empty: all namespaces. */
  readonly watchNamespace: string;
  /** Endpoints on this machine's loopback addresses are dialled. For local trials only. */
  readonly allowLoopbackUpstreams: boolean;
  /**
   * The source is no API server. An Ingress without class goes to the default class, as an API server would have
   * filled it in, and `ingressClassName` equal to `ingressClass` is ours when there is no IngressClass at all.
   */
  readonly offline: boolean;
  /** By the key of its Secret: what serves on when that Secret's content is broken now. */
  readonly lastGoodCertificates: ReadonlyMap<ObjectKey, CertificateIr>;
}

/** The defaults of ingress-nginx's flags. */
export const defaultTranslateOptions: Omit<TranslateOptions, "parsers"> = {
  ingressClass: "nginx",
  controllerClass: "k8s.io/ingress-nginx",
  ingressClassByName: false,
  watchIngressWithoutClass: false,
  annotationsPrefix: "nginx.ingress.kubernetes.io",
  defaultBackendService: "",
  defaultSslCertificate: "",
  disableCatchAll: false,
  disableSvcExternalName: false,
  enableTopologyAwareRouting: false,
  nodeName: "",
  zone: "",
  configMap: "",
  tcpServicesConfigMap: "",
  udpServicesConfigMap: "",
  reservedPorts: [],
  healthCheckPath: "",
  watchNamespace: "",
  allowLoopbackUpstreams: false,
  offline: false,
  lastGoodCertificates: new Map(),
};
