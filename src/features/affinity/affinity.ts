// Cookie affinity, the part of the upstream: whether it keeps sessions, how, and the name of the cookie that it reads.
// session-cookie.ts is the part of the routes.
import type { AffinitySettings } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";
import { cookieText } from "./cookie-text.ts";

/** Translate reads it: it decides what a canary's upstream takes over from the primary's. */
const canaryBehavior = "affinity-canary-behavior";
const defaultCookieName = "INGRESSCOOKIE";

export const affinity = defineFeature<AffinitySettings, undefined>({
  name: "affinity",
  scope: "session",
  onInvalid: "ignore",
  annotations: {
    affinity:
      "cookie: a client stays with the endpoint that its cookie names. On routes of Ingresses without it no cookie is set.",
    "affinity-mode":
      "balanced: sessions are hashed onto the endpoints, and some move when endpoints come or go; persistent: a session stays as long as its endpoint is there. Default: balanced.",
    [canaryBehavior]:
      "On a canary. sticky: clients with a session stay with the canary as they do with the primary; legacy: its upstream keeps no sessions, and each request is decided anew. Default: sticky.",
    "session-cookie-name": "Name of the cookie. Default: INGRESSCOOKIE.",
    "session-cookie-change-on-failure":
      "After a failed try the client gets another endpoint and a new cookie; otherwise its tries stay with the endpoint of its cookie. Default: false.",
  },
  settings: {},
  parseSettings: () => undefined,
  parse(reader) {
    if (reader.has(canaryBehavior)) {
      reader.report("warning", canaryBehavior, "NoEffect", "it has an effect on canaries only");
    }
    const isOn = reader.oneOf("affinity", ["cookie"]) === "cookie";
    const mode = reader.oneOf("affinity-mode", ["balanced", "persistent"]) ?? "balanced";
    const cookieName = reader.matching("session-cookie-name", cookieText, "a cookie name");
    const changesOnFailure = reader.boolean("session-cookie-change-on-failure") ?? false;
    return isOn ? { cookieName: cookieName ?? defaultCookieName, mode, changesOnFailure } : undefined;
  },
  runtime: {
    applyUpstream: (settings, config) => {
      settings.affinity = config;
    },
  },
});
