// When a request goes to another endpoint: nginx's proxy_next_upstream. The rules themselves are the core's (attempts.ts);
// docs/limits.md says where they differ from nginx's.
import type { AnnotationReader } from "../../controller/annotations.ts";
import type { RetryCause, RetrySettings } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

const causes: readonly RetryCause[] = ["error", "timeout", "invalid_header"];
const statuses = [500, 502, 503, 504, 403, 404, 429];
const keywords: ReadonlySet<string> = new Set([
  ...causes,
  ...statuses.map((status) => `http_${status}`),
  "non_idempotent",
  "off",
]);

const defaults: RetrySettings = {
  causes: ["stale", "error", "timeout"],
  statuses: [],
  isNonIdempotentIncluded: false,
  triesMax: 3,
  timeoutMs: 0,
};

const words = [...keywords].join(", ");

export const retries = defineFeature<RetrySettings, RetrySettings>({
  name: "retries",
  onInvalid: "ignore",
  annotations: {
    "proxy-next-upstream": `When a request goes to another endpoint, as words with blanks between them: ${words}. Default: the ConfigMap's, \`error timeout\`.`,
    "proxy-next-upstream-tries":
      "Tries of one request, the first included; 0: each endpoint once. Default: the ConfigMap's, 3.",
    "proxy-next-upstream-timeout":
      "Seconds from the first try in which others may start; 0: no limit. Default: the ConfigMap's, 0.",
  },
  settings: {
    "proxy-next-upstream": "Default of the annotation. Default: `error timeout`.",
    "proxy-next-upstream-tries": "Default of the annotation. Default: 3.",
    "proxy-next-upstream-timeout": "Default of the annotation. Default: 0.",
    "retry-non-idempotent":
      "Whether POST and other methods that are not idempotent are sent again too, on every route. Default: false.",
  },
  parseSettings(reader) {
    const settings = read(reader, defaults);
    return reader.boolean("retry-non-idempotent") === true
      ? { ...settings, isNonIdempotentIncluded: true }
      : settings;
  },
  parse(reader, settings) {
    const config = read(reader, settings);
    // Without a word about retries there is nothing to say in the table either.
    return JSON.stringify(config) === JSON.stringify(defaults) ? undefined : config;
  },
  runtime: { apply: (settings, config) => Object.assign(settings, { retries: config }) },
});

function read(reader: AnnotationReader, fallback: RetrySettings): RetrySettings {
  const conditions = readConditions(reader);
  const timeoutSeconds = reader.integer("proxy-next-upstream-timeout", { min: 0, max: 31_536_000 });
  return {
    causes: conditions?.causes ?? fallback.causes,
    statuses: conditions?.statuses ?? fallback.statuses,
    isNonIdempotentIncluded: conditions?.isNonIdempotentIncluded || fallback.isNonIdempotentIncluded,
    triesMax: reader.integer("proxy-next-upstream-tries", { min: 0, max: 1000 }) ?? fallback.triesMax,
    timeoutMs: timeoutSeconds === undefined ? fallback.timeoutMs : timeoutSeconds * 1000,
  };
}

type Conditions = Pick<RetrySettings, "causes" | "statuses" | "isNonIdempotentIncluded">;

function readConditions(reader: AnnotationReader): Conditions | undefined {
  const key = "proxy-next-upstream";
  const listed = reader.text(key)?.split(/\s+/);
  if (listed === undefined) return undefined;
  if (!listed.every((word) => keywords.has(word))) {
    reader.invalid(key, "InvalidValue", `a list of ${words} with blanks between them`);
    return undefined;
  }
  // As in nginx, `off` outweighs everything beside it.
  if (listed.includes("off")) return { causes: [], statuses: [], isNonIdempotentIncluded: false };
  return {
    causes: ["stale", ...causes.filter((cause) => listed.includes(cause))],
    statuses: statuses.filter((status) => listed.includes(`http_${status}`)),
    isNonIdempotentIncluded: listed.includes("non_idempotent"),
  };
}
