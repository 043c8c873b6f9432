// The largest request content a route takes.
import { defineFeature } from "../feature.ts";

export interface BodySizeConfig {
  /** 0: no limit. */
  readonly contentMaxBytes: number;
}

export const bodySize = defineFeature<BodySizeConfig, BodySizeConfig>({
  name: "body-size",
  onInvalid: "ignore",
  annotations: {
    "proxy-body-size":
      "Largest request content, such as 8m; larger answers 413, 0 means no limit. Default: the ConfigMap's, 1m.",
  },
  settings: { "proxy-body-size": "Default of the annotation. Default: 1m." },
  parseSettings: (reader) => ({ contentMaxBytes: reader.size("proxy-body-size") ?? 1_048_576 }),
  parse: (reader, settings) => ({
    contentMaxBytes: reader.size("proxy-body-size") ?? settings.contentMaxBytes,
  }),
  runtime: { apply: (settings, config) => Object.assign(settings, config) },
});
