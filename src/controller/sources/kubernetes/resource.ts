// What is asked of the API server: one stream of objects for each of these.
import { readKinds } from "../../decode/kinds.ts";
import type { KubeKind } from "../../objects.ts";

export interface Resource {
  readonly kind: KubeKind;
  readonly apiVersion: string;
  /** Names the stream in diagnostics: `Secret (type kubernetes.io/tls)`. */
  readonly title: string;
  /** `/api/v1/services`, or that of one namespace. */
  readonly path: string;
  /** Selectors. */
  readonly query: Readonly<Record<string, string>>;
  /** False: without the right to read it, the rest is served. */
  readonly isEssential: boolean;
}

const plurals: Readonly<Record<KubeKind, string>> = {
  Ingress: "ingresses",
  IngressClass: "ingressclasses",
  Service: "services",
  EndpointSlice: "endpointslices",
  Endpoints: "endpoints",
  Secret: "secrets",
  ConfigMap: "configmaps",
  Namespace: "namespaces",
};

/** Without these there would be nothing to serve, or something that was meant to be protected. */
const essentialKinds: ReadonlySet<KubeKind> = new Set([
  "Ingress",
  "Service",
  "EndpointSlice",
  "ConfigMap",
  "Namespace",
]);

export interface Selection {
  /** Empty: all namespaces. */
  readonly namespace?: string;
  readonly fieldSelector?: string;
  readonly labelSelector?: string;
  /** Added to the kind in the title. */
  readonly note?: string;
}

export function resource(kind: KubeKind, selection: Selection = {}): Resource {
  const { namespace = "", fieldSelector = "", labelSelector = "", note = "" } = selection;
  const apiVersion = readKinds.get(kind) ?? "v1";
  const root = apiVersion === "v1" ? "/api/v1" : `/apis/${apiVersion}`;
  const scope = namespace === "" ? "" : `/namespaces/${namespace}`;
  return {
    kind,
    apiVersion,
    title: note === "" ? kind : `${kind} (${note})`,
    path: `${root}${scope}/${plurals[kind]}`,
    query: {
      ...(fieldSelector === "" ? {} : { fieldSelector }),
      ...(labelSelector === "" ? {} : { labelSelector }),
    },
    isEssential: essentialKinds.has(kind),
  };
}

/** One object by name. Asked for as a list, so that the right to `get` is not needed. */
export function namedResource(kind: KubeKind, key: string): Resource {
  const slash = key.indexOf("/");
  const name = key.slice(slash + 1);
  return resource(kind, {
    namespace: key.slice(0, slash),
    fieldSelector: `metadata.name=${name}`,
    note: key,
  });
}
