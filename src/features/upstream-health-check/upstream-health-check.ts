// Active health checks of endpoints: off unless a path or a type asks for one. What to ask for must be right, or healthy
// endpoints would be taken for broken: a wrong value there means no check at all. How often and how many has defaults.
import { ownPrefix, quote, type AnnotationReader } from "../../controller/annotations.ts";
import type { HealthCheckSettings, StatusRange } from "../../proxy/filter.ts";
import { defineFeature } from "../feature.ts";

const prefix = `${ownPrefix}health-check-`;
const key = {
  type: `${prefix}type`,
  path: `${prefix}path`,
  expectedStatus: `${prefix}expected-status`,
  host: `${prefix}host`,
  port: `${prefix}port`,
  service: `${prefix}service`,
  interval: `${prefix}interval`,
  timeout: `${prefix}timeout`,
  healthyThreshold: `${prefix}healthy-threshold`,
  unhealthyThreshold: `${prefix}unhealthy-threshold`,
} as const;

type Kind = HealthCheckSettings["kind"];
const kinds: readonly Kind[] = ["http", "tcp", "grpc"];
/** Annotations that only some kinds read. */
const readBy: ReadonlyMap<string, readonly Kind[]> = new Map<string, readonly Kind[]>([
  [key.path, ["http"]],
  [key.expectedStatus, ["http"]],
  [key.host, ["http", "grpc"]],
  [key.service, ["grpc"]],
]);

const defaultStatuses: readonly StatusRange[] = [{ first: 200, last: 399 }];
const consequence = "endpoints are not checked";

const pathText = /^\/[!-"$-~]{0,2047}$/;
const hostText = /^(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\])(?::\d{1,5})?$/;
const serviceText = /^[!-~]{1,256}$/;
const portText = /^(?:[1-9]\d{0,3}|[1-5]\d{4}|6[0-4]\d{3}|65[0-4]\d\d|655[0-2]\d|6553[0-5])$/;

export const upstreamHealthCheck = defineFeature<HealthCheckSettings, undefined>({
  name: "upstream-health-check",
  scope: "upstream",
  onInvalid: "ignore",
  annotations: {
    [key.type]:
      "http (a GET), tcp (a connection) or grpc (grpc.health.v1.Health/Check over HTTP/2 without TLS): endpoints are probed, and requests go to those that pass (docs/health.md). A wrong value in this annotation, or in -path, -expected-status, -host, -port or -service, means that there is no check. Default: http with -path, otherwise no check.",
    [key.path]: "What http asks for, with a query or without. Default: / with -type http.",
    [key.expectedStatus]:
      "Statuses that pass with http, and ranges of them, comma-separated: 200, 204-299. Redirections are not followed. Default: 200-399.",
    [key.host]: "The Host of http, the :authority of grpc. Default: the address and port that are probed.",
    [key.port]: "The port that is probed. Default: that of the endpoint.",
    [key.service]: "The service that grpc asks about. Default: none, which is the server as a whole.",
    [key.interval]:
      "Seconds from the start of one probe of an endpoint to the next, give or take 10 %; 1 to 3600. Default: 10.",
    [key.timeout]: "Seconds in which a probe must pass, connecting included; 1 to 600. Default: 2.",
    [key.healthyThreshold]:
      "Probes in a row that must pass before an endpoint that failed is used again; 1 to 100. Default: 2.",
    [key.unhealthyThreshold]:
      "Probes in a row that must fail before an endpoint is no longer used; 1 to 100. Default: 3.",
  },
  settings: {},
  parseSettings: () => undefined,
  parse(reader) {
    const before = { interval: 10, timeout: 2, healthyThreshold: 2, unhealthyThreshold: 3 };
    const intervalMs = 1000 * (reader.integer(key.interval, { min: 1, max: 3_600 }) ?? before.interval);
    const timeoutMs = 1000 * (reader.integer(key.timeout, { min: 1, max: 600 }) ?? before.timeout);
    const threshold = (name: "healthyThreshold" | "unhealthyThreshold"): number =>
      reader.integer(key[name], { min: 1, max: 100 }) ?? before[name];
    const healthyThreshold = threshold("healthyThreshold");
    const unhealthyThreshold = threshold("unhealthyThreshold");
    const what = readWhat(reader);
    return what && { ...what, intervalMs, timeoutMs, healthyThreshold, unhealthyThreshold };
  },
  runtime: {
    applyUpstream: (settings, config) => {
      settings.healthCheck = config;
    },
  },
});

type What = Pick<HealthCheckSettings, "kind" | "port" | "path" | "host" | "statuses" | "service">;

/** Undefined: there is no check, and the reader has said why unless nobody asked for one. */
function readWhat(reader: AnnotationReader): What | undefined {
  const kind = readKind(reader);
  if (kind === undefined) reportWithoutCheck(reader);
  if (kind === undefined || kind === null) return undefined;
  const read = new StrictReader(reader, kind);
  const path =
    read.text(key.path, pathText, 'a path that begins with "/", without blanks and fragment') ?? "/";
  const host = read.text(key.host, hostText, "a host, with a port or without") ?? "";
  const port = read.text(key.port, portText, "a port from 1 to 65535");
  const service = read.text(key.service, serviceText, "the name of a gRPC service") ?? "";
  const statuses = read.statuses() ?? defaultStatuses;
  if (read.hasErrors) return undefined;
  const isHttp = kind === "http";
  return {
    kind,
    port: port === undefined ? null : Number(port),
    path: isHttp ? path : "",
    host,
    statuses: isHttp ? statuses : [],
    service,
  };
}

/** Undefined: nobody asked for a check. Null: for one that there is not. */
function readKind(reader: AnnotationReader): Kind | null | undefined {
  const text = reader.text(key.type);
  if (text === undefined) return reader.text(key.path) === undefined ? undefined : "http";
  const kind = kinds.find((each) => each === text);
  if (kind !== undefined) return kind;
  reader.report(
    "error",
    key.type,
    "InvalidValue",
    `${quote(text)} is not one of ${kinds.map(quote).join(", ")}; ${consequence}`,
  );
  return null;
}

function reportWithoutCheck(reader: AnnotationReader): void {
  for (const each of Object.values(key)) {
    if (each === key.type || each === key.path || !reader.has(each)) continue;
    const message = `it has no effect without ${key.path} or ${key.type}; ${consequence}`;
    reader.report("warning", each, "NoEffect", message);
  }
}

/** Reads what a check of one kind asks for. */
class StrictReader {
  hasErrors = false;
  readonly #reader: AnnotationReader;
  readonly #kind: Kind;

  constructor(reader: AnnotationReader, kind: Kind) {
    this.#reader = reader;
    this.#kind = kind;
  }

  text(name: string, pattern: RegExp, expected: string): string | undefined {
    const text = this.#reader.text(name);
    if (text === undefined || !this.#isRead(name)) return undefined;
    if (pattern.test(text)) return text;
    return this.#invalid(name, text, expected);
  }

  statuses(): readonly StatusRange[] | undefined {
    const name = key.expectedStatus;
    const text = this.#reader.text(name);
    if (text === undefined || !this.#isRead(name)) return undefined;
    const ranges = text.split(",").map((each): StatusRange | null => {
      const match = /^\s*([2-5]\d\d)(?:\s*-\s*([2-5]\d\d))?\s*$/.exec(each);
      if (match === null) return null;
      const first = Number(match[1]);
      const last = Number(match[2] ?? match[1]);
      return first <= last ? { first, last } : null;
    });
    const valid = ranges.filter((each) => each !== null);
    if (valid.length === ranges.length) return valid;
    return this.#invalid(
      name,
      text,
      "a list of statuses from 200 to 599 and ranges of them, such as 200,204-299",
    );
  }

  #isRead(name: string): boolean {
    if (readBy.get(name)?.includes(this.#kind) ?? true) return true;
    const message = `it has no effect on a check of type ${this.#kind}`;
    this.#reader.report("warning", name, "NoEffect", message);
    return false;
  }

  #invalid(name: string, found: string, expected: string): undefined {
    this.hasErrors = true;
    this.#reader.report("error", name, "InvalidValue", `${quote(found)} is not ${expected}; ${consequence}`);
  }
}
