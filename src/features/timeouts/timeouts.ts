// The timeouts towards endpoints. Values are seconds without unit, as in ingress-nginx.
import { ownPrefix, type AnnotationReader } from "../../controller/annotations.ts";
import { defineFeature } from "../feature.ts";

export interface TimeoutsConfig {
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
  /** 0: none. */
  readonly requestTimeoutMs: number;
}

const secondsMax = 31_536_000;
const defaults: TimeoutsConfig = {
  connectTimeoutMs: 5_000,
  sendTimeoutMs: 60_000,
  readTimeoutMs: 60_000,
  requestTimeoutMs: 0,
};
/** Keys of a ConfigMap have no slash, so there it goes without our prefix. */
const requestTimeout = "request-timeout";

export const timeouts = defineFeature<TimeoutsConfig, TimeoutsConfig>({
  name: "timeouts",
  onInvalid: "ignore",
  annotations: {
    "proxy-connect-timeout": "Seconds to connect to an endpoint. Default: the ConfigMap's, 5.",
    "proxy-send-timeout": "Seconds between two writes to an endpoint. Default: the ConfigMap's, 60.",
    "proxy-read-timeout":
      "Seconds to the first byte of the response and between two reads of it. Default: the ConfigMap's, 60.",
    [ownPrefix + requestTimeout]:
      "Seconds from the end of a request's head to the head of its response, all tries included; then 504. 0: no limit. Default: the ConfigMap's, 0.",
  },
  settings: {
    "proxy-connect-timeout": "Default of the annotation. Default: 5.",
    "proxy-send-timeout": "Default of the annotation. Default: 60.",
    "proxy-read-timeout": "Default of the annotation. Default: 60.",
    [requestTimeout]: "Default of the annotation. Default: 0.",
  },
  parseSettings: (reader) => read(reader, requestTimeout, defaults),
  parse: (reader, settings) => read(reader, ownPrefix + requestTimeout, settings),
  runtime: { apply: (settings, config) => Object.assign(settings, config) },
});

function read(reader: AnnotationReader, requestTimeoutKey: string, fallback: TimeoutsConfig): TimeoutsConfig {
  const milliseconds = (key: string, min = 1): number | undefined => {
    const seconds = reader.integer(key, { min, max: secondsMax });
    return seconds === undefined ? undefined : seconds * 1000;
  };
  return {
    connectTimeoutMs: milliseconds("proxy-connect-timeout") ?? fallback.connectTimeoutMs,
    sendTimeoutMs: milliseconds("proxy-send-timeout") ?? fallback.sendTimeoutMs,
    readTimeoutMs: milliseconds("proxy-read-timeout") ?? fallback.readTimeoutMs,
    requestTimeoutMs: milliseconds(requestTimeoutKey, 0) ?? fallback.requestTimeoutMs,
  };
}
