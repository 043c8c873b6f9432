// `npm run bench:churn`: what clients notice while the table changes a hundred times a second. Normal traffic at a fixed
// rate, in turn undisturbed and while endpoints and routes change, among them those of the traffic.
import fs from "node:fs";
import path from "node:path";
import { startServer, temporaryDirectory } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml, type Manifest } from "./lib/manifests.ts";
import { interleave, ratio, spreads, withCpu, type Rounds } from "./lib/measure.ts";
import { OpenLoop, type OpenLoopResult } from "./lib/open-loop.ts";
import { HOST } from "./lib/peers.ts";
import { withRange, type Outcome } from "./lib/result.ts";
import { packageVersion } from "./lib/versions.ts";

const CONTENT_BYTES = 1024;
const P99_RATIO_MAX = 1.5;
/** Of the asked for changes, those that must have become a table of their own: others came while one was being built. */
const TABLES_SHARE_MIN = 0.25;
const TICK_MS = 5;
const QUIET = "undisturbed";
const CHURN = "while it changes";

interface Numbers {
  readonly rounds: number;
  readonly seconds: number;
  readonly rate: number;
  readonly changes: number;
  readonly hosts: number;
}

interface Measured {
  readonly load: OpenLoopResult;
  readonly cpuUs: number;
  /** Written to files, and tables that came of them. */
  readonly changes: number;
  readonly tables: number;
  readonly seconds: number;
}

/** Writes changes by renames, so that no half of one is read: endpoints of the traffic's Service and routes in turn. */
class Churn {
  readonly #directory: string;
  readonly #ports: readonly number[];
  readonly #hosts: number;
  #changes = 0;

  constructor(directory: string, ports: readonly number[], hosts: number) {
    this.#directory = directory;
    this.#ports = ports;
    this.#hosts = hosts;
    this.#write("class", ingressClass(), service("backend"));
    this.#write("endpoints", this.#endpoints(0));
    this.#write("traffic", ingress({ name: "traffic", host: HOST, path: ["/", "/odd"], service: "backend" }));
    for (let host = 0; host < hosts; host += 1) this.#write(`host-${host}`, this.#route(host, "a"));
  }

  /** Returns what stops it, and tells how many changes there were. */
  start(perSecond: number): () => number {
    const startedAt = performance.now();
    const before = this.#changes;
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startedAt) / 1000) * perSecond);
      while (this.#changes - before < due) this.#change();
    }, TICK_MS);
    return () => {
      clearInterval(timer);
      return this.#changes - before;
    };
  }

  /** Endpoints, a route of another host, endpoints, a route of the traffic's host. */
  #change(): void {
    this.#changes += 1;
    const turn = Math.floor(this.#changes / 4);
    const letter = turn % 2 === 0 ? "b" : "a";
    if (this.#changes % 2 === 0) this.#write("endpoints", this.#endpoints(this.#changes / 2));
    else if (this.#changes % 4 === 1) {
      const host = turn % this.#hosts;
      const isOdd = Math.floor(turn / this.#hosts) % 2 === 0;
      this.#write(`host-${host}`, this.#route(host, isOdd ? "b" : "a"));
    } else {
      const paths = ["/", `/${letter}`];
      this.#write("traffic", ingress({ name: "traffic", host: HOST, path: paths, service: "backend" }));
    }
  }

  #endpoints(turn: number): Manifest {
    return endpointSlice("backend", this.#ports[turn % this.#ports.length] ?? 0);
  }

  #route(host: number, letter: string): Manifest {
    return ingress({
      name: `host-${host}`,
      host: `h${host}.example`,
      path: `/${letter}`,
      service: "backend",
    });
  }

  #write(name: string, ...manifests: readonly Manifest[]): void {
    const file = path.join(this.#directory, `${name}.yaml`);
    fs.writeFileSync(`${file}.new`, toYaml(...manifests));
    fs.renameSync(`${file}.new`, file);
  }
}

/** Tables that every worker has taken into use so far. */
async function tables({ adminPort }: Fairway): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${adminPort}/metrics`)).text();
  return Number(/^fairway_workers_table_generation (\d+)$/m.exec(text)?.[1]);
}

async function run(numbers: Numbers, progress: (line: string) => void): Promise<Outcome> {
  const backends = [
    await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]),
    await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]),
  ];
  const directory = temporaryDirectory();
  const churn = new Churn(
    directory,
    backends.map(({ port }) => port),
    numbers.hosts,
  );
  const fairway = await startFairway(directory);
  const openLoop = new OpenLoop();
  const measureOne = async ({ name }: { readonly name: string }): Promise<Measured> => {
    const [startedAt, before] = [performance.now(), await tables(fairway)];
    const stopChurn = name === CHURN ? churn.start(numbers.changes) : () => 0;
    const { value: load, cpuUs } = await withCpu(fairway.child, () =>
      openLoop.run({
        port: fairway.httpPort,
        path: "/",
        host: HOST,
        rate: numbers.rate,
        connections: 32,
        seconds: numbers.seconds,
        warmUpSeconds: 1,
      }),
    );
    const changes = stopChurn();
    const seconds = (performance.now() - startedAt) / 1000;
    return { load, cpuUs, changes, tables: (await tables(fairway)) - before, seconds };
  };
  const rounds = await interleave({
    contenders: [{ name: QUIET }, { name: CHURN }],
    rounds: numbers.rounds,
    measure: measureOne,
    show: ({ load }) => `p99 ${load.p99Ms.toFixed(2)} ms`,
    progress,
  });
  return outcomeOf(rounds, numbers);
}

const p99Of = ({ load }: Measured): number => load.p99Ms;

function outcomeOf(rounds: Rounds<Measured>, numbers: Numbers): Outcome {
  const column = (pick: (value: Measured) => number): ReturnType<typeof spreads> => spreads(rounds, pick);
  const [p50, p99, max] = [column(({ load }) => load.p50Ms), column(p99Of), column(({ load }) => load.maxMs)];
  const perSecond = column((each) => each.tables / each.seconds);
  const cpu = column((each) => each.cpuUs / 10_000 / each.seconds);
  const sum = (name: string, pick: (value: Measured) => number): number =>
    (rounds.get(name) ?? []).reduce((total, each) => total + pick(each), 0);
  const failed = ({ load }: Measured): number => load.failed + load.due - load.answered;
  return {
    versions: { fairway: packageVersion() },
    missing: [],
    load: `own open loop of ${numbers.rate} requests per second over 32 connections`,
    table: {
      columns: ["table", "failed", "p50 ms", "p99 ms", "max ms", "tables/s", "Fairway's CPU, %"],
      rows: [...rounds.keys()].map((name) => [
        name,
        String(sum(name, failed)),
        withRange(p50.get(name), 2),
        withRange(p99.get(name), 2),
        withRange(max.get(name), 1),
        withRange(perSecond.get(name), 0),
        withRange(cpu.get(name), 0),
      ]),
    },
    limits: [
      {
        what: "requests that failed or were not answered",
        value: sum(QUIET, failed) + sum(CHURN, failed),
        max: 0,
      },
      {
        what: "p99 while the table changes, x undisturbed",
        value: ratio(rounds, [CHURN, QUIET], p99Of)?.median ?? Number.NaN,
        max: P99_RATIO_MAX,
      },
      {
        what: "tables in use for each change",
        value: sum(CHURN, (each) => each.tables) / sum(CHURN, ({ changes }) => changes),
        min: TABLES_SHARE_MIN,
      },
    ],
    problems: [],
    notes: [
      `${numbers.changes} changes a second of ${numbers.hosts} hosts: half of them endpoints of the traffic's Service, a quarter routes of its host, a quarter routes of others. Changes that come while a table is being built become one.`,
    ],
    plots: [
      {
        kind: "bars",
        title: "p99 of requests",
        unit: `ms at ${numbers.rate} requests/s, less is better`,
        bars: [...p99].map(([label, value]) => ({ label, value })),
      },
    ],
    rounds: Object.fromEntries(rounds),
  };
}

await runScenario({
  name: "churn",
  script: "bench:churn",
  title: "A table that changes a hundred times a second",
  question: "Do clients notice when endpoints and routes change all the time?",
  numbers: {
    rounds: { default: 7, min: 1, help: "measured rounds of both" },
    seconds: { default: 4, min: 1, help: "length of one measurement" },
    rate: { default: 1_000, min: 1, help: "requests per second" },
    changes: { default: 100, min: 1, help: "changes per second" },
    hosts: { default: 100, min: 1, help: "hosts beside that of the traffic" },
  },
  peers: [],
  hasLoadChoice: false,
  run: ({ numbers, progress }) => run(numbers, progress),
});
