// Passive health: which faults of an endpoint take it out of rotation, for how long, and how much of an upstream may be
// out. Failed connections count from the start, as ingress-nginx's users expect nothing less of a proxy; statuses do not,
// because a 500 is an application's answer, which one bad request can cause everywhere. The rules: docs/ejections.md.
import { ownPrefix, type AnnotationReader } from "../../controller/annotations.ts";
import { defaultOutliers, type OutlierSettings } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

export interface OutliersConfig {
  readonly outliers: OutlierSettings;
  readonly ejectedPercentMax: number;
  readonly panicPercent: number;
}

const defaults: OutliersConfig = { outliers: defaultOutliers, ejectedPercentMax: 50, panicPercent: 20 };

const keys = {
  failures: "outlier-failures",
  statuses: "outlier-consecutive-5xx",
  ejectionTime: "outlier-ejection-time",
  ejectionTimeMax: "outlier-max-ejection-time",
  ejectedPercentMax: "outlier-max-ejection-percent",
  panicPercent: "panic-threshold",
} as const;

const texts: Readonly<Record<keyof typeof keys, string>> = {
  failures:
    "Failures in a row that eject an endpoint: connections that failed or brought no response; counted apart, responses that broke off. 0 to 1000; 0: none do.",
  statuses:
    "Responses in a row with 5xx, other than 501 and 505, that eject an endpoint. 0 to 1000; 0: none do.",
  ejectionTime:
    "Seconds for which an endpoint is first ejected, before a request tries it again; doubled after each trial that fails. 1 to 3600.",
  ejectionTimeMax:
    "Seconds that are the longest an endpoint is ejected before it is tried again. 1 to 86400.",
  ejectedPercentMax:
    "Percentage of an upstream's endpoints beyond which ejections have no effect, those included that failed their check. Of two or more one may always be ejected, unless it is 0.",
  panicPercent:
    "With less than this percentage of an upstream's endpoints usable, requests go to all of them. 0: only what is in rotation is used as long as there is any.",
};

const defaultTexts: Readonly<Record<keyof typeof keys, number>> = {
  failures: defaultOutliers.failuresMax,
  statuses: defaultOutliers.statusesMax,
  ejectionTime: defaultOutliers.ejectionMinMs / 1000,
  ejectionTimeMax: defaultOutliers.ejectionMaxMs / 1000,
  ejectedPercentMax: defaults.ejectedPercentMax,
  panicPercent: defaults.panicPercent,
};

const names = Object.keys(keys) as readonly (keyof typeof keys)[];

export const outliers = defineFeature<OutliersConfig, OutliersConfig>({
  name: "outliers",
  scope: "upstream",
  onInvalid: "ignore",
  annotations: Object.fromEntries(
    names.map((name) => [
      ownPrefix + keys[name],
      `${texts[name]} Default: the ConfigMap's, ${defaultTexts[name]}.`,
    ]),
  ),
  settings: Object.fromEntries(
    names.map((name) => [
      keys[name],
      `Default of the annotation ${ownPrefix}${keys[name]}. Default: ${defaultTexts[name]}.`,
    ]),
  ),
  parseSettings: (reader) => read(reader, "", defaults),
  parse(reader, settings) {
    const config = read(reader, ownPrefix, settings);
    return JSON.stringify(config) === JSON.stringify(defaults) ? undefined : config;
  },
  runtime: { applyUpstream: (settings, config) => Object.assign(settings, config) },
});

function read(reader: AnnotationReader, prefix: string, fallback: OutliersConfig): OutliersConfig {
  const integer = (name: keyof typeof keys, min: number, max: number): number | undefined =>
    reader.integer(prefix + keys[name], { min, max });
  const { failuresMax, statusesMax, ejectionMinMs, ejectionMaxMs } = fallback.outliers;
  const first = integer("ejectionTime", 1, 3_600);
  const last = integer("ejectionTimeMax", 1, 86_400);
  const firstMs = first === undefined ? ejectionMinMs : first * 1000;
  const lastMs = last === undefined ? ejectionMaxMs : last * 1000;
  if (last !== undefined && lastMs < firstMs) {
    const message = `it is less than ${prefix}${keys.ejectionTime}, ${firstMs / 1000}, which counts for both`;
    reader.report("warning", prefix + keys.ejectionTimeMax, "InvalidInteger", message);
  }
  return {
    outliers: {
      failuresMax: integer("failures", 0, 1000) ?? failuresMax,
      statusesMax: integer("statuses", 0, 1000) ?? statusesMax,
      ejectionMinMs: firstMs,
      ejectionMaxMs: Math.max(firstMs, lastMs),
    },
    ejectedPercentMax: integer("ejectedPercentMax", 0, 100) ?? fallback.ejectedPercentMax,
    panicPercent: integer("panicPercent", 0, 100) ?? fallback.panicPercent,
  };
}
