// `npm run bench:workers`: what a second worker thread brings, and what a request costs with it.
import { startServer } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { chooseLoad } from "./lib/load-source.ts";
import type { LoadJob, LoadSource } from "./lib/load.ts";
import {
  failureProblems,
  interleave,
  measure,
  ratio,
  spreads,
  type Measurement,
  type Rounds,
} from "./lib/measure.ts";
import { HOST, startPeers, type Peer } from "./lib/peers.ts";
import { withRange, type Outcome } from "./lib/result.ts";

const CONTENT_BYTES = 1024;
/** CPU per request with two workers, x one: what they share must not cost. */
const CPU_RATIO_MAX = 1.15;
const ONE = "1 worker";
const TWO = "2 workers";

interface Contender extends Omit<Peer, "name"> {
  readonly name: string;
}

async function startContender(name: string, workers: number, backendPort: number): Promise<Contender> {
  const options = { backendPort, contentBytes: CONTENT_BYTES, fairwayWorkers: workers };
  const { peers } = await startPeers(["fairway"], { ...options, progress: () => undefined });
  const [peer] = peers;
  if (peer === undefined) throw new Error("Fairway did not start");
  return { ...peer, name };
}

const cpuOf = ({ cpuUs }: Measurement): number => cpuUs;
const rateOf = ({ load }: Measurement): number => load.responses / load.seconds;

function tableOf(rounds: Rounds<Measurement>): Outcome["table"] {
  const column = (pick: (value: Measurement) => number): ReturnType<typeof spreads> => spreads(rounds, pick);
  const [cpu, rate] = [column(cpuOf), column(rateOf)];
  const [proxy, load] = [
    column(({ proxyShare }) => proxyShare * 100),
    column(({ loadShare }) => loadShare * 100),
  ];
  return {
    columns: ["Fairway with", "requests/s", "CPU us per request", "proxy's CPU, %", "load's CPU, %"],
    rows: [...rounds.keys()].map((name) => [
      name,
      withRange(rate.get(name), 0),
      withRange(cpu.get(name), 1),
      withRange(proxy.get(name), 0),
      withRange(load.get(name), 0),
    ]),
  };
}

await runScenario({
  name: "workers",
  script: "bench:workers",
  title: "One worker thread and two",
  question: "How much more does Fairway serve with two worker threads, and what does a request cost then?",
  numbers: {
    rounds: { default: 7, min: 1, help: "measured rounds; each runs both once" },
    seconds: { default: 3, min: 0.2, isFraction: true, help: "length of one measurement" },
    connections: { default: 64, min: 2, help: "keep-alive connections of the load" },
  },
  peers: [],
  hasLoadChoice: true,
  async run({ numbers, load, progress }) {
    const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
    const contenders = [
      await startContender(ONE, 1, backend.port),
      await startContender(TWO, 2, backend.port),
    ];
    const job = ({ httpPort }: Contender): LoadJob => ({
      url: `http://127.0.0.1:${httpPort}/`,
      connections: numbers.connections,
      seconds: numbers.seconds,
      host: HOST,
    });
    const measureAll = (source: LoadSource, count: number, warmUps: number): Promise<Rounds<Measurement>> =>
      interleave({
        contenders,
        rounds: count,
        warmUps,
        measure: (contender) => measure(contender.child, source, job(contender)),
        show: (each) => `${rateOf(each).toFixed(0)}/s at ${each.cpuUs.toFixed(1)} us`,
        progress,
      });
    const { source, text } = await chooseLoad(load, (trial) => measureAll(trial, 1, 0));
    const rounds = await measureAll(source, numbers.rounds, 1);
    const scaling = ratio(rounds, [TWO, ONE], rateOf);
    const cost = ratio(rounds, [TWO, ONE], cpuOf);
    const { version } = contenders[0] ?? { version: "" };
    return {
      versions: { fairway: version, [source.name]: source.version },
      missing: [],
      load: text,
      table: tableOf(rounds),
      limits: [
        {
          what: "CPU per request with two workers, x one",
          value: cost?.median ?? Number.NaN,
          max: CPU_RATIO_MAX,
        },
      ],
      problems: failureProblems(rounds),
      notes: [
        `Two workers serve ${withRange(scaling, 2)} x the requests of one, at ${withRange(cost, 2)} x the CPU of each.`,
        "The load and the backend are processes of one thread on the same CPUs: on a machine with two of them they, and not the proxy, are what limits two workers. CPU per request is what carries over to other machines.",
      ],
      plots: [
        {
          kind: "bars",
          title: "CPU time of the proxy per request",
          unit: "microseconds, less is better",
          bars: [...spreads(rounds, cpuOf)].map(([label, value]) => ({ label, value })),
        },
      ],
      rounds: Object.fromEntries(rounds),
    };
  },
});
