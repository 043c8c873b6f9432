// Canaries: an Ingress marked `canary: "true"` adds an alternative upstream to the routes with its host, path and path
// type. Translate does that; here is which requests go there: by header, then by cookie, then by weight.
import { quote, type AnnotationReader } from "../../controller/annotations.ts";
import { Verdict, type BackendSelector, type RequestView, type SelectionRule } from "../../proxy/filter.ts";
import { compileLinearRegex } from "../../util/linear-regex.ts";
import { defineFeature } from "../feature.ts";

export interface CanaryConfig {
  /** Lower case; empty: no header rule. */
  readonly header: string;
  readonly headerMatch: HeaderMatch;
  /** Empty: no cookie rule. */
  readonly cookie: string;
  readonly weight: number;
  /** 100 or more. */
  readonly weightTotal: number;
}

type HeaderMatch =
  /** The values `always` and `never`. */
  | { readonly kind: "keywords" }
  | { readonly kind: "value"; readonly value: string }
  | { readonly kind: "pattern"; readonly pattern: string }
  /** A pattern that does not compile: a request with the header stays on the primary. */
  | { readonly kind: "broken" };

const basic = /^[/A-Za-z0-9\-._~:]*$/;
const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const regexText = /^[/A-Za-z0-9\-._~:^$[\](){}*+?|&=\\]*$/;
const maxWeight = 2_147_483_647;

const canaryAnnotations = {
  canary:
    "The Ingress adds an alternative upstream to the routes with its host, path and path type. Default: false.",
  "canary-by-header": "Name of a request header: always goes to the canary, never does not. Comes first.",
  "canary-by-header-value":
    "The exact value of that header that goes to the canary, instead of always and never.",
  "canary-by-header-pattern":
    "A regular expression (RE2) that the header's value is searched for; ignored beside canary-by-header-value.",
  "canary-by-cookie": "Name of a cookie: always goes to the canary, never does not. Comes after the header.",
  "canary-weight":
    "Share of the remaining requests that go to the canary, of canary-weight-total. Default: 0.",
  "canary-weight-total": "What canary-weight is a share of; below 100 counts as 100. Default: 100.",
} as const;

export const canary = defineFeature<CanaryConfig, undefined>({
  name: "canary",
  onInvalid: "ignore",
  annotations: canaryAnnotations,
  settings: {},
  parseSettings: () => undefined,
  parse(reader) {
    if (reader.boolean("canary") !== true) {
      reportWithoutCanary(reader);
      return undefined;
    }
    const header = headerName(reader.matching("canary-by-header", token, "a header name") ?? "");
    return {
      header,
      headerMatch: parseHeaderMatch(reader, header),
      cookie: reader.matching("canary-by-cookie", token, "a cookie name") ?? "",
      ...parseWeight(reader),
    };
  },
  runtime: { createSelector },
});

/** Values that ingress-nginx takes and reads as something else are told of. */
function parseWeight(reader: AnnotationReader): Pick<CanaryConfig, "weight" | "weightTotal"> {
  const range = { min: -maxWeight, max: maxWeight };
  const weight = reader.integer("canary-weight", range) ?? 0;
  const total = reader.integer("canary-weight-total", range) ?? 100;
  const weightTotal = Math.max(100, total);
  if (total < 100)
    reader.report("warning", "canary-weight-total", "WeightOutOfRange", `${total} counts as 100`);
  if (weight < 0) reader.report("warning", "canary-weight", "WeightOutOfRange", `${weight} counts as 0`);
  if (weight > weightTotal) {
    const message = `${weight} is more than the total of ${weightTotal}: all remaining requests go to the canary`;
    reader.report("warning", "canary-weight", "WeightOutOfRange", message);
  }
  return { weight, weightTotal };
}

/** A forgotten `canary: "true"` makes a competitor of what was meant to be a canary. */
function reportWithoutCanary(reader: AnnotationReader): void {
  for (const key of Object.keys(canaryAnnotations)) {
    if (key === "canary" || !reader.has(key)) continue;
    const message = 'it has no effect without canary: "true"; the Ingress makes routes of its own';
    reader.report("warning", key, "NoEffect", message);
  }
}

/** As nginx reads it: case does not count, and `_` stands for `-`. */
function headerName(text: string): string {
  return text.toLowerCase().replaceAll("_", "-");
}

function parseHeaderMatch(reader: AnnotationReader, header: string): HeaderMatch {
  const value = reader.matching("canary-by-header-value", basic, "text of letters, digits and /-._~:");
  const pattern = reader.matching("canary-by-header-pattern", regexText, "a regular expression");
  if (header === "") {
    for (const key of ["canary-by-header-value", "canary-by-header-pattern"]) {
      if (reader.has(key)) {
        reader.report("warning", key, "NoEffect", "it has no effect without canary-by-header");
      }
    }
    return { kind: "keywords" };
  }
  if (value !== undefined) return { kind: "value", value };
  if (pattern === undefined) return { kind: "keywords" };
  const compiled = compileLinearRegex(pattern);
  if (typeof compiled !== "string") return { kind: "pattern", pattern };
  reader.report(
    "error",
    "canary-by-header-pattern",
    "InvalidPattern",
    `${quote(pattern)} is not a regular expression in RE2 syntax (${compiled}); requests with the header ${quote(header)} stay on the primary backend`,
  );
  return { kind: "broken" };
}

function createSelector(config: CanaryConfig): BackendSelector {
  const share = Math.min(1, Math.max(0, config.weight / config.weightTotal));
  return { rules: [headerRule(config), cookieRule(config.cookie)], share };
}

function headerRule({ header, headerMatch }: CanaryConfig): SelectionRule | null {
  if (header === "") return null;
  const judge = headerJudge(headerMatch);
  return {
    description: `header ${header}`,
    judge(request) {
      const found = request.field(header);
      return found === undefined ? Verdict.Next : judge(found);
    },
  };
}

function headerJudge(match: HeaderMatch): (found: string) => Verdict {
  switch (match.kind) {
    case "keywords":
      return keywordVerdict;
    case "value":
      return (found) => (found === match.value ? Verdict.Take : Verdict.Next);
    case "pattern": {
      const compiled = compileLinearRegex(match.pattern);
      if (typeof compiled === "string") return () => Verdict.Refuse;
      return (found) => (compiled.test(found) ? Verdict.Take : Verdict.Next);
    }
    case "broken":
      return () => Verdict.Refuse;
  }
}

function cookieRule(cookie: string): SelectionRule | null {
  if (cookie === "") return null;
  return {
    description: `cookie ${cookie}`,
    judge(request) {
      const found = cookieValue(request, cookie);
      return found === undefined ? Verdict.Next : keywordVerdict(found);
    },
  };
}

function keywordVerdict(found: string): Verdict {
  if (found === "always") return Verdict.Take;
  return found === "never" ? Verdict.Refuse : Verdict.Next;
}

/** The first cookie of that name (RFC 6265, 5.4); names are case-sensitive. */
function cookieValue(request: RequestView, name: string): string | undefined {
  const field = request.field("cookie");
  if (field === undefined) return undefined;
  for (const pair of field.split(";")) {
    const equals = pair.indexOf("=");
    if (equals >= 0 && pair.slice(0, equals).trim() === name) return pair.slice(equals + 1).trim();
  }
  return undefined;
}
