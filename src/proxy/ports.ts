// What an exchange asks of the two connections it joins, free of any wire format: HTTP/1.1 is one codec on either side.
import type { ErrorCode } from "./errors.ts";
import type { FieldSection } from "./field-section.ts";

/** A request whose head is complete. Valid until the exchange ends. */
export interface RequestMessage {
  readonly method: string;
  /** Origin form, absolute form, or `*`. */
  readonly target: string;
  readonly fields: FieldSection;
  /** The value of Host, or of `:authority`; empty: none. */
  readonly hostField: string;
  readonly hasContent: boolean;
  /** -1: not known, or no content. */
  readonly contentLength: number;
  readonly expectsContinue: boolean;
  /** The client offers to switch protocols (RFC 9110, 7.8). */
  readonly hasUpgrade: boolean;
  readonly connectionNames: readonly string[] | null;
}

/** A response whose head is complete. Valid inside the callback that hands it over. */
export interface ResponseMessage {
  readonly status: number;
  readonly reason: string;
  readonly fields: FieldSection;
  readonly hasContent: boolean;
  /** The value of Content-Length, also where there is no content (HEAD, 304); -1: none. */
  readonly contentLength: number;
  readonly connectionNames: readonly string[] | null;
}

/** The side of the client, as the exchange sees it. */
export interface Downstream {
  readonly isTls: boolean;
  readonly clientAddress: string;
  /** Field lines that are the same for every request of the connection: X-Real-IP, X-Forwarded-*, X-Scheme. */
  readonly forwardedLines: string;
  /** The client may get interim responses and trailers. */
  readonly takesInterim: boolean;
  sendInterim(status: number, lines: string): void;
  /** `contentLength` -1: not known. Without content the length is still told when it is not -1. */
  sendHead(status: number, reason: string, lines: string, contentLength: number, hasContent: boolean): void;
  /** False: wait for `onDownstreamDrain`. */
  sendContent(buffer: Buffer, start: number, end: number): boolean;
  sendEnd(trailers: string): void;
  /** Everything sent so far leaves now. Called at the end of each read from the endpoint. */
  flush(): void;
  /** No request after this one, however it ends. To be called before `sendHead`. */
  closeAfterResponse(): void;
  /** The response ends here, in a way the client can tell from a complete one. */
  abort(code: ErrorCode): void;
  /** Request content may come. */
  resumeContent(): void;
  /** From now on bytes go both ways untouched. */
  startTunnel(lines: string): void;
  sendTunnelBytes(buffer: Buffer, start: number, end: number): boolean;
  endTunnel(): void;
  /** Something threw while the endpoint's side was at work: the connection closes and is counted. */
  onBug(error: unknown): void;
}

/** The exchange, as the connection of the client sees it. */
export interface DownstreamEvents {
  /** False: keep what follows until `resumeContent`. */
  onContent(buffer: Buffer, start: number, end: number): boolean;
  onContentEnd(): void;
  /** One read has been handed over as far as possible. */
  onDownstreamReadDone(): void;
  onDownstreamDrain(): void;
  /** The request cannot be read to its end: its content is malformed, too slow, or the connection closed. */
  onRequestFailed(code: ErrorCode): void;
  onTunnelBytes(buffer: Buffer, start: number, end: number): boolean;
  onTunnelEnd(): void;
}

/** The head of a request to an endpoint. */
export interface UpstreamRequest {
  readonly method: string;
  readonly target: string;
  /** Complete field lines, Host included; neither framing nor Connection. */
  readonly lines: string;
  readonly hasContent: boolean;
  /** -1: not known. */
  readonly contentLength: number;
  /** The value of Upgrade; empty: none. */
  readonly upgrade: string;
  /** The client takes trailers (RFC 9110, 10.1.4). */
  readonly takesTrailers: boolean;
}

/** The side of the endpoint, as the exchange sees it. */
export interface Upstream {
  /** The connection carried an exchange before. */
  readonly isReused: boolean;
  /** At least one byte of a response has come. */
  readonly hasReceived: boolean;
  sendRequest(request: UpstreamRequest): void;
  sendContent(buffer: Buffer, start: number, end: number): boolean;
  sendEnd(trailers: string): void;
  flush(): void;
  pause(): void;
  resume(): void;
  sendTunnelBytes(buffer: Buffer, start: number, end: number): boolean;
  endTunnel(): void;
  /**
   * Done with it after a complete response, or after both ends of a tunnel. `isRequestComplete` false: it cannot carry
   * another exchange.
   */
  release(isRequestComplete: boolean): void;
  /**
   * Done with it once the head of a response has come and nobody wants the rest. Read to its end if that is near, the
   * connection can carry another exchange.
   */
  discard(): void;
  destroy(): void;
}

/** The exchange, as the connection to the endpoint sees it. */
export interface UpstreamEvents {
  onUpstreamConnected(upstream: Upstream): void;
  onUpstreamInterim(response: ResponseMessage): void;
  onUpstreamHead(response: ResponseMessage): void;
  onUpstreamContent(buffer: Buffer, start: number, end: number): void;
  onUpstreamEnd(trailers: string): void;
  /** The endpoint switched protocols; what follows are tunnel bytes. */
  onUpstreamSwitched(response: ResponseMessage): void;
  onUpstreamTunnelBytes(buffer: Buffer, start: number, end: number): void;
  onUpstreamTunnelEnd(): void;
  /** One read has been handed over whole. */
  onUpstreamReadDone(): void;
  onUpstreamDrain(): void;
  /** The connection is gone. */
  onUpstreamFailed(code: ErrorCode, detail: string): void;
  /** Something threw; the connection is closed. */
  onUpstreamBug(error: unknown): void;
}
