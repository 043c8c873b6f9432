// Keys of the ConfigMap that are about connections rather than routes: they hold before a route is known, so no
// annotation overrides them.
import type { ConnectionsIr } from "../../ir/routing.ts";
import type { AnnotationReader } from "../annotations.ts";

/** Every key, with one sentence for users each. */
export const connectionSettings: Readonly<Record<string, string>> = {
  "keep-alive":
    "Seconds that a client's connection may be idle between requests. 0: every response ends its connection. Default: 75.",
  "keep-alive-requests": "Requests on one connection of a client. Default: 1000.",
  "client-header-timeout": "Seconds for the whole head of a request. Default: 60.",
  "client-body-timeout": "Seconds between two reads of request content. Default: 60.",
  "large-client-header-buffers":
    "Number and size, such as `4 8k`: the size bounds the request line and each field line, both together the whole head, which is 62k at most. Default: 4 8k.",
  "upstream-keepalive-connections":
    "Idle connections to endpoints that are kept, of all worker threads together. 0: none. Default: 320.",
  "upstream-keepalive-timeout": "Seconds that a connection to an endpoint may be idle. Default: 60.",
  "upstream-keepalive-requests": "Requests on one connection to an endpoint. Default: 10000.",
  "upstream-keepalive-time":
    "Age at which a connection to an endpoint is used no more, such as `1h`. Default: 1h.",
};

/** The codec keeps offsets in 16 bits. */
const headMaxBytes = 62 * 1024;
const secondsMax = 86_400;
const countMax = 1_000_000_000;

/** Undefined: every default. */
export function readConnections(reader: AnnotationReader): ConnectionsIr | undefined {
  const seconds = (key: string, min: number): number | undefined => {
    const value = reader.integer(key, { min, max: secondsMax });
    return value === undefined ? undefined : value * 1000;
  };
  const keepAliveTimeoutMs = seconds("keep-alive", 0);
  const all: ConnectionsIr = {
    ...defined("requestsPerConnectionMax", reader.integer("keep-alive-requests", { min: 1, max: countMax })),
    // Without idle time there is no second request.
    ...(keepAliveTimeoutMs === 0
      ? { requestsPerConnectionMax: 1 }
      : defined("keepAliveTimeoutMs", keepAliveTimeoutMs)),
    ...defined("headTimeoutMs", seconds("client-header-timeout", 1)),
    ...defined("contentTimeoutMs", seconds("client-body-timeout", 1)),
    ...readHeaderBuffers(reader),
    ...defined(
      "idleUpstreamMax",
      reader.integer("upstream-keepalive-connections", { min: 0, max: countMax }),
    ),
    ...defined("idleUpstreamTimeoutMs", seconds("upstream-keepalive-timeout", 1)),
    ...defined(
      "requestsPerUpstreamConnectionMax",
      reader.integer("upstream-keepalive-requests", { min: 1, max: countMax }),
    ),
    ...defined("upstreamConnectionMaxAgeMs", readTime(reader, "upstream-keepalive-time")),
  };
  return Object.keys(all).length === 0 ? undefined : all;
}

function defined(name: keyof ConnectionsIr, value: number | undefined): ConnectionsIr {
  return value === undefined ? {} : { [name]: value };
}

function readHeaderBuffers(reader: AnnotationReader): ConnectionsIr {
  const key = "large-client-header-buffers";
  const text = reader.matching(
    key,
    /^[1-9]\d{0,3} +[1-9]\d{0,8}[kKmM]?$/,
    `a number and a size of buffers such as "4 8k"`,
  );
  if (text === undefined) return {};
  const [count = "", size = ""] = text.split(/ +/);
  const unit = { k: 1024, m: 1024 ** 2 }[size.slice(-1).toLowerCase()] ?? 1;
  const lineBytes = Number.parseInt(size, 10) * unit;
  const headBytes = Number(count) * lineBytes;
  if (headBytes > headMaxBytes) {
    reader.report(
      "warning",
      key,
      "LimitedSetting",
      `${text} is ${headBytes} bytes, and a head has ${headMaxBytes} at most; that is the limit`,
    );
  }
  const lineMaxBytes = Math.min(lineBytes, headMaxBytes);
  return {
    requestLineMaxBytes: lineMaxBytes,
    fieldLineMaxBytes: lineMaxBytes,
    headMaxBytes: Math.min(headBytes, headMaxBytes),
  };
}

/** As nginx writes times: digits, then nothing or `s`, `m`, `h`, `d`. */
function readTime(reader: AnnotationReader, key: string): number | undefined {
  const text = reader.matching(key, /^[1-9]\d{0,7}[smhd]?$/, `a time such as "90", "30m" or "1h"`);
  if (text === undefined) return undefined;
  const unit = { m: 60, h: 3600, d: 86_400 }[text.slice(-1)] ?? 1;
  return Number.parseInt(text, 10) * unit * 1000;
}
