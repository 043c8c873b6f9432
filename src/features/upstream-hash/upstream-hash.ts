// Consistent hashing: requests with the same key go to the same endpoint, or to the same small group of endpoints.
import { quote, type AnnotationReader } from "../../controller/annotations.ts";
import type { HashSettings } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";
import { parseExpression } from "./expression.ts";

const by = "upstream-hash-by";
const subset = "upstream-hash-by-subset";
const subsetSize = "upstream-hash-by-subset-size";
const loadFactor = "fairway.dev/upstream-hash-by-load-factor";

const expressionText = /^[A-Za-z0-9\-_${}]*$/;
const defaultSubsetSize = 3;

export const upstreamHash = defineFeature<HashSettings, undefined>({
  name: "upstream-hash",
  scope: "upstream",
  onInvalid: "ignore",
  annotations: {
    [by]: "The key, made of text and of nginx's variables $request_uri, $uri, $args, $query_string, $remote_addr, $binary_remote_addr, $host, $scheme, $request_method, $http_NAME, $arg_NAME and $cookie_NAME: requests with equal keys go to one endpoint.",
    [subset]: "The key chooses a group of endpoints, and chance one of them. Default: false.",
    [subsetSize]: "Endpoints in such a group. Default: 3.",
    [loadFactor]:
      "Percent of its even share of the active requests that an endpoint gets at most, from 100; what is too much goes to the next endpoint, so 125 keeps a hot key from overloading one. 0 means no bound: a key never leaves its endpoint. Not with subsets. Default: 0.",
  },
  settings: {},
  parseSettings: () => undefined,
  parse(reader) {
    const text = reader.matching(by, expressionText, "text of letters, digits and -_${}");
    const isSubset = reader.boolean(subset) ?? false;
    const size = reader.integer(subsetSize, { min: 0, max: 1_000 }) ?? 0;
    const loadFactorMax = (reader.integer(loadFactor, { min: 0, max: 10_000 }) ?? 0) / 100;
    if (text === undefined) return undefined;
    const parts = parseExpression(text);
    if (typeof parts === "string") {
      reader.report("error", by, "InvalidExpression", `${quote(text)}: ${parts}; ${consequence}`);
      return undefined;
    }
    return {
      parts,
      subsetSize: isSubset ? size || defaultSubsetSize : 0,
      loadFactorMax: checkLoadFactor(reader, loadFactorMax, isSubset),
    };
  },
  runtime: {
    applyUpstream: (settings, config) => {
      settings.hash = config;
    },
  },
});

const consequence = "requests are not hashed";

function checkLoadFactor(reader: AnnotationReader, factor: number, isSubset: boolean): number {
  if (factor === 0) return 0;
  if (factor < 1) {
    reader.invalid(loadFactor, "InvalidInteger", "0 or an integer from 100 to 10000");
    return 0;
  }
  if (!isSubset) return factor;
  reader.report("warning", loadFactor, "NoEffect", `it has no effect beside ${subset}`);
  return 0;
}
