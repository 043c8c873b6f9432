// How much request content is read before an endpoint is contacted. Unlike nginx nothing goes to disk: larger content is
// passed on as it comes (docs/decisions/010-request-buffering.md).
import type { AnnotationReader } from "../../controller/annotations.ts";
import { defineFeature } from "../feature.ts";

export interface RequestBufferingConfig {
  readonly isBuffered: boolean;
  readonly contentBufferMaxBytes: number;
}

const defaults: RequestBufferingConfig = { isBuffered: true, contentBufferMaxBytes: 8 * 1024 };

export const requestBuffering = defineFeature<RequestBufferingConfig, RequestBufferingConfig>({
  name: "request-buffering",
  onInvalid: "ignore",
  annotations: {
    "proxy-request-buffering":
      "Whether small request content (`client-body-buffer-size`) is read before an endpoint is contacted, `on` or `off`. Larger content is passed on as it comes. Default: the ConfigMap's, on.",
    "client-body-buffer-size":
      "Up to which size, such as 16k, request content is read before an endpoint is contacted. Default: the ConfigMap's, 8k.",
  },
  settings: {
    "proxy-request-buffering": "Default of the annotation. Default: on.",
    "client-body-buffer-size": "Default of the annotation. Default: 8k.",
  },
  parseSettings: (reader) => read(reader, defaults),
  parse(reader, settings) {
    const config = read(reader, settings);
    return JSON.stringify(config) === JSON.stringify(defaults) ? undefined : config;
  },
  runtime: {
    apply(settings, { isBuffered, contentBufferMaxBytes }) {
      settings.contentBufferMaxBytes = isBuffered ? contentBufferMaxBytes : 0;
    },
  },
});

function read(reader: AnnotationReader, fallback: RequestBufferingConfig): RequestBufferingConfig {
  const isBuffered = reader.oneOf("proxy-request-buffering", ["on", "off"]);
  return {
    isBuffered: isBuffered === undefined ? fallback.isBuffered : isBuffered === "on",
    contentBufferMaxBytes: reader.size("client-body-buffer-size") ?? fallback.contentBufferMaxBytes,
  };
}
