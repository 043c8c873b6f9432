// The path of a request as routes see it, and which route of a virtual host takes it. Pure. The result is for matching
// only: what goes to an endpoint is the target as the client sent it.
import type { CompiledRoute, VirtualHost } from "./snapshot.ts";

const Byte = { Percent: 0x25, Dot: 0x2e, Slash: 0x2f, Question: 0x3f } as const;

/**
 * The path of an origin-form target (one character per byte), percent-decoded once, without dot segments and repeated
 * slashes (RFC 3986, 6.2.2). `%2f` and `%2e` count as `/` and `.`, as in nginx, so that nobody walks around a route by
 * encoding them. Null, and the request is answered with 400: a bad percent-encoding, `%00`, a path that climbs above the
 * root, or a target that does not begin with `/`.
 */
export function normalizePath(target: string): string | null {
  if (target.charCodeAt(0) !== Byte.Slash) return null;
  const { length } = target;
  let afterSlash = false;
  for (let i = 0; i < length; i++) {
    const code = target.charCodeAt(i);
    // Letters and digits, the bulk of every path, leave after two comparisons.
    if (code > Byte.Question) {
      afterSlash = false;
    } else if (code === Byte.Slash) {
      if (afterSlash) return resolvePath(target);
      afterSlash = true;
    } else if (code === Byte.Percent || (code === Byte.Dot && afterSlash)) {
      return resolvePath(target);
    } else if (code === Byte.Question) {
      return target.slice(0, i);
    } else {
      afterSlash = false;
    }
  }
  return target;
}

/** The general case. Linear: each segment is added once and removed at most once. */
function resolvePath(target: string): string | null {
  const query = target.indexOf("?");
  const path = decodePath(query < 0 ? target : target.slice(0, query));
  if (path === null) return null;
  const parts = path.split("/");
  const kept: string[] = [];
  for (const part of parts) {
    if (part === "" || part === ".") continue;
    if (part !== "..") kept.push(part);
    else if (kept.pop() === undefined) return null;
  }
  const last = parts.at(-1);
  const isFolder = kept.length > 0 && (last === "" || last === "." || last === "..");
  return isFolder ? `/${kept.join("/")}/` : `/${kept.join("/")}`;
}

/** Null for `%` without two hex digits, and for `%00`. */
function decodePath(path: string): string | null {
  let percent = path.indexOf("%");
  if (percent < 0) return path;
  const pieces: string[] = [];
  let start = 0;
  while (percent >= 0) {
    const byte = hexDigit(path.charCodeAt(percent + 1)) * 16 + hexDigit(path.charCodeAt(percent + 2));
    // NaN, of a missing digit, fails this as well.
    if (!(byte > 0)) return null;
    pieces.push(path.slice(start, percent), String.fromCharCode(byte));
    start = percent + 3;
    percent = path.indexOf("%", start);
  }
  pieces.push(path.slice(start));
  return pieces.join("");
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}

/** Text of a configuration (Unicode) as the bytes a decoded request path has: UTF-8, one character per byte. */
export function pathBytes(text: string): string {
  return Buffer.from(text, "utf8").toString("latin1");
}

/** The key of a Prefix route: its path without one trailing slash, so that `/a` and `/a/` share one and `/` has none. */
export function prefixKey(path: string): string {
  return path.endsWith("/") ? path.slice(0, -1) : path;
}

/**
 * The route for a path made by `normalizePath`: Exact, then the longest Prefix that ends where an element of the path
 * ends. There is always one, since every virtual host has the root.
 */
export function findRoute(host: VirtualHost, path: string): CompiledRoute {
  const exact = host.exactPaths.get(path);
  if (exact !== undefined) return exact;
  const { prefixLengths, prefixPaths } = host;
  for (let i = 0; i < prefixLengths.length; i++) {
    const length = prefixLengths[i] ?? 0;
    if (length > path.length) continue;
    // Only where an element ends is a string made and hashed.
    if (length === path.length) {
      const route = prefixPaths.get(path);
      if (route !== undefined) return route;
    } else if (path.charCodeAt(length) === Byte.Slash) {
      const route = prefixPaths.get(path.slice(0, length));
      if (route !== undefined) return route;
    }
  }
  return host.root;
}
