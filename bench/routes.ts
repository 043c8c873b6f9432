// `npm run bench:routes`: what a proxied request costs with 1 host and with 1,000, of 10 paths each, measured at the real
// program. Exit code 1 when the median of the ratios is above RATIO_MAX or a request failed.
import fs from "node:fs";
import http from "node:http";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { runAndCleanUp, startServer, temporaryDirectory } from "./lib/children.ts";
import { cpuTimeUs, isCpuMeasurable } from "./lib/process-tree.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { Autocannon } from "./lib/autocannon.ts";
import { failures, type LoadRequest } from "./lib/load.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml } from "./lib/manifests.ts";
import { withRange } from "./lib/result.ts";
import { spread } from "./lib/statistics.ts";

/** A request with many hosts may cost this much of one with a single host. */
const RATIO_MAX = 1.1;
const FEW_HOSTS = 1;
const MANY_HOSTS = 1_000;
const PATHS = ["/", "/api", "/api/v1", "/api/v2", "/app", "/static", "/login", "/admin", "/docs", "/files"];
/** In both scenarios, so that they differ in nothing but the hosts. */
const REQUESTS = MANY_HOSTS * PATHS.length;
/** Time for the proxy to notice that the load's connections are gone. */
const SETTLE_MS = 50;

const USAGE = `Usage: npm run bench:routes -- [options]

  --rounds N        measured rounds; each measures both tables once (default 7)
  --seconds S       length of one measurement (default 3)
  --connections N   keep-alive connections of the load (default 64)
  --json            the result as JSON
  --help
`;

interface Options {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly isJson: boolean;
}

interface Scenario {
  readonly hosts: number;
  readonly fairway: Fairway;
  readonly requests: readonly LoadRequest[];
  /** Of each round. */
  readonly cpuUs: number[];
  failed: number;
}

async function main(options: Options): Promise<number> {
  const progress = (line: string): void => (options.isJson ? console.error(line) : console.log(line));
  const host = machine();
  progress(machineLine(host));
  if (!isCpuMeasurable()) throw new Error("CPU per request is not measured here: it takes Linux's /proc");
  const backend = await startServer("./lib/backend.ts", ["1024"]);
  const few = await startScenario(FEW_HOSTS, backend.port);
  const many = await startScenario(MANY_HOSTS, backend.port);
  const generator = new Autocannon();
  for (let round = 0; round <= options.rounds; round += 1) {
    for (const each of round % 2 === 0 ? [few, many] : [many, few]) await measure(each, generator, options);
    const seen = [few, many].map(({ hosts, cpuUs }) => `${hosts} hosts ${cpuUs.at(-1)?.toFixed(1)}`);
    const title = round === 0 ? "warm-up" : `round ${round}/${options.rounds}`;
    progress(`${title}, CPU us per request: ${seen.join(", ")}`);
  }
  // Machine code and connection pools are cold in the first round.
  for (const { cpuUs } of [few, many]) cpuUs.shift();
  const ratio = spread(many.cpuUs.map((us, round) => us / (few.cpuUs[round] ?? Number.NaN)));
  const failed = few.failed + many.failed;
  const isOk = failed === 0 && ratio.median <= RATIO_MAX;
  if (options.isJson) {
    const rows = [few, many].map(({ hosts, cpuUs }) => ({
      hosts,
      paths: PATHS.length,
      cpuUs: spread(cpuUs),
    }));
    console.log(JSON.stringify({ machine: host, options, rows, ratio, failed, isOk }, undefined, 2));
    return isOk ? 0 : 1;
  }
  console.log("\nhosts x paths    CPU us/request");
  for (const { hosts, cpuUs } of [few, many]) {
    const name = `${hosts.toLocaleString("en")} x ${PATHS.length}`;
    console.log(`${name.padEnd(17)}${withRange(spread(cpuUs), 1)}`);
  }
  console.log("Medians of the rounds; in parentheses the lowest and the highest round.\n");
  const verdict =
    `a request with ${MANY_HOSTS.toLocaleString("en")} hosts costs ${withRange(ratio, 3)} x one with ${FEW_HOSTS} ` +
    `(limit ${RATIO_MAX.toFixed(2)}); ${failed} requests failed`;
  console.log(isOk ? `ok: ${verdict}` : `FAILED: ${verdict}`);
  return isOk ? 0 : 1;
}

async function measure(scenario: Scenario, generator: Autocannon, options: Options): Promise<void> {
  const { child, httpPort } = scenario.fairway;
  const { seconds, connections } = options;
  const { requests } = scenario;
  const url = `http://127.0.0.1:${httpPort}/`;
  const before = cpuTimeUs(child.pid);
  const run = generator.start({ url, connections, seconds, host: hostName(0), requests });
  const load = await Promise.race([run.result, child.died]);
  await sleep(SETTLE_MS);
  scenario.cpuUs.push((cpuTimeUs(child.pid) - before) / load.responses);
  scenario.failed += failures(load);
}

async function startScenario(hosts: number, backendPort: number): Promise<Scenario> {
  const directory = temporaryDirectory();
  const shared = [ingressClass(), service("backend"), endpointSlice("backend", backendPort)];
  const ingresses = Array.from({ length: hosts }, (_, index) =>
    ingress({ name: `app-${index}`, host: hostName(index), path: PATHS, service: "backend" }),
  );
  fs.writeFileSync(path.join(directory, "routes.yaml"), toYaml(...shared, ...ingresses));
  const fairway = await startFairway(directory);
  const scenario = { hosts, fairway, requests: makeRequests(hosts), cpuUs: [], failed: 0 };
  for (const host of [hostName(0), hostName(hosts - 1)]) await check(fairway, host);
  return scenario;
}

function hostName(index: number): string {
  return `app-${String(index).padStart(4, "0")}.example`;
}

/** Every host and path, in an order that no prefetcher guesses, with what real targets have behind the prefix. */
function makeRequests(hosts: number): LoadRequest[] {
  return Array.from({ length: REQUESTS }, (_, index) => {
    // Prime to the number of requests, so that each comes once.
    const each = (index * 7_919) % REQUESTS;
    const prefix = PATHS[each % PATHS.length] ?? "/";
    const rest = `${prefix === "/" ? "" : "/"}items/${each}?page=1`;
    return { host: hostName(Math.floor(each / PATHS.length) % hosts), path: prefix + rest };
  });
}

async function check({ httpPort }: Fairway, host: string): Promise<void> {
  const status = await new Promise<number | undefined>((resolve, reject) => {
    const options = { host: "127.0.0.1", port: httpPort, path: "/api/v1/x", headers: { host }, agent: false };
    http
      .get(options, (response) => {
        response.resume();
        response.on("end", () => resolve(response.statusCode));
      })
      .on("error", reject);
  });
  if (status !== 200) throw new Error(`${host} answers ${status}`);
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      rounds: { type: "string", default: "7" },
      seconds: { type: "string", default: "3" },
      connections: { type: "string", default: "64" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const positive = (name: string, text: string, pattern: RegExp): number => {
    if (pattern.test(text) && Number(text) > 0) return Number(text);
    throw new Error(`--${name}: "${text}" is not a number above 0`);
  };
  return {
    rounds: positive("rounds", values.rounds, /^\d+$/),
    seconds: positive("seconds", values.seconds, /^\d+(\.\d+)?$/),
    connections: positive("connections", values.connections, /^\d+$/),
    isJson: values.json,
  };
}

let options: Options | undefined;
try {
  options = parseOptions();
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exit(2);
}
if (options === undefined) {
  console.log(USAGE);
} else {
  const chosen = options;
  await runAndCleanUp(() => main(chosen));
}
