// The runtime half of the feature registry, as the proxy wants it.
import { features } from "../features/registry.ts";
import type { FeatureRuntimes } from "../proxy/filter.ts";

export const featureRuntimes: FeatureRuntimes = new Map(
  features.map((feature) => [feature.name, feature.runtime]),
);
