// Ties the two halves of a feature together by type: the parser that makes its config and the runtime that uses it.
import type { FeatureParser } from "../controller/annotations.ts";
import type { FeatureRuntime } from "../proxy/filter.ts";

export interface Feature<Config, Settings> extends FeatureParser<Config, Settings> {
  readonly runtime: FeatureRuntime<Config>;
}

/** A feature whose types are forgotten; its parser's configs go to its own runtime only. */
export type AnyFeature = Feature<unknown, unknown>;

export function defineFeature<Config, Settings>(feature: Feature<Config, Settings>): AnyFeature {
  // Sound because a config reaches a runtime only under the name of the parser that made it.
  return feature as unknown as AnyFeature;
}
