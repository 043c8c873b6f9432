// `npm run bench:scale`: whether a request costs more when there are more hosts, more routes of a host, more endpoints of
// a Service, or more open connections; beside nginx with the same table.
import fs from "node:fs";
import path from "node:path";
import { Autocannon } from "./lib/autocannon.ts";
import { freePort, startProgram, startServer, stop, temporaryDirectory, type Child } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { Holder, requireDescriptors, type HolderCommand } from "./lib/holder.ts";
import { startFairway } from "./lib/fairway.ts";
import type { LoadJob } from "./lib/load.ts";
import {
  failureProblems,
  interleave,
  measure,
  ratio,
  spreads,
  type Measurement,
  type Rounds,
} from "./lib/measure.ts";
import { get, type PeerName } from "./lib/peers.ts";
import { withRange, type Limit, type Outcome } from "./lib/result.ts";
import { spread, type Spread } from "./lib/statistics.ts";
import type { LinePlot } from "./lib/svg.ts";
import { packageVersion, programVersion } from "./lib/versions.ts";
import { DIMENSIONS, manifestsFor, nginxFor, requestsFor, sizeOf, type Dimension } from "./scale/tables.ts";

const SMALLEST = 10;
const MIDDLE = 1_000;
const CONTENT_BYTES = 1024;
/** In every table, so that what the load does differs in nothing but the names. */
const REQUESTS = 10_000;
const CONNECTIONS = 64;
/** The largest over the smallest. Endpoints are bounded by what they do to nginx. */
const OWN_GROWTH_MAX: Readonly<Partial<Record<Dimension, number>>> = {
  hosts: 1.25,
  routes: 1.25,
  connections: 1.25,
};
const GROWTH_TO_NGINX_MAX = 1.25;

type Name = Extract<PeerName, "fairway" | "nginx">;

interface Contender {
  readonly name: string;
  readonly child: Child;
  readonly job: LoadJob;
  /** Idle connections beside those of the load. */
  readonly holding: HolderCommand;
}

interface Numbers {
  readonly rounds: number;
  readonly seconds: number;
  readonly largest: number;
}

const keyOf = (name: string, count: number): string => `${name} ${count}`;

async function startContender(
  name: Name,
  dimension: Dimension,
  count: number,
  { backendPort, seconds }: { readonly backendPort: number; readonly seconds: number },
): Promise<Contender> {
  const size = sizeOf(dimension, count);
  const directory = temporaryDirectory();
  let child: Child;
  let port: number;
  if (name === "fairway") {
    fs.writeFileSync(path.join(directory, "scale.yaml"), manifestsFor(size, backendPort));
    const fairway = await startFairway(directory);
    [child, port] = [fairway.child, fairway.httpPort];
  } else {
    port = await freePort();
    const file = path.join(directory, "nginx.conf");
    fs.writeFileSync(file, nginxFor(size, { port, backendPort, directory }));
    child = startProgram("nginx", "nginx", ["-p", directory, "-e", "stderr", "-c", file]);
  }
  const requests = requestsFor(size, REQUESTS);
  const last = requestsFor(size, count).at(-1) ?? { host: "", path: "" };
  await answers(child, `http://127.0.0.1:${port}${last.path}`, last.host);
  // Of many connections as many are busy as of few.
  const idle = dimension === "connections" ? count - SMALLEST : 0;
  const connections = dimension === "connections" ? SMALLEST : CONNECTIONS;
  const job = { url: `http://127.0.0.1:${port}/`, requests, connections, seconds, host: last.host };
  const holding = { count: idle, port, isTls: false, ...last };
  return { name: keyOf(name, count), child, job, holding };
}

const READY_TRIES = 500;
const READY_PAUSE_MS = 20;

/** The last of what it was made for: then it has all. */
async function answers(child: Child, url: string, host: string): Promise<void> {
  for (let tries = 1; ; tries += 1) {
    const status = await Promise.race([
      get(url, host).then(
        (answer) => answer.status,
        () => 0,
      ),
      child.died,
    ]);
    if (status === 200) return;
    if (tries === READY_TRIES) throw new Error(`${url} answers ${status}:\n${child.output()}`);
    await new Promise((resolve) => void setTimeout(resolve, READY_PAUSE_MS));
  }
}

async function measureDimension(
  dimension: Dimension,
  names: readonly Name[],
  numbers: Numbers,
  {
    source,
    holder,
    backendPort,
    progress,
  }: {
    readonly source: Autocannon;
    readonly holder: Holder;
    readonly backendPort: number;
    readonly progress: (line: string) => void;
  },
): Promise<Rounds<Measurement>> {
  progress(`${dimension}:`);
  const contenders: Contender[] = [];
  for (const name of names) {
    for (const count of [SMALLEST, MIDDLE, numbers.largest]) {
      contenders.push(
        await startContender(name, dimension, count, { backendPort, seconds: numbers.seconds }),
      );
    }
  }
  const rounds = await interleave({
    contenders,
    rounds: numbers.rounds,
    measure: async ({ name, child, job, holding }) => {
      if (holding.count === 0) return measure(child, source, job);
      await holder.hold(name, holding);
      const measurement = await measure(child, source, job);
      await holder.hold(name, { ...holding, count: 0 });
      return measurement;
    },
    show: ({ cpuUs }) => `${cpuUs.toFixed(1)} us`,
    progress,
  });
  await Promise.all(contenders.map(({ child }) => stop(child)));
  return rounds;
}

const cpuOf = ({ cpuUs }: Measurement): number => cpuUs;

/** What was measured of one dimension. */
class Finding {
  readonly dimension: Dimension;
  readonly rounds: Rounds<Measurement>;
  readonly #names: readonly Name[];
  readonly #largest: number;

  constructor(
    dimension: Dimension,
    rounds: Rounds<Measurement>,
    names: readonly Name[],
    { largest }: Numbers,
  ) {
    this.dimension = dimension;
    this.rounds = rounds;
    this.#names = names;
    this.#largest = largest;
  }

  get rows(): string[][] {
    const cpu = spreads(this.rounds, cpuOf);
    return this.#names.map((name) => [
      this.dimension,
      name,
      ...this.#counts.map((count) => withRange(cpu.get(keyOf(name, count)), 1)),
      withRange(this.#growth(name), 2),
    ]);
  }

  get limits(): Limit[] {
    const ours = this.#growth("fairway")?.median ?? Number.NaN;
    const max = OWN_GROWTH_MAX[this.dimension];
    const what = `CPU per request with ${this.#largest} ${this.dimension}, x ${SMALLEST}`;
    if (max !== undefined) return [{ what, value: ours, max }];
    const nginx = this.#growth("nginx");
    if (nginx === undefined) return [];
    return [{ what: `${what}, over nginx's`, value: ours / nginx.median, max: GROWTH_TO_NGINX_MAX }];
  }

  get plot(): LinePlot {
    return {
      kind: "lines",
      title: `CPU time per request by number of ${this.dimension}`,
      xLabel: this.dimension,
      unit: "microseconds, less is better",
      yScale: "linear",
      series: this.#names.map((label) => ({
        label,
        points: this.#counts.map((x) => ({
          x,
          y: spread((this.rounds.get(keyOf(label, x)) ?? []).map(cpuOf)),
        })),
      })),
    };
  }

  get problems(): string[] {
    return failureProblems(this.rounds).map((problem) => `${this.dimension}: ${problem}`);
  }

  get #counts(): readonly number[] {
    return [SMALLEST, MIDDLE, this.#largest];
  }

  #growth(name: Name): Spread | undefined {
    return ratio(this.rounds, [keyOf(name, this.#largest), keyOf(name, SMALLEST)], cpuOf);
  }
}

await runScenario({
  name: "scale",
  script: "bench:scale",
  title: "Many hosts, routes, endpoints and connections",
  question: "Does a request cost more when there is more of everything?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds of every size" },
    seconds: { default: 2, min: 1, help: "length of one measurement" },
    largest: { default: 10_000, min: 1_001, help: "hosts, routes, endpoints and connections at most" },
  },
  peers: ["fairway", "nginx"],
  hasLoadChoice: false,
  async run({ numbers, peers, progress }): Promise<Outcome> {
    requireDescriptors(numbers.largest);
    const nginx = programVersion("nginx", "-v");
    const names = (["fairway", "nginx"] as const).filter(
      (name) => peers.includes(name) && (name !== "nginx" || nginx !== undefined),
    );
    const source = new Autocannon();
    const holder = new Holder();
    const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES), "backend", "0.0.0.0"]);
    const all: Finding[] = [];
    for (const dimension of DIMENSIONS) {
      const options = { source, holder, backendPort: backend.port, progress };
      const rounds = await measureDimension(dimension, names, numbers, options);
      all.push(new Finding(dimension, rounds, names, numbers));
    }
    return {
      versions: {
        fairway: packageVersion(),
        ...(nginx === undefined ? {} : { nginx }),
        autocannon: source.version,
      },
      missing: peers.includes("nginx") && nginx === undefined ? ["nginx"] : [],
      load: `autocannon ${source.version}, which sends every host and route in turn`,
      table: {
        columns: [
          "of",
          "proxy",
          ...[SMALLEST, MIDDLE, numbers.largest].map((count) => `CPU us, ${count}`),
          `${numbers.largest} x ${SMALLEST}`,
        ],
        rows: all.flatMap(({ rows }) => rows),
      },
      limits: all.flatMap(({ limits }) => limits),
      problems: all.flatMap(({ problems }) => problems),
      notes: [
        "CPU microseconds of the proxy for each request; medians of the rounds, in parentheses the lowest and the highest round.",
        `What is not varied is one host, one route, one endpoint and ${CONNECTIONS} connections.`,
        "Both proxies keep at most 320 idle connections to endpoints, so with thousands of endpoints nearly every request makes one.",
        `Of all connections ${SMALLEST} are busy where their number is varied; the others have carried one request before.`,
      ],
      plots: all.map(({ plot }) => plot),
      rounds: Object.fromEntries(all.map(({ dimension, rounds }) => [dimension, Object.fromEntries(rounds)])),
    };
  },
});
