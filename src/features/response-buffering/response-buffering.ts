// How much of a response is read ahead of a client that is slower than its endpoint. Nothing goes to disk: what nginx
// would put into a temporary file is kept in memory up to a bound, and beyond it the endpoint is slowed down
// (docs/decisions/013-response-buffering.md).
import type { AnnotationReader } from "../../controller/annotations.ts";
import { defineFeature } from "../feature.ts";

export interface ResponseBufferingConfig {
  readonly isOn: boolean;
  readonly buffers: number;
  readonly bufferBytes: number;
  readonly temporaryFileMaxBytes: number;
}

const defaults: ResponseBufferingConfig = {
  isOn: false,
  buffers: 4,
  bufferBytes: 4 * 1024,
  temporaryFileMaxBytes: 1024 ** 3,
};
/** So much memory may take the place of the temporary file. */
const temporaryFileInMemoryMaxBytes = 1024 ** 2;
const buffersMax = 65_536;
/** Heads of responses may be as long whatever is configured (`headMaxBytes` of the proxy's limits). */
const headMaxBytes = 32 * 1024;

export const responseBuffering = defineFeature<ResponseBufferingConfig, ResponseBufferingConfig>({
  name: "response-buffering",
  onInvalid: "ignore",
  annotations: {
    "proxy-buffering":
      "Whether a response is read ahead of a client that is slower than its endpoint, `on` or `off`. It is kept in memory, up to the sizes below; an endpoint's `X-Accel-Buffering` decides for its response. Default: the ConfigMap's, off.",
    "proxy-buffers-number":
      "How many buffers of `proxy-buffer-size` a response may fill. Default: the ConfigMap's, 4.",
    "proxy-buffer-size":
      "Size of one of these buffers, such as 8k. Unlike in ingress-nginx it does not limit the head of a response, which may have 32k. Default: the ConfigMap's, 4k.",
    "proxy-max-temp-file-size":
      "How much may be kept beyond these buffers. There is no file: it is memory, and no more than 1m whatever is set. 0: nothing. Default: the ConfigMap's, 1024m.",
  },
  settings: {
    "proxy-buffering": "Default of the annotation. Default: off.",
    "proxy-buffers-number": "Default of the annotation. Default: 4.",
    "proxy-buffer-size": "Default of the annotation. Default: 4k.",
    "proxy-max-temp-file-size": "Default of the annotation. Default: 1024m.",
  },
  parseSettings: (reader) => read(reader, defaults),
  parse(reader, settings) {
    const config = read(reader, settings);
    return JSON.stringify(config) === JSON.stringify(defaults) ? undefined : config;
  },
  runtime: {
    apply(settings, { isOn, buffers, bufferBytes, temporaryFileMaxBytes }) {
      settings.readsAhead = isOn;
      settings.readAheadMaxBytes =
        buffers * bufferBytes + Math.min(temporaryFileMaxBytes, temporaryFileInMemoryMaxBytes);
    },
  },
});

function read(reader: AnnotationReader, fallback: ResponseBufferingConfig): ResponseBufferingConfig {
  const isOn = reader.oneOf("proxy-buffering", ["on", "off"]);
  return {
    isOn: isOn === undefined ? fallback.isOn : isOn === "on",
    buffers: reader.integer("proxy-buffers-number", { min: 1, max: buffersMax }) ?? fallback.buffers,
    bufferBytes: readBufferSize(reader) ?? fallback.bufferBytes,
    temporaryFileMaxBytes: reader.size("proxy-max-temp-file-size") ?? fallback.temporaryFileMaxBytes,
  };
}

function readBufferSize(reader: AnnotationReader): number | undefined {
  const key = "proxy-buffer-size";
  const bytes = reader.size(key);
  if (bytes === 0) {
    reader.invalid(key, "InvalidSize", `more than 0 bytes, such as "8k"`);
    return undefined;
  }
  if (bytes !== undefined && bytes > headMaxBytes) {
    const message =
      "heads of responses may have 32k whatever is set, and longer ones are answered with 502; as the size of a buffer it has its effect";
    reader.report("warning", key, "HeadLimitStays", message);
  }
  return bytes;
}
