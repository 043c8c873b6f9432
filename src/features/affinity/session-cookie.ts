// Cookie affinity, the part of the routes: those of an Ingress with `affinity: cookie` tell a client without session
// which endpoint it got, by a cookie with these attributes.
import { quote, type AnnotationReader } from "../../controller/annotations.ts";
import type { RouteView, SessionCookie } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";
import { cookieText } from "./cookie-text.ts";

export interface SessionCookieConfig extends Omit<SessionCookie, "path"> {
  /** Empty: the path of the route. */
  readonly path: string;
}

const sameSites = ["None", "Lax", "Strict"] as const;
const pathText = /^\/[/A-Za-z0-9\-._~:,?&=]*$/;
const seconds = { min: -2_147_483_648, max: 2_147_483_647 };

export const sessionCookie = defineFeature<SessionCookieConfig, undefined>({
  name: "session-cookie",
  onInvalid: "ignore",
  annotations: {
    "session-cookie-path": "Path of the cookie. Default: the path of the route.",
    "session-cookie-domain": "Domain of the cookie. Default: none, which is the host of the request.",
    "session-cookie-expires": "Seconds after which the cookie expires, as Expires. Default: none.",
    "session-cookie-max-age": "Seconds after which the cookie expires, as Max-Age. Default: none.",
    "session-cookie-samesite": "None, Lax or Strict. Default: none of them.",
    "session-cookie-conditional-samesite-none":
      "Leave SameSite=None out for browsers that misread it. Default: false.",
    "session-cookie-secure": "The cookie is Secure also without TLS; with TLS it always is. Default: false.",
  },
  settings: {},
  parseSettings: () => undefined,
  parse(reader) {
    const config: SessionCookieConfig = {
      path:
        reader.matching("session-cookie-path", pathText, "a path of letters, digits and /-._~:,?&=") ?? "",
      domain: reader.matching("session-cookie-domain", cookieText, "a domain") ?? "",
      expiresSeconds: reader.integer("session-cookie-expires", seconds) ?? null,
      maxAgeSeconds: reader.integer("session-cookie-max-age", seconds) ?? null,
      sameSite: readSameSite(reader),
      avoidsSameSiteNone: reader.boolean("session-cookie-conditional-samesite-none") ?? false,
      isAlwaysSecure: reader.boolean("session-cookie-secure") ?? false,
    };
    // What is wrong with the value is told by affinity.ts.
    return reader.text("affinity") === "cookie" ? config : undefined;
  },
  runtime: {
    apply: (settings, config, route) => {
      settings.sessionCookie = { ...config, path: config.path === "" ? pathOf(route) : config.path };
    },
  },
});

/** ingress-nginx takes any case, but then writes no attribute unless the case is right. */
function readSameSite(reader: AnnotationReader): SessionCookie["sameSite"] {
  const key = "session-cookie-samesite";
  const text = reader.text(key);
  const meant = sameSites.find((each) => each.toLowerCase() === text?.toLowerCase());
  if (meant === undefined || meant === text) return reader.oneOf(key, sameSites) ?? null;
  const message = `${quote(text ?? "")} is not spelled ${quote(meant)}; the cookie has no SameSite, as with ingress-nginx`;
  reader.report("warning", key, "NoEffect", message);
  return null;
}

/**
 * As browsers see it, percent-encoded. A semicolon would end the attribute, so the path is cut above it, which only makes
 * the cookie known to more of the host.
 */
function pathOf({ path }: RouteView): string {
  const encoded = encodeURI(path.toWellFormed());
  const semicolon = encoded.indexOf(";");
  return semicolon < 0 ? encoded : encoded.slice(0, encoded.lastIndexOf("/", semicolon) + 1);
}
