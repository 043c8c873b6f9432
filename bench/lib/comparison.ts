// The commonest question: what CPU time does a request take through each proxy, under a load as fast as it gets?
import { startServer } from "./children.ts";
import type { Context } from "./command.ts";
import { chooseLoad } from "./load-source.ts";
import type { LoadJob, LoadSource } from "./load.ts";
import {
  failureProblems,
  interleave,
  measure,
  ratio,
  spreads,
  warmUp,
  WARM_UP_RESPONSES,
  type Measurement,
  type Rounds,
} from "./measure.ts";
import { startPeers, type Peer, type PeerName } from "./peers.ts";
import { withRange, type Limit, type Outcome } from "./result.ts";
import { isCpuMeasurable } from "./process-tree.ts";
import { spread, type Spread } from "./statistics.ts";
import type { BarPlot } from "./svg.ts";

export interface Comparison {
  /** Of each response. */
  readonly contentBytes: number;
  /** Threads of Fairway. Default 1, as the peers have one. */
  readonly fairwayWorkers?: number;
  job(peer: Peer): LoadJob;
  /** What the CPU time is divided by, in words: "request". */
  readonly unit: string;
  /** Fairway's CPU time may be at most this many times that of the peer: by the median of the rounds' ratios. */
  readonly maxRatios: Readonly<Partial<Record<PeerName, number>>>;
  /** Megabytes for each CPU second beside requests, where content is what costs. */
  readonly isByBytes?: boolean;
  readonly notes?: readonly string[];
  /** Served by each proxy before the rounds. Default 30,000. */
  readonly warmUpResponses?: number;
}

type Numbers = "rounds" | "seconds";

export async function compare(context: Context<Numbers>, comparison: Comparison): Promise<Outcome> {
  const { numbers, progress } = context;
  const { contentBytes, fairwayWorkers = 1, notes = [], warmUpResponses = WARM_UP_RESPONSES } = comparison;
  const backend = await startServer("./lib/backend.ts", [String(contentBytes)]);
  const peerOptions = { backendPort: backend.port, contentBytes, fairwayWorkers, progress };
  const { peers, versions, missing } = await startPeers(context.peers, peerOptions);
  const measureOne = (source: LoadSource, peer: Peer): Promise<Measurement> =>
    measure(peer.child, source, comparison.job(peer));
  const measureAll = (source: LoadSource, rounds: number): Promise<Rounds<Measurement>> =>
    interleave({
      contenders: peers,
      rounds,
      warmUps: 0,
      measure: (peer) => measureOne(source, peer),
      show: ({ cpuUs }) => `${cpuUs.toFixed(1)} us`,
      progress,
    });
  const { source, text } = await chooseLoad(context.load, (trial) => measureAll(trial, 1));
  progress(`load: ${text}`);
  await warmUp(peers, warmUpResponses, (peer) => measureOne(source, peer));
  const rounds = await measureAll(source, numbers.rounds);
  const problems = failureProblems(rounds);
  if (!isCpuMeasurable()) problems.push("CPU time is not measured: it takes Linux's /proc");
  return {
    versions: { ...versions, [source.name]: source.version },
    missing,
    load: text,
    table: comparisonTable(rounds, comparison),
    limits: ratioLimits(rounds, comparison),
    problems,
    notes: ["Medians of the rounds; in parentheses the lowest and the highest round.", ...notes],
    plots: comparisonPlots(rounds, comparison),
    rounds: Object.fromEntries(rounds),
  };
}

const cpuOf = ({ cpuUs }: Measurement): number => cpuUs;
const rateOf = ({ load }: Measurement): number => load.responses / load.seconds;

function megabytesPerCpuSecond({ contentBytes }: Comparison): (measurement: Measurement) => number {
  return ({ cpuUs }) => contentBytes / cpuUs;
}

function comparisonTable(rounds: Rounds<Measurement>, comparison: Comparison): Outcome["table"] {
  const { unit, maxRatios, isByBytes = false } = comparison;
  const references = Object.keys(maxRatios).filter((name) => rounds.has(name));
  const column = (pick: (value: Measurement) => number): Map<string, Spread> => spreads(rounds, pick);
  const [cpu, rate, bytes] = [column(cpuOf), column(rateOf), column(megabytesPerCpuSecond(comparison))];
  const share = column(({ proxyShare }) => proxyShare * 100);
  const rows = [...rounds.keys()].map((name) => [
    name,
    withRange(cpu.get(name), cpuDigits(cpu)),
    ...(isByBytes ? [withRange(bytes.get(name), 0)] : []),
    ...references.map((reference) => withRange(ratio(rounds, [name, reference], cpuOf), 2)),
    rate.get(name)?.median.toFixed(0) ?? "-",
    share.get(name)?.median.toFixed(0) ?? "-",
  ]);
  const columns = [
    "proxy",
    `CPU us per ${unit}`,
    ...(isByBytes ? ["MB per CPU second"] : []),
    ...references.map((reference) => `CPU x ${reference}`),
    `${unit}s/s`,
    "proxy's CPU, %",
  ];
  return { columns, rows };
}

function cpuDigits(cpu: ReadonlyMap<string, Spread>): number {
  return Math.max(...[...cpu.values()].map(({ median }) => median)) > 1000 ? 0 : 1;
}

/** A peer that did not take part is no reference. */
export function ratioLimits(
  rounds: Rounds<Measurement>,
  { maxRatios, unit }: Pick<Comparison, "maxRatios" | "unit">,
): Limit[] {
  return Object.entries(maxRatios).flatMap(([reference, max]) => {
    const found = ratio(rounds, ["fairway", reference], cpuOf);
    return found === undefined ? [] : [{ what: `CPU per ${unit}, x ${reference}`, value: found.median, max }];
  });
}

function comparisonPlots(rounds: Rounds<Measurement>, comparison: Comparison): BarPlot[] {
  const { unit, isByBytes = false } = comparison;
  const bars = (pick: (value: Measurement) => number): BarPlot["bars"] =>
    [...rounds].map(([label, values]) => ({ label, value: spread(values.map(pick)) }));
  const main: BarPlot = isByBytes
    ? {
        kind: "bars",
        title: "Megabytes per CPU second of the proxy",
        unit: "MB/s, more is better",
        bars: bars(megabytesPerCpuSecond(comparison)),
      }
    : {
        kind: "bars",
        title: `CPU time of the proxy per ${unit}`,
        unit: "microseconds, less is better",
        bars: bars(cpuOf),
      };
  const rate: BarPlot = {
    kind: "bars",
    title: `${unit}s per second`.replace(/^./, (first) => first.toUpperCase()),
    unit: "one worker; proxy, load and backend share the CPUs; more is better",
    bars: bars(rateOf),
  };
  return [main, rate];
}
