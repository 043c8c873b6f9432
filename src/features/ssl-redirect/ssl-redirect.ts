// HTTP to HTTPS redirects, by the rules of ingress-nginx.
import type { AnnotationReader } from "../../controller/annotations.ts";
import type { Answer, Filter, RequestView, RouteView } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

interface SslRedirectSettings {
  readonly sslRedirect: boolean;
  readonly forceSslRedirect: boolean;
  readonly preserveTrailingSlash: boolean;
  readonly httpRedirectCode: number;
  readonly exemptPaths: readonly string[];
}

export interface SslRedirectConfig {
  /** Redirect when the host has a TLS entry. */
  readonly ifTls: boolean;
  /** Redirect whether or not the host has a TLS entry. */
  readonly always: boolean;
  readonly preserveTrailingSlash: boolean;
  readonly status: number;
  /** Routes whose path begins with one of these are not redirected. */
  readonly exemptPaths: readonly string[];
}

export const sslRedirect = defineFeature<SslRedirectConfig, SslRedirectSettings>({
  name: "ssl-redirect",
  onInvalid: "ignore",
  annotations: {
    "ssl-redirect": "Redirect HTTP to HTTPS when the host has a TLS entry. Default: the ConfigMap's, true.",
    "force-ssl-redirect": "Redirect HTTP to HTTPS even without a TLS entry. Default: the ConfigMap's, false.",
    "preserve-trailing-slash":
      "Keep a trailing slash in the redirect's Location. Default: the ConfigMap's, false.",
  },
  settings: {
    "ssl-redirect": "Default of the annotation. Default: true.",
    "force-ssl-redirect": "Default of the annotation. Default: false.",
    "preserve-trailing-slash": "Default of the annotation. Default: false.",
    "http-redirect-code": "Status of the redirects: 301, 302, 307 or 308. Default: 308.",
    "no-tls-redirect-locations":
      "Comma-separated path prefixes; routes of Ingresses below them are not redirected. Default: /.well-known/acme-challenge.",
  },
  parseSettings(reader) {
    return {
      sslRedirect: reader.boolean("ssl-redirect") ?? true,
      forceSslRedirect: reader.boolean("force-ssl-redirect") ?? false,
      preserveTrailingSlash: reader.boolean("preserve-trailing-slash") ?? false,
      httpRedirectCode: Number(reader.oneOf("http-redirect-code", ["301", "302", "307", "308"]) ?? "308"),
      exemptPaths: exemptPaths(reader),
    };
  },
  parse(reader, settings) {
    const ifTls = reader.boolean("ssl-redirect") ?? settings.sslRedirect;
    const always = reader.boolean("force-ssl-redirect") ?? settings.forceSslRedirect;
    if (!ifTls && !always) return undefined;
    return {
      ifTls,
      always,
      preserveTrailingSlash: reader.boolean("preserve-trailing-slash") ?? settings.preserveTrailingSlash,
      status: settings.httpRedirectCode,
      exemptPaths: settings.exemptPaths,
    };
  },
  runtime: { createFilter: createSslRedirectFilter },
});

function exemptPaths(reader: AnnotationReader): readonly string[] {
  const text = reader.text("no-tls-redirect-locations") ?? "/.well-known/acme-challenge";
  return text
    .split(",")
    .map((path) => path.trim())
    .filter((path) => path !== "");
}

/** Null where the route is never redirected, so that it costs such routes nothing. */
function createSslRedirectFilter(config: SslRedirectConfig, route: RouteView): Filter | null {
  if (!config.always && !(config.ifTls && route.isTls)) return null;
  if (config.exemptPaths.some((path) => route.path.startsWith(path))) return null;
  return sharedFilter(config);
}

/** One for each of the few combinations there are: nearly every route has this filter, and all have the same one. */
const filters = new Map<string, SslRedirectFilter>();

function sharedFilter({ status, always, preserveTrailingSlash }: SslRedirectConfig): SslRedirectFilter {
  const key = [status, always, preserveTrailingSlash].join();
  const filter = filters.get(key) ?? new SslRedirectFilter(status, always, preserveTrailingSlash);
  filters.set(key, filter);
  return filter;
}

class SslRedirectFilter implements Filter {
  readonly #status: number;
  readonly #isForced: boolean;
  readonly #preserveTrailingSlash: boolean;

  constructor(status: number, isForced: boolean, preserveTrailingSlash: boolean) {
    this.#status = status;
    this.#isForced = isForced;
    this.#preserveTrailingSlash = preserveTrailingSlash;
  }

  answer(request: RequestView): Answer | null {
    if (request.isTls) return null;
    // HTTP/1.0 without Host: `https://` and a target such as `/evil.example` would lead there.
    if (request.authority === "") return { status: 400, fields: [], reason: "HTTPS redirect without a host" };
    return {
      status: this.#status,
      fields: [{ name: "location", value: `https://${hostOf(request)}${this.#pathOf(request.target)}` }],
      reason: this.#isForced ? "force-ssl-redirect" : "ssl-redirect",
    };
  }

  /** One trailing slash of the raw target is dropped, even one of the query, and `/` alone becomes nothing. */
  #pathOf(target: string): string {
    // Of OPTIONS for the server as a whole (RFC 9112, 3.2.4).
    if (target === "*") return "";
    return target.endsWith("/") && !this.#preserveTrailingSlash ? target.slice(0, -1) : target;
  }
}

/** The host as the client wrote it, without its port. */
function hostOf(request: RequestView): string {
  return request.authority.replace(/:\d*$/, "");
}
