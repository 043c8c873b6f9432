// Runs a feature as the program does: annotations and ConfigMap through its parser, its config through JSON (it lives in
// the IR), and its runtime through the compiler and decide().
import { AnnotationReader } from "../../src/controller/annotations.ts";
import type { AnyFeature } from "../../src/features/feature.ts";
import { features } from "../../src/features/registry.ts";
import { formatDiagnostic, type Diagnostic } from "../../src/ir/diagnostic.ts";
import type { FeatureIr } from "../../src/ir/routing.ts";
import type { FeatureRuntimes } from "../../src/proxy/filter.ts";
import { compile } from "../../src/proxy/routing/table.ts";
import type { CompiledRoute, Snapshot } from "../../src/proxy/routing/snapshot.ts";
import { route, routingIr, type IrOptions, type RouteOptions } from "../proxy/routing/ir-builder.ts";

export type Values = Readonly<Record<string, string>>;

export const runtimes: FeatureRuntimes = new Map(features.map(({ name, runtime }) => [name, runtime]));

export interface Parsed {
  /** Empty when the feature does nothing. */
  readonly features: readonly FeatureIr[];
  readonly diagnostics: readonly string[];
}

/** Annotations without prefix, and the data of the ConfigMap. */
export function parseFeature(feature: AnyFeature, annotations: Values, configMap: Values = {}): Parsed {
  const diagnostics: Diagnostic[] = [];
  const read = (kind: string, name: string, fieldPrefix: string, values: Values): AnnotationReader => {
    const object = { kind, namespace: "default", name };
    return new AnnotationReader(
      { object, fieldPrefix, values: new Map(Object.entries(values)) },
      diagnostics,
      "the value is ignored",
    );
  };
  const settings = feature.parseSettings(read("ConfigMap", "controller", "data.", configMap));
  const config = feature.parse(read("Ingress", "web", "nginx.ingress.kubernetes.io/", annotations), settings);
  return {
    features:
      config === undefined
        ? []
        : [{ feature: feature.name, config: JSON.parse(JSON.stringify(config)) as unknown }],
    diagnostics: diagnostics.map(formatDiagnostic),
  };
}

/** A snapshot with one route (`Prefix /` unless said otherwise) on the host `a.example`. */
export function snapshotWith(
  options: RouteOptions,
  path = "Prefix /",
  more: Omit<IrOptions, "hosts"> = {},
): Snapshot {
  return compile(routingIr({ hosts: { "a.example": [route(path, options)] }, ...more }), runtimes, null);
}

/** The route of a snapshot made by `snapshotWith`, as the data path gets it. */
export function compiledRoute(snapshot: Snapshot): CompiledRoute {
  const route = snapshot.table.exactHosts.get("a.example")?.routes[0];
  if (route === undefined) throw new Error("the snapshot has no such route");
  return route;
}
