// The timeouts towards endpoints. Values are seconds without unit, as in ingress-nginx.
import type { AnnotationReader } from "../../controller/annotations.ts";
import { defineFeature } from "../feature.ts";

export interface TimeoutsConfig {
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
}

const range = { min: 1, max: 31_536_000 };
const defaults: TimeoutsConfig = { connectTimeoutMs: 5_000, sendTimeoutMs: 60_000, readTimeoutMs: 60_000 };

export const timeouts = defineFeature<TimeoutsConfig, TimeoutsConfig>({
  name: "timeouts",
  onInvalid: "ignore",
  annotations: {
    "proxy-connect-timeout": "Seconds to connect to an endpoint. Default: the ConfigMap's, 5.",
    "proxy-send-timeout": "Seconds between two writes to an endpoint. Default: the ConfigMap's, 60.",
    "proxy-read-timeout":
      "Seconds to the first byte of the response and between two reads of it. Default: the ConfigMap's, 60.",
  },
  settings: {
    "proxy-connect-timeout": "Default of the annotation. Default: 5.",
    "proxy-send-timeout": "Default of the annotation. Default: 60.",
    "proxy-read-timeout": "Default of the annotation. Default: 60.",
  },
  parseSettings: (reader) => read(reader, defaults),
  parse: (reader, settings) => read(reader, settings),
  runtime: { apply: (settings, config) => Object.assign(settings, config) },
});

function read(reader: AnnotationReader, fallback: TimeoutsConfig): TimeoutsConfig {
  const milliseconds = (key: string): number | undefined => {
    const seconds = reader.integer(key, range);
    return seconds === undefined ? undefined : seconds * 1000;
  };
  return {
    connectTimeoutMs: milliseconds("proxy-connect-timeout") ?? fallback.connectTimeoutMs,
    sendTimeoutMs: milliseconds("proxy-send-timeout") ?? fallback.sendTimeoutMs,
    readTimeoutMs: milliseconds("proxy-read-timeout") ?? fallback.readTimeoutMs,
  };
}
