// The one table of everything that can go wrong with an exchange: whose fault, what the client gets, what kind of
// failure it is to retries, and the word for logs and metrics. Nobody else decides on a status for a failure.
import type { RetryCause } from "./filter.ts";

/** Whose fault a failure is. */
export const Origin = { Downstream: 0, Fairway: 1, Upstream: 2 } as const;
export type Origin = (typeof Origin)[keyof typeof Origin];

export interface ErrorRow {
  readonly origin: Origin;
  /** Of the generated response; 0: the connection closes without one. */
  readonly status: number;
  /** What the route's retry settings call it; null: never tried again. */
  readonly retry: RetryCause | null;
  /** For logs and metrics, snake case. */
  readonly flag: string;
  /** The downstream connection cannot carry another request: where the next one starts is unknown. */
  readonly closes: boolean;
}

const badRequest = (flag: string, status = 400): ErrorRow => ({
  origin: Origin.Downstream,
  status,
  retry: null,
  flag,
  closes: true,
});
const refused = (flag: string, status: number): ErrorRow => ({
  origin: Origin.Fairway,
  status,
  retry: null,
  flag,
  closes: false,
});
const upstream = (flag: string, status: number, retry: RetryCause | null): ErrorRow => ({
  origin: Origin.Upstream,
  status,
  retry,
  flag,
  closes: false,
});

export const proxyErrors = {
  // Request line (RFC 9112, 3).
  requestLineInvalid: badRequest("request_line_invalid"),
  requestLineTooLong: badRequest("request_line_too_long", 414),
  targetInvalid: badRequest("target_invalid"),
  versionUnsupported: badRequest("version_unsupported", 505),
  connectRefused: badRequest("connect_refused", 405),
  // Fields (RFC 9112, 5; RFC 9110, 5.5).
  fieldInvalid: badRequest("field_invalid"),
  headTooLarge: badRequest("head_too_large", 431),
  tooManyFields: badRequest("too_many_fields", 431),
  hostInvalid: badRequest("host_invalid"),
  expectationFailed: badRequest("expectation_failed", 417),
  // Content framing (RFC 9112, 6 and 7).
  framingInvalid: badRequest("framing_invalid"),
  codingUnsupported: badRequest("coding_unsupported", 501),
  chunkInvalid: badRequest("chunk_invalid"),
  contentTooLarge: badRequest("content_too_large", 413),
  // Time.
  headTimeout: badRequest("head_timeout", 408),
  contentTimeout: badRequest("content_timeout", 408),
  idleTimeout: badRequest("idle_timeout", 0),
  downstreamStalled: badRequest("downstream_stalled", 0),
  /** All connections hold too many bytes that wait, and this one has held its own for the longest. */
  buffersFull: badRequest("buffers_full", 0),
  downstreamClosed: badRequest("downstream_closed", 0),
  // Routing.
  notFound: refused("not_found", 404),
  noEndpoints: refused("no_endpoints", 503),
  routeDenied: refused("route_denied", 503),
  notReady: refused("not_ready", 503),
  loopDetected: refused("loop_detected", 508),
  internalError: { ...refused("internal_error", 500), closes: true },
  // Endpoints.
  upstreamConnectFailed: upstream("upstream_connect_failed", 502, "error"),
  upstreamConnectTimeout: upstream("upstream_connect_timeout", 504, "timeout"),
  upstreamReset: upstream("upstream_reset", 502, "error"),
  upstreamInvalid: upstream("upstream_invalid", 502, "invalid_header"),
  upstreamHeadTooLarge: upstream("upstream_head_too_large", 502, "invalid_header"),
  upstreamSendTimeout: upstream("upstream_send_timeout", 504, "timeout"),
  upstreamReadTimeout: upstream("upstream_read_timeout", 504, "timeout"),
  requestTimeout: upstream("request_timeout", 504, null),
  /** After the head of the response: the client gets a message that visibly ends too early. */
  upstreamTruncated: upstream("upstream_truncated", 0, null),
} as const satisfies Record<string, ErrorRow>;

export type ErrorCode = keyof typeof proxyErrors;

/** There is nobody any more to whom a response could be seen to be cut. */
export const clientLost: ReadonlySet<ErrorCode> = new Set([
  "downstreamClosed",
  "downstreamStalled",
  "buffersFull",
]);

export const errorCodes = Object.keys(proxyErrors) as readonly ErrorCode[];

/** Reason phrases of the statuses that Fairway itself sends (RFC 9110, 15). */
export const reasonPhrases: Readonly<Record<number, string>> = {
  100: "Continue",
  101: "Switching Protocols",
  200: "OK",
  201: "Created",
  202: "Accepted",
  203: "Non-Authoritative Information",
  204: "No Content",
  205: "Reset Content",
  206: "Partial Content",
  300: "Multiple Choices",
  301: "Moved Permanently",
  302: "Found",
  303: "See Other",
  304: "Not Modified",
  307: "Temporary Redirect",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  408: "Request Timeout",
  413: "Content Too Large",
  414: "URI Too Long",
  417: "Expectation Failed",
  421: "Misdirected Request",
  426: "Upgrade Required",
  429: "Too Many Requests",
  431: "Request Header Fields Too Large",
  500: "Internal Server Error",
  501: "Not Implemented",
  502: "Bad Gateway",
  503: "Service Temporarily Unavailable",
  504: "Gateway Timeout",
  505: "HTTP Version Not Supported",
  508: "Loop Detected",
};

/** The small page of a generated response; empty for a success. Holds nothing the client sent. */
export function errorPage(status: number): string {
  if (status < 300) return "";
  const title = `${status} ${reasonPhrases[status] ?? "Error"}`;
  return (
    `<html>\r\n<head><title>${title}</title></head>\r\n<body>\r\n` +
    `<center><h1>${title}</h1></center>\r\n<hr><center>fairway</center>\r\n</body>\r\n</html>\r\n`
  );
}
