// Which endpoints of a Service are near, as kube-proxy finds it out: by the hints that the EndpointSlice controller has
// written, and only when every ready endpoint has one. docs/decisions/014-zones.md says when a Service has it.
import type { ServiceObject } from "../objects.ts";
import type { TranslateOptions } from "./options.ts";

export interface Hinted {
  readonly zones: readonly string[];
  readonly nodes: readonly string[];
}

export type Location = Pick<TranslateOptions, "nodeName" | "zone">;

/** The Service asks that requests stay near. The field is a wish of its own; the annotation needs the flag. */
export function prefersNear(
  service: Pick<ServiceObject, "trafficDistribution" | "topologyMode">,
  options: Pick<TranslateOptions, "enableTopologyAwareRouting">,
): boolean {
  const { trafficDistribution, topologyMode } = service;
  return (
    /^Prefer(Close|SameZone|SameNode)$/.test(trafficDistribution) ||
    (options.enableTopologyAwareRouting && /^auto$/i.test(topologyMode))
  );
}

/** Tells near endpoints from the others; null: all are used alike. `ready`: every ready endpoint. */
export function nearness(
  ready: readonly Hinted[],
  { nodeName, zone }: Location,
): ((endpoint: Hinted) => boolean) | null {
  const onNode = ({ nodes }: Hinted): boolean => nodes.includes(nodeName);
  const inZone = ({ zones }: Hinted): boolean => zones.includes(zone);
  if (nodeName !== "" && ready.every(({ nodes }) => nodes.length > 0) && ready.some(onNode)) return onNode;
  if (zone !== "" && ready.every(({ zones }) => zones.length > 0) && ready.some(inZone)) return inZone;
  return null;
}
