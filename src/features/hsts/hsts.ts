// Strict-Transport-Security on every response over TLS (RFC 6797), set for the whole controller.
import { defineFeature } from "../feature.ts";

export interface HstsConfig {
  /** The value of the field. */
  readonly value: string;
}

export const hsts = defineFeature<HstsConfig, HstsConfig | undefined>({
  name: "hsts",
  onInvalid: "ignore",
  annotations: {},
  settings: {
    hsts: "Send Strict-Transport-Security on responses over TLS. Default: true.",
    "hsts-max-age": "Its max-age in seconds. Default: 31536000.",
    "hsts-include-subdomains": "Add includeSubDomains. Default: true.",
    "hsts-preload": "Add preload. Default: false.",
  },
  parseSettings(reader) {
    if (!(reader.boolean("hsts") ?? true)) return undefined;
    const maxAge = reader.integer("hsts-max-age", { min: 0, max: 10_000_000_000 }) ?? 31_536_000;
    const subdomains = (reader.boolean("hsts-include-subdomains") ?? true) ? "; includeSubDomains" : "";
    const preload = (reader.boolean("hsts-preload") ?? false) ? "; preload" : "";
    return { value: `max-age=${maxAge}${subdomains}${preload}` };
  },
  parse: (_reader, settings) => settings,
  runtime: {
    createFilter: (config) => ({
      responseFields: [{ name: "strict-transport-security", value: config.value, onlyOverTls: true }],
    }),
  },
});
