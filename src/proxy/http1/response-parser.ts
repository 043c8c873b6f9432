// Reads HTTP/1.1 and HTTP/1.0 responses from endpoints, as strictly as requests: a response that two parsers could
// read differently is how one client gets another's answer.
import type { ErrorCode } from "../errors.ts";
import { equalsLower, FieldId } from "../field-section.ts";
import type { ProxyLimits } from "../limits.ts";
import { Framing } from "./content-reader.ts";
import {
  connectionOptionsMax,
  readConnectionOptions,
  readContentLength,
  readKeepAliveSeconds,
  readTransferEncoding,
} from "./framing-fields.ts";
import { MessageParser } from "./message-parser.ts";

export class ResponseParser extends MessageParser {
  status = 0;
  /** As sent; may be empty. */
  reason = "";
  /** The endpoint will close the connection after this response. */
  isLast = false;
  hasUpgrade = false;
  /** Seconds of `Keep-Alive: timeout=`; -1: none. */
  keepAliveSeconds = -1;
  connectionNames: string[] | null = null;
  protected override readonly skipsEmptyLine = false;
  protected override readonly startLineMaxBytes: number;
  protected override readonly startLineTooLong = "upstreamHeadTooLarge";
  #isHeadRequest = false;
  #minorVersion = 1;
  #hasLength = false;
  #hasTransferEncoding = false;
  #hasClose = false;
  #hasKeepAlive = false;

  constructor(limits: ProxyLimits) {
    super(limits);
    this.startLineMaxBytes = limits.fieldLineMaxBytes;
  }

  /** Makes ready for the response to a request; one to HEAD has no content (RFC 9112, 6.3). */
  begin(isHeadRequest: boolean): void {
    this.#isHeadRequest = isHeadRequest;
    this.beginMessage();
  }

  /** Makes ready for the response that follows an interim one. */
  continueAfterInterim(): void {
    this.beginMessage();
  }

  protected override isStartByte(code: number): boolean {
    return code === 72;
  }

  /** `HTTP/1.d SP ddd SP reason`; the blank after the status may lack with the reason (RFC 9112, 4). */
  protected override readStartLine(text: string, start: number, end: number): ErrorCode | null {
    this.#resetResponse();
    if (!text.startsWith("HTTP/1.", start)) return "upstreamInvalid";
    const minor = text.charCodeAt(start + 7) - 48;
    if (minor < 0 || minor > 9 || text.charCodeAt(start + 8) !== 32) return "upstreamInvalid";
    this.#minorVersion = minor === 0 ? 0 : 1;
    let status = 0;
    for (let i = start + 9; i < start + 12; i += 1) {
      const digit = text.charCodeAt(i) - 48;
      if (!(digit >= 0 && digit <= 9)) return "upstreamInvalid";
      status = status * 10 + digit;
    }
    if (end > start + 12 && text.charCodeAt(start + 12) !== 32) return "upstreamInvalid";
    if (status < 100 || status > 599) return "upstreamInvalid";
    this.status = status;
    this.reason = text.slice(start + 13, end);
    return null;
  }

  protected override readKnownField(id: number, text: string, start: number, end: number): ErrorCode | null {
    switch (id) {
      case FieldId.ContentLength: {
        const length = readContentLength(text, start, end);
        if (length < 0 || (this.#hasLength && length !== this.contentLength)) return "upstreamInvalid";
        this.#hasLength = true;
        this.contentLength = length;
        return null;
      }
      case FieldId.TransferEncoding:
        if (this.#hasTransferEncoding || readTransferEncoding(text, start, end) !== null)
          return "upstreamInvalid";
        this.#hasTransferEncoding = true;
        return null;
      case FieldId.Connection:
        return this.#readConnection(text, start, end);
      case FieldId.Upgrade:
        this.hasUpgrade = true;
        return null;
      case FieldId.KeepAlive:
        this.keepAliveSeconds = readKeepAliveSeconds(text, start, end);
        return null;
      default:
        return null;
    }
  }

  #readConnection(text: string, start: number, end: number): ErrorCode | null {
    // Nearly every message with the field has just this one option.
    if (equalsLower(text, start, end, "keep-alive")) {
      this.#hasKeepAlive = true;
      return null;
    }
    const options = readConnectionOptions(text.slice(start, end));
    if (options === null) return "upstreamInvalid";
    for (const option of options) {
      if (option === "close") this.#hasClose = true;
      else if (option === "keep-alive") this.#hasKeepAlive = true;
      else if (option !== "upgrade") (this.connectionNames ??= []).push(option);
    }
    return (this.connectionNames?.length ?? 0) > connectionOptionsMax ? "upstreamInvalid" : null;
  }

  /** RFC 9112, 6.3, in its order. */
  protected override finishHead(): ErrorCode | null {
    const { status } = this;
    if (this.#hasTransferEncoding && (this.#hasLength || this.#minorVersion === 0)) return "upstreamInvalid";
    if (this.#isHeadRequest || status < 200 || status === 204 || status === 304) this.framing = Framing.None;
    else if (this.#hasTransferEncoding) this.framing = Framing.Chunked;
    else if (this.#hasLength) this.framing = this.contentLength === 0 ? Framing.None : Framing.Length;
    else this.framing = Framing.UntilClose;
    // A 204 that announces content (RFC 9110, 8.6) may send it too: it would be the answer to the next request.
    const isSuspect = status === 204 && (this.#hasTransferEncoding || this.contentLength > 0);
    this.isLast =
      isSuspect ||
      this.#hasClose ||
      this.framing === Framing.UntilClose ||
      (this.#minorVersion === 0 && !this.#hasKeepAlive);
    return null;
  }

  /** What is wrong with a response concerns its client only by its size. */
  protected override nameError(error: ErrorCode): ErrorCode {
    const isTooLarge =
      error === "headTooLarge" || error === "tooManyFields" || error === "upstreamHeadTooLarge";
    return isTooLarge ? "upstreamHeadTooLarge" : "upstreamInvalid";
  }

  #resetResponse(): void {
    this.contentLength = -1;
    this.hasUpgrade = false;
    this.keepAliveSeconds = -1;
    this.connectionNames = null;
    this.#hasLength = false;
    this.#hasTransferEncoding = false;
    this.#hasClose = false;
    this.#hasKeepAlive = false;
  }
}
