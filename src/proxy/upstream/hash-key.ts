// The key that consistent hashing goes by, as a hash: no text is put together for it.
import { cookieValue } from "../../util/cookies.ts";
import { crc32 } from "../../util/crc32.ts";
import type { HashPart, RequestView } from "../filter.ts";

/** 32 bits. What a request does not have counts as empty, as in nginx: all such requests have the same key. */
export function hashOf(parts: readonly HashPart[], request: RequestView): number {
  let hash = 0;
  for (let i = 0; i < parts.length; i += 1) {
    const part = parts[i];
    if (part !== undefined) hash = crc32(textOf(part, request), hash);
  }
  return hash;
}

export function textOf(part: HashPart, request: RequestView): string {
  switch (part.kind) {
    case "text":
      return part.text;
    case "target":
      return request.target;
    case "path":
      return request.path;
    case "query":
      return queryOf(request.target);
    case "clientAddress":
      return request.clientAddress;
    case "host":
      return request.host;
    case "scheme":
      return request.isTls ? "https" : "http";
    case "method":
      return request.method;
    case "field":
      return request.field(part.name) ?? "";
    case "argument":
      return argumentOf(queryOf(request.target), part.name);
    case "cookie":
      return cookieValue(request.field("cookie") ?? "", part.name) ?? "";
  }
}

function queryOf(target: string): string {
  const mark = target.indexOf("?");
  return mark < 0 ? "" : target.slice(mark + 1);
}

/** The value of the first argument of that name, as sent. */
function argumentOf(query: string, name: string): string {
  for (let start = 0; start < query.length;) {
    const ampersand = query.indexOf("&", start);
    const end = ampersand < 0 ? query.length : ampersand;
    const equals = start + name.length;
    if (equals < end && query[equals] === "=" && query.slice(start, equals).toLowerCase() === name) {
      return query.slice(equals + 1, end);
    }
    start = end + 1;
  }
  return "";
}
