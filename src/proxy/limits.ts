// Every limit of the data path, with its unit and default. One object, handed down from the composition root.

export interface ProxyLimits {
  /** Client connections at a time, TLS handshakes included; never more than the file descriptors allow. 503 and close. */
  readonly connectionsMax: number;
  /** Of one client address (an IPv6 /64) at a time; 0: any number. 429 and close. */
  readonly connectionsPerClientMax: number;
  /** Connections at a time that are being told of their refusal. Beyond it the oldest is cut. */
  readonly refusalsMax: number;
  /** How late the event loop of a worker comes to its timers, for a second, before it takes no new connections. 0: ever. */
  readonly overloadEventLoopDelayMs: number;
  /** Share of the memory that the container may use, and of a worker's heap, beyond which none are taken. 0: all of it. */
  readonly overloadMemoryShare: number;
  /** Refusing cannot help who has so few connections: an overload below it has another cause. */
  readonly overloadConnectionsMin: number;
  /** Longest request line, without its CRLF. Exceeding it answers 414. */
  readonly requestLineMaxBytes: number;
  /** Longest field line, without its CRLF. Exceeding it answers 431. */
  readonly fieldLineMaxBytes: number;
  /** Whole head: request line and fields. Exceeding it answers 431; of a response, 502. Also bounds trailers. */
  readonly headMaxBytes: number;
  /** Number of fields of a head, and of a trailer section. Exceeding it answers 431; of a response, 502. */
  readonly fieldsMax: number;
  /** Extensions of one chunk (RFC 9112, 7.1.1); they are read and dropped. Exceeding it answers 400. */
  readonly chunkExtensionMaxBytes: number;
  /** Extensions of all chunks of one message. Exceeding it answers 400. */
  readonly chunkExtensionsTotalMaxBytes: number;
  /** From accept, or from the first byte of a later request, to the end of the head. Bytes do not restart it. 408. */
  readonly headTimeoutMs: number;
  /** Between two reads of request content. 408. */
  readonly contentTimeoutMs: number;
  /** Slowest request content, averaged over `contentTimeoutMs`. 408. */
  readonly contentMinBytesPerSecond: number;
  /** A client connection without a request. Closes silently. */
  readonly keepAliveTimeoutMs: number;
  /** Requests on one client connection; the last one is answered with `Connection: close`. */
  readonly requestsPerConnectionMax: number;
  /** Client that takes nothing of a response that waits. The connection is reset. */
  readonly downstreamStallTimeoutMs: number;
  /** TLS handshake. The connection is closed. */
  readonly handshakeTimeoutMs: number;
  /** After an error response: how long and how much of what the client still sends is read and thrown away. */
  readonly lingerTimeoutMs: number;
  readonly lingerMaxBytes: number;
  /** Retries of requests that an endpoint may have processed, at a time, as a share of the active requests. */
  readonly retriesActiveShareMax: number;
  /** So many are allowed however few requests are active. */
  readonly retriesActiveMin: number;
  /** Request content that is kept for endpoints, of all exchanges together. Beyond it content is passed on as it comes. */
  readonly contentBuffersTotalMaxBytes: number;
  /** Buffers that large bodies are read into and written from, of all connections together. Beyond it bytes are copied. */
  readonly bodyBuffersTotalMaxBytes: number;
  /**
   * Bytes that wait in all connections together: of responses and requests that nobody takes, of pipelined requests, of
   * heads. Never more than a quarter of the memory. The connection that has made no progress for the longest is closed.
   */
  readonly bufferedTotalMaxBytes: number;
  /** Time that `Expect: 100-continue` waits for the endpoint before Fairway asks for the content itself. */
  readonly continueTimeoutMs: number;
  /** Interim responses (1xx) before the final one. More answer 502. */
  readonly interimResponsesMax: number;
  /** Idle connections to endpoints, in all. */
  readonly idleUpstreamMax: number;
  readonly idleUpstreamTimeoutMs: number;
  readonly requestsPerUpstreamConnectionMax: number;
  readonly upstreamConnectionMaxAgeMs: number;
}

export const defaultLimits: ProxyLimits = {
  connectionsMax: 16_384,
  connectionsPerClientMax: 0,
  refusalsMax: 128,
  overloadEventLoopDelayMs: 500,
  overloadMemoryShare: 0.9,
  overloadConnectionsMin: 64,
  requestLineMaxBytes: 8 * 1024,
  fieldLineMaxBytes: 8 * 1024,
  headMaxBytes: 32 * 1024,
  fieldsMax: 128,
  chunkExtensionMaxBytes: 256,
  chunkExtensionsTotalMaxBytes: 16 * 1024,
  headTimeoutMs: 60_000,
  contentTimeoutMs: 60_000,
  contentMinBytesPerSecond: 240,
  keepAliveTimeoutMs: 75_000,
  requestsPerConnectionMax: 1000,
  downstreamStallTimeoutMs: 60_000,
  handshakeTimeoutMs: 10_000,
  lingerTimeoutMs: 2_000,
  lingerMaxBytes: 64 * 1024,
  retriesActiveShareMax: 0.2,
  retriesActiveMin: 3,
  contentBuffersTotalMaxBytes: 64 * 1024 * 1024,
  bodyBuffersTotalMaxBytes: 32 * 1024 * 1024,
  bufferedTotalMaxBytes: 256 * 1024 * 1024,
  continueTimeoutMs: 1_000,
  interimResponsesMax: 10,
  idleUpstreamMax: 320,
  idleUpstreamTimeoutMs: 60_000,
  requestsPerUpstreamConnectionMax: 10_000,
  upstreamConnectionMaxAgeMs: 3_600_000,
};
