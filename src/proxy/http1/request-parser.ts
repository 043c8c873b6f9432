// Reads HTTP/1.1 and HTTP/1.0 requests (RFC 9112). Whatever two parsers could read differently is refused.
import type { ErrorCode } from "../errors.ts";
import { equalsLower, FieldId, tokenLower } from "../field-section.ts";
import type { ProxyLimits } from "../limits.ts";
import { Framing } from "./content-reader.ts";
import {
  connectionOptionsMax,
  readConnectionOptions,
  readContentLength,
  readTransferEncoding,
} from "./framing-fields.ts";
import { MessageParser } from "./message-parser.ts";

const SP = 32;
const DOT = 46;

export class RequestParser extends MessageParser {
  method = "";
  /** As sent: origin form, absolute form, or `*`. */
  target = "";
  /** The minor version: 0 or 1; the major one is always 1. */
  minorVersion = 1;
  /** The value of Host; empty when an HTTP/1.0 request has none. */
  hostField = "";
  /** `Connection: close`, or HTTP/1.0 without `keep-alive`. */
  isLast = false;
  hasUpgrade = false;
  expectsContinue = false;
  /** Lower-case field names that Connection lists beside the options we know; null: none. */
  connectionNames: string[] | null = null;
  protected override readonly skipsEmptyLine = true;
  protected override readonly startLineMaxBytes: number;
  protected override readonly startLineTooLong = "requestLineTooLong";
  #hasHost = false;
  #hasLength = false;
  #hasTransferEncoding = false;
  #hasKeepAlive = false;
  #hasClose = false;
  #hasUpgradeOption = false;

  constructor(limits: ProxyLimits) {
    super(limits);
    this.startLineMaxBytes = limits.requestLineMaxBytes;
  }

  /** Makes ready for the next request of the connection. */
  reset(): void {
    this.beginMessage();
  }

  protected override isStartByte(code: number): boolean {
    return (tokenLower[code] ?? 0) !== 0;
  }

  /** `method SP target SP HTTP/d.d`, exactly (RFC 9112, 3). */
  protected override readStartLine(text: string, start: number, end: number): ErrorCode | null {
    this.#resetRequest();
    let pos = start;
    while (pos < end && (tokenLower[text.charCodeAt(pos)] ?? 0) !== 0) pos += 1;
    if (pos === start || text.charCodeAt(pos) !== SP) return "requestLineInvalid";
    // A constant has its hash already, and is no new string.
    this.method = pos - start === 3 && text.startsWith("GET", start) ? "GET" : text.slice(start, pos);
    const targetStart = pos + 1;
    const targetEnd = end - 9;
    if (targetEnd <= targetStart || text.charCodeAt(targetEnd) !== SP) return "requestLineInvalid";
    const version = this.#readVersion(text, targetEnd + 1);
    if (version !== null) return version;
    for (let i = targetStart; i < targetEnd; i += 1) {
      const code = text.charCodeAt(i);
      // A blank, a control byte, or `#`: a fragment is not part of a request target.
      if (code <= SP || code === 127 || code === 35)
        return code === SP ? "requestLineInvalid" : "targetInvalid";
    }
    this.target = text.slice(targetStart, targetEnd);
    return this.#checkTarget(text.charCodeAt(targetStart));
  }

  /** Any `HTTP/1.d` but 1.0 is read as 1.1 (RFC 9110, 2.5). */
  #readVersion(text: string, start: number): ErrorCode | null {
    if (!text.startsWith("HTTP/", start) || text.charCodeAt(start + 6) !== DOT) return "requestLineInvalid";
    const major = text.charCodeAt(start + 5) - 48;
    const minor = text.charCodeAt(start + 7) - 48;
    if (major < 0 || major > 9 || minor < 0 || minor > 9) return "requestLineInvalid";
    this.minorVersion = minor === 0 ? 0 : 1;
    return major === 1 ? null : "versionUnsupported";
  }

  /** Which forms of target go with which methods (RFC 9112, 3.2). */
  #checkTarget(first: number): ErrorCode | null {
    if (this.method === "CONNECT") return "connectRefused";
    if (first === 47) return null;
    if (this.target === "*") return this.method === "OPTIONS" ? null : "targetInvalid";
    return /^https?:\/\/[^/?]/i.test(this.target) ? null : "targetInvalid";
  }

  protected override readKnownField(id: number, text: string, start: number, end: number): ErrorCode | null {
    switch (id) {
      case FieldId.Host:
        if (this.#hasHost) return "hostInvalid";
        this.#hasHost = true;
        this.hostField = text.slice(start, end);
        return null;
      case FieldId.ContentLength:
        // A second one is refused even when equal: RFC 9112, 6.3 permits merging, but not all parsers do it.
        if (this.#hasLength) return "framingInvalid";
        this.#hasLength = true;
        this.contentLength = readContentLength(text, start, end);
        return this.contentLength < 0 ? "framingInvalid" : null;
      case FieldId.TransferEncoding:
        if (this.#hasTransferEncoding) return "framingInvalid";
        this.#hasTransferEncoding = true;
        return readTransferEncoding(text, start, end);
      case FieldId.Connection:
        return this.#readConnection(text, start, end);
      case FieldId.Upgrade:
        this.hasUpgrade = true;
        return null;
      case FieldId.Expect:
        if (text.slice(start, end).toLowerCase() !== "100-continue") return "expectationFailed";
        this.expectsContinue = true;
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
    if (options === null) return "fieldInvalid";
    for (const option of options) {
      if (option === "close") this.#hasClose = true;
      else if (option === "keep-alive") this.#hasKeepAlive = true;
      else if (option === "upgrade") this.#hasUpgradeOption = true;
      else (this.connectionNames ??= []).push(option);
    }
    return (this.connectionNames?.length ?? 0) > connectionOptionsMax ? "fieldInvalid" : null;
  }

  protected override finishHead(): ErrorCode | null {
    if (this.#hasTransferEncoding) {
      if (this.#hasLength || this.minorVersion === 0) return "framingInvalid";
      this.framing = Framing.Chunked;
    } else if (this.#hasLength) {
      this.framing = this.contentLength === 0 ? Framing.None : Framing.Length;
    }
    if (!this.#hasHost && this.minorVersion === 1) return "hostInvalid";
    this.isLast = this.#hasClose || (this.minorVersion === 0 && !this.#hasKeepAlive);
    this.hasUpgrade = this.hasUpgrade && this.#hasUpgradeOption && this.minorVersion === 1;
    // RFC 9110, 10.1.1: an HTTP/1.0 client cannot mean it.
    this.expectsContinue = this.expectsContinue && this.minorVersion === 1 && this.framing !== Framing.None;
    return null;
  }

  protected override nameError(error: ErrorCode): ErrorCode {
    return error;
  }

  #resetRequest(): void {
    this.framing = Framing.None;
    this.contentLength = -1;
    this.hostField = "";
    this.hasUpgrade = false;
    this.expectsContinue = false;
    this.connectionNames = null;
    this.#hasHost = false;
    this.#hasLength = false;
    this.#hasTransferEncoding = false;
    this.#hasKeepAlive = false;
    this.#hasClose = false;
    this.#hasUpgradeOption = false;
  }
}
