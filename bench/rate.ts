// `npm run bench:rate`: latency at a fixed rate, in an open loop: what a proxy adds when it is not overloaded. Every
// latency counts from when its request was due (lib/open-loop.ts).
import { startServer } from "./lib/children.ts";
import { runScenario, type Context } from "./lib/command.ts";
import { interleave, ratio, spreads, withCpu, type Rounds } from "./lib/measure.ts";
import { isHeld, OpenLoop, TICK_US, type OpenLoopResult } from "./lib/open-loop.ts";
import { HOST, startPeers, type Peer } from "./lib/peers.ts";
import { withRange, type Outcome } from "./lib/result.ts";
import { spread } from "./lib/statistics.ts";
import type { BarPlot } from "./lib/svg.ts";

const CONTENT_BYTES = 1024;
const P99_RATIO_MAX = 1.3;
/** These must hold the rate for their latencies to be compared; others that do not are named and left out. */
const COMPARED = ["fairway", "nginx"];
/** Tried from the highest on, where `--rate` cannot be held. */
const LOWER_RATES = [7_500, 5_000, 3_000, 2_000, 1_000, 500];
const TRIAL_SECONDS = 2;

type Numbers = "rounds" | "seconds" | "rate" | "connections";

interface Measurement {
  readonly result: OpenLoopResult;
  readonly cpuUs: number;
}

async function run({ numbers, peers: names, progress }: Context<Numbers>): Promise<Outcome> {
  const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
  const options = { backendPort: backend.port, contentBytes: CONTENT_BYTES, progress };
  const { peers, versions, missing } = await startPeers(names, options);
  const load = new OpenLoop();
  const measureAt = async (peer: Peer, rate: number, seconds: number): Promise<Measurement> => {
    const { connections } = numbers;
    const job = { port: peer.httpPort, path: "/", host: HOST, rate, connections, seconds, warmUpSeconds: 1 };
    const { value: result, cpuUs } = await withCpu(peer.child, () => load.run(job));
    return { result, cpuUs: cpuUs / result.answeredInAll };
  };
  // Node's machine code is cold: the first trial would say less of the rate than of the compiler.
  for (const peer of peers) await measureAt(peer, Math.min(numbers.rate, 2_000), TRIAL_SECONDS);
  const { rate, holding } = await findRate(peers, numbers.rate, (peer, each) =>
    measureAt(peer, each, TRIAL_SECONDS).then(({ result }) => isHeld(result)),
  );
  progress(`rate: ${rate}/s, held by ${holding.map(({ name }) => name).join(", ")}`);
  const rounds = await interleave({
    contenders: holding,
    rounds: numbers.rounds,
    measure: (peer) => measureAt(peer, rate, numbers.seconds),
    show: ({ result }) => `p99 ${result.p99Ms.toFixed(2)} ms`,
    progress,
  });
  const overloaded = peers.filter((peer) => !holding.includes(peer)).map(({ name }) => name);
  return { ...outcome(rounds, { rate, asked: numbers.rate, overloaded, numbers }), versions, missing };
}

/** The highest rate that those who are compared hold, and who else does. */
async function findRate(
  peers: readonly Peer[],
  asked: number,
  holds: (peer: Peer, rate: number) => Promise<boolean>,
): Promise<{ rate: number; holding: readonly Peer[] }> {
  for (const rate of [asked, ...LOWER_RATES.filter((lower) => lower < asked)]) {
    const holding: Peer[] = [];
    for (const peer of peers) {
      // Once more for who does not: other work on the machine may have been the reason.
      const isHolding = (await holds(peer, rate)) || (await holds(peer, rate));
      if (isHolding) holding.push(peer);
      else if (COMPARED.includes(peer.name)) break;
    }
    const hasAll = peers.every((peer) => !COMPARED.includes(peer.name) || holding.includes(peer));
    if (hasAll && holding.length > 0) return { rate, holding };
  }
  throw new Error(`not even ${LOWER_RATES.at(-1)} requests/s are held on this machine`);
}

interface About {
  readonly rate: number;
  readonly asked: number;
  readonly overloaded: readonly string[];
  readonly numbers: Readonly<Record<Numbers, number>>;
}

const COLUMNS = [
  "proxy",
  "p50 ms",
  "p99 ms",
  "p99.9 ms",
  "p99 x nginx",
  "highest ms",
  "CPU us per request",
  "load's clock late, p99 ms",
];

function outcome(rounds: Rounds<Measurement>, about: About): Omit<Outcome, "versions" | "missing"> {
  const { rate, asked, overloaded, numbers } = about;
  const column = (pick: (value: Measurement) => number) => spreads(rounds, pick);
  const p99 = (value: Measurement): number => value.result.p99Ms;
  const [p50s, p99s, p999s] = [
    column(({ result }) => result.p50Ms),
    column(p99),
    column(({ result }) => result.p999Ms),
  ];
  const [maxima, cpu, late] = [
    column(({ result }) => result.maxMs),
    column(({ cpuUs }) => cpuUs),
    column(({ result }) => result.lateP99Ms),
  ];
  const rows = [...rounds.keys()].map((name) => [
    name,
    withRange(p50s.get(name), 2),
    withRange(p99s.get(name), 2),
    withRange(p999s.get(name), 2),
    withRange(ratio(rounds, [name, "nginx"], p99), 2),
    maxima.get(name)?.max.toFixed(1) ?? "-",
    withRange(cpu.get(name), 1),
    late.get(name)?.median.toFixed(2) ?? "-",
  ]);
  const found = ratio(rounds, ["fairway", "nginx"], p99);
  const notes = [
    `${rate} requests/s on ${numbers.connections} keep-alive connections, due in groups every ${TICK_US / 1000} ms, for ${numbers.seconds} s each round; 1 KiB of content; one worker.`,
    "Medians of the rounds; in parentheses the lowest and the highest round.",
    "Latency counts from when a request was due, sent or not: corrected for coordinated omission. The lateness of the load's own clock is in every figure.",
  ];
  if (rate < asked)
    notes.push(
      `Not all that are compared hold ${asked} requests/s here: ${rate} is the highest rate tried that they hold.`,
    );
  if (overloaded.length > 0)
    notes.push(`Overloaded at this rate, so without latencies: ${overloaded.join(", ")}.`);
  const problems = [...rounds].flatMap(([name, values]) => {
    const lost = values.filter(({ result }) => !isHeld(result)).length;
    const failed = values.reduce((sum, { result }) => sum + result.failed, 0);
    if (failed > 0) return [`${name}: ${failed} requests failed`];
    return lost === 0 ? [] : [`${name}: did not hold ${rate}/s in ${lost} of ${values.length} rounds`];
  });
  const limits =
    found === undefined ? [] : [{ what: "p99 latency, x nginx", value: found.median, max: P99_RATIO_MAX }];
  const bars = (title: string, pick: (value: Measurement) => number): BarPlot => ({
    kind: "bars",
    title,
    unit: `milliseconds at ${rate} requests/s, less is better`,
    bars: [...rounds].map(([label, values]) => ({ label, value: spread(values.map(pick)) })),
  });
  return {
    load: `open loop of our own (lib/open-loop.ts)`,
    table: { columns: COLUMNS, rows },
    limits,
    problems,
    notes,
    plots: [
      bars("p50", ({ result }) => result.p50Ms),
      bars("p99", p99),
      bars("p99.9", ({ result }) => result.p999Ms),
    ],
    rounds: Object.fromEntries(rounds),
  };
}

await runScenario({
  name: "rate",
  script: "bench:rate",
  title: "Latency at a fixed rate",
  question: "How long do requests take at a rate that the proxies can serve, counted from when each was due?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds; each runs every peer once" },
    seconds: {
      default: 5,
      min: 1,
      isFraction: true,
      help: "length of one measurement, after a second of warm-up",
    },
    rate: { default: 10_000, min: 100, help: "requests per second" },
    connections: { default: 64, min: 1, help: "keep-alive connections" },
  },
  peers: ["fairway", "nginx", "haproxy", "caddy", "undici", "http-proxy"],
  hasLoadChoice: false,
  run,
});
