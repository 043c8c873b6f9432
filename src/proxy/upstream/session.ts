// Session cookies (cookie affinity): `NAME=<key>|<id>`, where the key names an endpoint and the id the upstream. Key, id
// and the order of attributes are those of ingress-nginx, so that its sessions go on.
import { cookieValue } from "../../util/cookies.ts";
import type { RequestView, SessionCookie } from "../filter.ts";

/** The key of the client's session; empty: it has none. Cookies of old versions are a key alone. */
export function sessionKeyOf(request: RequestView, cookieName: string): string {
  const value = sessionCookieOf(request, cookieName);
  const bar = value.indexOf("|");
  return bar < 0 ? value : value.slice(0, bar);
}

/** The client's session belongs to the upstream with this id. */
export function hasSessionOf(request: RequestView, cookieName: string, id: string): boolean {
  const value = sessionCookieOf(request, cookieName);
  const bar = value.indexOf("|");
  if (bar < 0) return false;
  const second = value.indexOf("|", bar + 1);
  return value.slice(bar + 1, second < 0 ? value.length : second) === id;
}

function sessionCookieOf(request: RequestView, cookieName: string): string {
  const field = request.field("cookie");
  return field === undefined ? "" : (cookieValue(field, cookieName) ?? "");
}

/** A complete Set-Cookie line. */
export function setCookieLine(
  cookie: SessionCookie,
  session: { readonly name: string; readonly key: string; readonly id: string },
  request: RequestView,
): string {
  let line = `Set-Cookie: ${session.name}=${session.key}|${session.id}`;
  if (cookie.expiresSeconds !== null) {
    line += `; Expires=${new Date(Date.now() + cookie.expiresSeconds * 1000).toUTCString()}`;
  }
  if (cookie.maxAgeSeconds !== null) line += `; Max-Age=${cookie.maxAgeSeconds}`;
  if (cookie.domain !== "") line += `; Domain=${cookie.domain}`;
  line += `; Path=${cookie.path}`;
  if (cookie.isAlwaysSecure || request.isTls) line += "; Secure";
  line += "; HttpOnly";
  const hidesNone =
    cookie.avoidsSameSiteNone && cookie.sameSite === "None" && misreadsNone(request.field("user-agent"));
  if (cookie.sameSite !== null && !hidesNone) line += `; SameSite=${cookie.sameSite}`;
  return `${line}\r\n`;
}

/** Browsers that take `SameSite=None` for `Strict`, or refuse the cookie. */
function misreadsNone(userAgent = ""): boolean {
  if (/Chrome\/[456]|CPU iPhone OS 12|iPad; CPU OS 12/.test(userAgent)) return true;
  const isSafari = userAgent.includes("Safari") && !userAgent.includes("Chrome");
  return isSafari && userAgent.includes("Intel Mac OS X 10_14");
}
