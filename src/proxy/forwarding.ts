// Which fields go on to the endpoint and which come back to the client (RFC 9110, 7.6.1), whatever the wire format.
// Runs of fields that stay are copied as one piece of text; a field that is only forwarded is never decoded.
import { FieldId, type FieldSection } from "./field-section.ts";
import type { ResponseEdits } from "./routing/snapshot.ts";

/** By field id: 1 for what a request never carries on: hop-by-hop fields, and everything that Fairway itself sets. */
const droppedFromRequests = dropTable([
  FieldId.Host,
  FieldId.Connection,
  FieldId.KeepAlive,
  FieldId.ProxyConnection,
  FieldId.Te,
  FieldId.TransferEncoding,
  FieldId.Upgrade,
  FieldId.ContentLength,
  FieldId.Expect,
  FieldId.ProxyAuthenticate,
  FieldId.ProxyAuthorization,
  FieldId.Proxy,
  FieldId.XForwardedFor,
  FieldId.XForwardedHost,
  FieldId.XForwardedPort,
  FieldId.XForwardedProto,
  FieldId.XForwardedScheme,
  FieldId.XForwardedPrefix,
  FieldId.XForwardedServer,
  FieldId.XForwardedSsl,
  FieldId.XRealIp,
  FieldId.XScheme,
  FieldId.Forwarded,
  FieldId.XOriginalForwardedFor,
  FieldId.XOriginalForwardedHost,
  FieldId.XOriginalUri,
  FieldId.XOriginalUrl,
  FieldId.XOriginalMethod,
  FieldId.XOriginal,
  FieldId.HttpTwoSettings,
  FieldId.SslClient,
  // `X_Real_IP` and `X-Real-IP` are one name to CGI-like backends.
  FieldId.Underscore,
]);

const droppedFromResponses = dropTable([
  FieldId.Connection,
  FieldId.KeepAlive,
  FieldId.ProxyConnection,
  FieldId.Te,
  FieldId.TransferEncoding,
  FieldId.Upgrade,
  FieldId.ContentLength,
  FieldId.ProxyAuthenticate,
  FieldId.ProxyAuthorization,
  FieldId.Server,
  FieldId.XAccel,
]);

/** Seen by `requestLines`; read right after it. */
export interface RequestExtras {
  hasRequestId: boolean;
  /** The client takes trailers (RFC 9110, 10.1.4). */
  takesTrailers: boolean;
}

/**
 * The client's field lines that go to the endpoint, each ending in CRLF, without Host and X-Forwarded-*.
 * `connectionNames` are dropped as well, before anything of ours is added, so that `Connection: x-real-ip` cannot
 * take away what we set.
 */
export function requestLines(
  fields: FieldSection,
  connectionNames: readonly string[] | null,
  extras: RequestExtras,
): string {
  const { text, count } = fields;
  let lines = "";
  let added = "";
  let runStart = -1;
  extras.hasRequestId = false;
  extras.takesTrailers = false;
  for (let i = 0; i < count; i += 1) {
    const id = fields.id(i);
    if (
      droppedFromRequests[id] === 1 ||
      (connectionNames !== null && isNamed(fields, i, connectionNames)) ||
      // Without a value it identifies nothing: ours takes its place.
      (id === FieldId.XRequestId && fields.value(i) === "")
    ) {
      if (runStart >= 0) lines += text.slice(runStart, fields.lineStart(i));
      runStart = -1;
      if (id === FieldId.XForwardedFor) added += `X-Original-Forwarded-For: ${fields.value(i)}\r\n`;
      else if (id === FieldId.XForwardedHost) added += `X-Original-Forwarded-Host: ${fields.value(i)}\r\n`;
      else if (id === FieldId.Te)
        extras.takesTrailers = extras.takesTrailers || hasTrailersToken(fields.value(i));
      continue;
    }
    if (id === FieldId.XRequestId) extras.hasRequestId = true;
    if (runStart < 0) runStart = fields.lineStart(i);
  }
  if (runStart >= 0) lines += text.slice(runStart, fields.lineEnd(count - 1));
  return lines + added;
}

/** What the endpoint is told of the client's connection; the same for each of its requests. */
export function forwardedLines(address: string, isTls: boolean, port: number): string {
  const scheme = isTls ? "https" : "http";
  return (
    `X-Real-IP: ${address}\r\nX-Forwarded-For: ${address}\r\nX-Forwarded-Port: ${port}\r\n` +
    `X-Forwarded-Proto: ${scheme}\r\nX-Forwarded-Scheme: ${scheme}\r\nX-Scheme: ${scheme}\r\n`
  );
}

/** The same text as one piece: a concatenation stays a tree of its parts, which every write would walk again. */
export function flatten(text: string): string {
  return Buffer.from(text, "latin1").toString("latin1");
}

/** The endpoint's field lines that go to the client. `Date` is added where it lacks (RFC 9110, 6.6.1). */
export function responseLines(
  fields: FieldSection,
  connectionNames: readonly string[] | null,
  edits: ResponseEdits,
  date: () => string,
): string {
  const { text, count } = fields;
  let lines = "";
  let runStart = -1;
  let hasDate = false;
  const hasEdits = edits.lines !== "";
  for (let i = 0; i < count; i += 1) {
    const id = fields.id(i);
    if (
      droppedFromResponses[id] === 1 ||
      (connectionNames !== null && isNamed(fields, i, connectionNames)) ||
      (hasEdits && isNamed(fields, i, edits.names))
    ) {
      if (runStart >= 0) lines += text.slice(runStart, fields.lineStart(i));
      runStart = -1;
      continue;
    }
    if (id === FieldId.Date) hasDate = true;
    if (runStart < 0) runStart = fields.lineStart(i);
  }
  if (runStart >= 0) lines += text.slice(runStart, fields.lineEnd(count - 1));
  if (!hasDate) lines += `Date: ${date()}\r\n`;
  return lines + edits.lines;
}

/** Field lines of an interim response (RFC 9110, 15.2): early hints and the like. */
export function interimLines(fields: FieldSection, connectionNames: readonly string[] | null): string {
  let lines = "";
  for (let i = 0; i < fields.count; i += 1) {
    const isDropped = droppedFromResponses[fields.id(i)] === 1;
    if (isDropped || (connectionNames !== null && isNamed(fields, i, connectionNames))) continue;
    lines += fields.text.slice(fields.lineStart(i), fields.lineEnd(i));
  }
  return lines;
}

function isNamed(fields: FieldSection, index: number, names: readonly string[]): boolean {
  for (const name of names) if (fields.nameEquals(index, name)) return true;
  return false;
}

function hasTrailersToken(value: string): boolean {
  return value
    .toLowerCase()
    .split(",")
    .some((token) => token.trim() === "trailers");
}

function dropTable(ids: readonly number[]): Uint8Array {
  const table = new Uint8Array(64);
  for (const id of ids) table[id] = 1;
  return table;
}
