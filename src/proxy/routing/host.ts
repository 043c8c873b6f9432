// The host of a request: what is a valid authority, and which virtual host answers for it. Pure; called once for each
// request by the exchange (parseAuthority) and by decide (findVirtualHost).
import { isIPv6 } from "node:net";
import type { RoutingTable, VirtualHost } from "./snapshot.ts";

/** What a byte may be in the host part. */
const HostByte = { Refused: 0, Plain: 1, Upper: 2, Dot: 3, Colon: 4 } as const;

/**
 * RFC 3986, 3.2.2: unreserved characters (`_` among them) and sub-delims. Two of the RFC's are refused: `,`, which
 * joins repeated fields, and `%`, since a decoded host would be another name than the one compared and logged.
 */
const hostBytes = makeHostBytes();

function makeHostBytes(): Uint8Array {
  const table = new Uint8Array(256);
  for (const char of "abcdefghijklmnopqrstuvwxyz0123456789-_~!$&'()*+;=") {
    table[char.charCodeAt(0)] = HostByte.Plain;
  }
  for (const char of "ABCDEFGHIJKLMNOPQRSTUVWXYZ") table[char.charCodeAt(0)] = HostByte.Upper;
  table[".".charCodeAt(0)] = HostByte.Dot;
  table[":".charCodeAt(0)] = HostByte.Colon;
  return table;
}

/**
 * The host of `host[:port]`: lower case, without port and without one trailing dot; an IPv6 address keeps its brackets.
 * Null when it is not valid, and the request is answered with 400 (RFC 9112, 3.2). An empty authority is not valid
 * (RFC 9110, 4.2.1): who serves HTTP/1.0 without Host does not ask.
 */
export function parseAuthority(authority: string): string | null {
  if (authority.charCodeAt(0) === 0x5b /* [ */) return parseIpLiteral(authority);
  let end = authority.length;
  let hasUpper = false;
  let labelStart = 0;
  for (let i = 0; i < authority.length; i++) {
    const kind = hostBytes[authority.charCodeAt(i)];
    if (kind === HostByte.Plain) continue;
    if (kind === HostByte.Upper) hasUpper = true;
    else if (kind === HostByte.Dot) {
      // An empty label is no name, and `a..b` would be a second spelling of nothing.
      if (i === labelStart) return null;
      labelStart = i + 1;
    } else if (kind === HostByte.Colon) {
      if (!isPort(authority, i + 1)) return null;
      end = i;
      break;
    } else return null;
  }
  if (end > 0 && labelStart === end) end--;
  if (end === 0) return null;
  const host = end === authority.length ? authority : authority.slice(0, end);
  return hasUpper ? host.toLowerCase() : host;
}

/** `[` IPv6address `]`; no zone (RFC 6874 is for local use) and no IPvFuture. */
function parseIpLiteral(authority: string): string | null {
  const close = authority.indexOf("]");
  if (close < 0) return null;
  const address = authority.slice(1, close);
  if (address.includes("%") || !isIPv6(address)) return null;
  const rest = close + 1;
  if (rest < authority.length && (authority[rest] !== ":" || !isPort(authority, rest + 1))) return null;
  return authority.slice(0, rest).toLowerCase();
}

/** Digits up to 65535; none at all is the scheme's own port (RFC 3986, 3.2.3). */
function isPort(text: string, start: number): boolean {
  let port = 0;
  for (let i = start; i < text.length; i++) {
    const digit = text.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return false;
    port = port * 10 + digit;
    if (port > 65_535) return false;
  }
  return true;
}

/** The virtual host for a name made by `parseAuthority` (or empty): exact, then `*.` and one label, then the catch-all. */
export function findVirtualHost(table: RoutingTable, host: string): VirtualHost {
  const exact = table.exactHosts.get(host);
  if (exact !== undefined) return exact;
  if (table.wildcardHosts.size > 0) {
    const dot = host.indexOf(".");
    if (dot > 0 && isLabel(host, dot)) {
      const wildcard = table.wildcardHosts.get(host.slice(dot));
      if (wildcard !== undefined) return wildcard;
    }
  }
  return table.catchAll;
}

/** The first `end` characters are of `[A-Za-z0-9_-]`: what a wildcard stands for. */
export function isLabel(host: string, end: number): boolean {
  for (let i = 0; i < end; i++) {
    const code = host.charCodeAt(i);
    const isLetter = (code | 0x20) >= 0x61 && (code | 0x20) <= 0x7a;
    const isDigit = code >= 0x30 && code <= 0x39;
    if (!isLetter && !isDigit && code !== 0x2d && code !== 0x5f) return false;
  }
  return true;
}
