// `npm run bench:lookup`: what it costs to find the route of a request in small and large tables. Everything from the
// bytes of Host and target to the decision is measured. Exit code 1 when 1,000 hosts cost more than stated below.
import { parseArgs } from "node:util";
import { features } from "../src/features/registry.ts";
import type { RouteIr, RoutingIr } from "../src/ir/routing.ts";
import type { RequestView } from "../src/proxy/filter.ts";
import { decide } from "../src/proxy/routing/decide.ts";
import { parseAuthority } from "../src/proxy/routing/host.ts";
import { normalizePath } from "../src/proxy/routing/path.ts";
import type { Snapshot } from "../src/proxy/routing/snapshot.ts";
import { compile } from "../src/proxy/routing/table.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { spread } from "./lib/statistics.ts";

/** CPU time of a whole proxied request with one route; `npm run bench` measures it. */
const REQUEST_NS = 18_000;
/** A request with 1,000 hosts may cost this much of one with a single host. */
const RATIO_MAX = 1.1;
const HOST_COUNTS = [1, 100, 1_000, 10_000] as const;
const JUDGED_HOSTS = 1_000;
const PATHS = [
  "/",
  "/api",
  "/api/v1",
  "/api/v1/users",
  "/api/v2",
  "/static",
  "/login",
  "/admin",
  "/app/a",
  "/app/b",
];
/** Different requests of a scenario. Not more, so that their own bytes stay out of the comparison. */
const REQUESTS = 16_384;

const USAGE = `Usage: npm run bench:lookup -- [options]

  --rounds N     measured rounds; each measures every table once (default 21)
  --lookups N    lookups of one measurement (default 200000)
  --json         the result as JSON
  --help
`;

/** Bytes of many requests, one after another, as a connection reads them. */
interface Requests {
  readonly bytes: Buffer;
  /** Of each request: where its host begins, where its target begins, and where that ends. */
  readonly offsets: Uint32Array;
}

interface Scenario {
  readonly hosts: number;
  readonly snapshot: Snapshot;
  readonly requests: Requests;
  readonly nsPerLookup: number[];
}

/** The exchange is one object for each connection, filled anew for each request; so is this one. */
class BenchRequest implements RequestView {
  readonly method = "GET";
  readonly isTls = true;
  authority = "";
  host = "";
  target = "";
  path = "";
  readonly clientAddress = "192.0.2.1";
  draw = 0.5;

  field(): undefined {
    return undefined;
  }
}

const view = new BenchRequest();

/** As the exchange does it. Strings are made of bytes each time, so that none brings a hash along. */
function lookup(snapshot: Snapshot, { bytes, offsets }: Requests, index: number): number {
  const at = index * 3;
  const target = bytes.toString("latin1", offsets[at + 1], offsets[at + 2]);
  view.authority = bytes.toString("latin1", offsets[at], offsets[at + 1]);
  view.target = target;
  const host = parseAuthority(view.authority);
  const path = normalizePath(target);
  if (host === null || path === null) throw new Error("not a valid request");
  view.host = host;
  view.path = path;
  const decision = decide(snapshot, view);
  if (decision.kind !== "forward") throw new Error(`${decision.kind}: ${view.authority}${target}`);
  return decision.upstream;
}

function main(rounds: number, lookups: number, isJson: boolean): number {
  const scenarios = HOST_COUNTS.map(makeScenario);
  for (let i = 0; i < 3; i++) for (const each of scenarios) measure(each, lookups);
  for (let round = 0; round < rounds; round++) {
    // The order rotates, so that no table always follows the same other one.
    for (let i = 0; i < scenarios.length; i++) {
      const each = scenarios[(round + i) % scenarios.length];
      each?.nsPerLookup.push(measure(each, lookups));
    }
  }
  // Differences within a round: what disturbs a round disturbs all of it.
  const [first] = scenarios;
  const rows = scenarios.map(({ hosts, nsPerLookup }) => {
    const difference = spread(nsPerLookup.map((ns, round) => ns - (first?.nsPerLookup[round] ?? Number.NaN)));
    return {
      hosts,
      ns: spread(nsPerLookup),
      difference,
      ratio: (REQUEST_NS + difference.median) / REQUEST_NS,
    };
  });
  const judged = rows.find(({ hosts }) => hosts === JUDGED_HOSTS);
  const isOk = judged !== undefined && judged.ratio <= RATIO_MAX;
  if (isJson) {
    console.log(
      JSON.stringify(
        { machine: machine(), rounds, lookups, requestNs: REQUEST_NS, rows, isOk },
        undefined,
        2,
      ),
    );
    return isOk ? 0 : 1;
  }
  console.log(machineLine(machine()));
  console.log(`${rounds} rounds of ${lookups} lookups; medians, with the lowest and highest round\n`);
  console.log("hosts x paths      ns per lookup         more than with 1 host   of a request");
  for (const { hosts, ns, difference, ratio } of rows) {
    const name = `${hosts.toLocaleString("en")} x ${PATHS.length}`;
    console.log(
      `${name.padEnd(13)}${cell(ns.median, ns.min, ns.max).padStart(22)}` +
        `${cell(difference.median, difference.min, difference.max).padStart(26)} ns${`${ratio.toFixed(3)} x`.padStart(13)}`,
    );
  }
  console.log(`
The last column is what a whole proxied request costs, compared with 1 host: a request is taken to cost
${REQUEST_NS / 1000} us of CPU with 1 host, and the lookup's difference is added. A lookup by itself does cost more in a
large table: it reads memory that is not in the cache. Here the table of 1 host is in the cache entirely, which it
would not be between two requests of a real proxy, so the difference is rather too large than too small.`);
  const verdict = `${JUDGED_HOSTS.toLocaleString("en")} hosts: ${judged?.ratio.toFixed(3)} x of a request, at most ${RATIO_MAX} x`;
  console.log(isOk ? `ok: ${verdict}` : `FAILED: ${verdict}`);
  return isOk ? 0 : 1;
}

function cell(median: number, min: number, max: number): string {
  return `${median.toFixed(0)} (${min.toFixed(0)}-${max.toFixed(0)})`;
}

function measure({ snapshot, requests }: Scenario, lookups: number): number {
  let sum = 0;
  const start = process.hrtime.bigint();
  for (let i = 0; i < lookups; i++) sum += lookup(snapshot, requests, i % REQUESTS);
  const ns = Number(process.hrtime.bigint() - start) / lookups;
  if (sum < 0) throw new Error("never: it keeps the loop from being dropped");
  return ns;
}

function makeScenario(hosts: number): Scenario {
  const names = Array.from(
    { length: hosts },
    (_, index) => `app-${String(index).padStart(5, "0")}.example.com`,
  );
  const runtimes = new Map(features.map(({ name, runtime }) => [name, runtime]));
  const snapshot = compile(makeIr(names), runtimes, null);
  if (snapshot.table.problems.length > 0) throw new Error(snapshot.table.problems.join("; "));
  return { hosts, snapshot, requests: makeRequests(names), nsPerLookup: [] };
}

function makeIr(names: readonly string[]): RoutingIr {
  const route = (host: string, path: string): RouteIr => ({
    path,
    pathType: path === "/login" ? "Exact" : "Prefix",
    ingress: { kind: "Ingress", namespace: "default", name: host },
    isImplicit: false,
    backend: { kind: "upstream", upstream: `default/${host}/80` },
    alternatives: [],
    // What a route has by default, with a redirect that each request over HTTPS passes.
    features: [
      { feature: "hsts", config: { value: "max-age=31536000; includeSubDomains" } },
      {
        feature: "ssl-redirect",
        config: { ifTls: true, always: false, preserveTrailingSlash: false, status: 308, exemptPaths: [] },
      },
    ],
    denied: null,
  });
  const upstreams = names.map((host) => ({
    id: `default/${host}/80`,
    namespace: "default",
    service: host,
    port: "80",
  }));
  return {
    virtualHosts: names.map((host) => ({
      host,
      isTls: true,
      certificates: [],
      routes: PATHS.map((path) => route(host, path)),
    })),
    upstreams,
    endpoints: upstreams.map(({ id }) => ({
      upstream: id,
      addresses: [{ address: "10.0.0.1", port: 80, weight: 1 }],
      dns: null,
    })),
    certificates: [],
    defaultCertificate: null,
    defaultBackend: null,
  };
}

/** Every host and path in turn, in an order that no prefetcher guesses, with what real targets have behind the prefix. */
function makeRequests(names: readonly string[]): Requests {
  const offsets = new Uint32Array(REQUESTS * 3);
  let text = "";
  let state = 1;
  for (let i = 0; i < REQUESTS; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const path = PATHS[(state >>> 8) % PATHS.length] ?? "/";
    const rest =
      path === "/login" ? "?next=home" : `${path === "/" ? "" : "/"}items/${state % 100_000}?page=${i % 10}`;
    offsets[i * 3] = text.length;
    text += names[Math.floor((state / 2 ** 32) * names.length)] ?? "";
    offsets[i * 3 + 1] = text.length;
    text += path + rest;
    offsets[i * 3 + 2] = text.length;
  }
  return { bytes: Buffer.from(text, "latin1"), offsets };
}

function count(name: string, text: string): number {
  if (!/^\d+$/.test(text) || Number(text) < 1)
    throw new Error(`--${name}: "${text}" is not an integer from 1`);
  return Number(text);
}

try {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "21" },
      lookups: { type: "string", default: "200000" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) console.log(USAGE);
  else process.exitCode = main(count("rounds", values.rounds), count("lookups", values.lookups), values.json);
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exitCode = 2;
}
