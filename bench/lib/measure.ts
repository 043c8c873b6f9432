// Measurements and the order they are made in: every contender once in each round, in rotated order, so that what else
// the machine does hits all alike.
import { setTimeout as sleep } from "node:timers/promises";
import type { Child } from "./children.ts";
import { failures, type LoadJob, type LoadResult, type LoadSource } from "./load.ts";
import { cpuTimeUs, isCpuMeasurable } from "./process-tree.ts";
import { spread, type Spread } from "./statistics.ts";

/** Time for a proxy to notice that the load's connections are gone; it belongs to the cost of serving them. */
const SETTLE_MS = 50;

export interface Measurement {
  readonly load: LoadResult;
  /** User and system time of the proxy, with its child processes, for each response. NaN without Linux's /proc. */
  readonly cpuUs: number;
  /** CPU time over wall-clock time, of the proxy and of the load. */
  readonly proxyShare: number;
  readonly loadShare: number;
}

export async function measure(child: Child, source: LoadSource, job: LoadJob): Promise<Measurement> {
  const startedAt = performance.now();
  const loadBefore = source.cpuTimeUs();
  const { value: load, cpuUs } = await withCpu(child, () => source.start(job).result);
  const wallUs = (performance.now() - startedAt) * 1000;
  return {
    load,
    cpuUs: cpuUs / load.responses,
    proxyShare: cpuUs / wallUs,
    loadShare: (source.cpuTimeUs() - loadBefore) / wallUs,
  };
}

/** Runs `work` and tells what CPU time `child` took for it, in microseconds. Rejects when `child` ends meanwhile. */
export async function withCpu<T>(child: Child, work: () => Promise<T>): Promise<{ value: T; cpuUs: number }> {
  const before = isCpuMeasurable() ? cpuTimeUs(child.pid) : Number.NaN;
  const value = await Promise.race([work(), child.died]);
  await sleep(SETTLE_MS);
  const after = isCpuMeasurable() ? cpuTimeUs(child.pid) : Number.NaN;
  return { value, cpuUs: after - before };
}

/** Enough for Node's machine code to be what it stays; in seconds that would depend on what else the machine does. */
export const WARM_UP_RESPONSES = 30_000;
const WARM_UP_TRIES = 5;

/** Measures each of `peers` and forgets it, until it has served `responses`, or as many times as is reasonable. */
export async function warmUp<P>(
  peers: readonly P[],
  responses: number,
  measureOne: (peer: P) => Promise<Measurement>,
): Promise<void> {
  for (const peer of peers) {
    let served = 0;
    for (let tries = 0; served < responses && tries < WARM_UP_TRIES; tries += 1) {
      served += (await measureOne(peer)).load.responses;
    }
  }
}

/** What each contender measured in each round, by name: in the order of contenders, not of measurement. */
export type Rounds<T> = ReadonlyMap<string, readonly T[]>;

export interface Interleaving<C extends { readonly name: string }, T> {
  readonly contenders: readonly C[];
  readonly rounds: number;
  /** Rounds before them that are thrown away: machine code and connection pools are cold. Default 1. */
  readonly warmUps?: number;
  measure(contender: C): Promise<T>;
  /** For the line that is printed after each round. */
  show(value: T): string;
  readonly progress: (line: string) => void;
}

export async function interleave<C extends { readonly name: string }, T>(
  options: Interleaving<C, T>,
): Promise<Rounds<T>> {
  const { contenders, rounds, warmUps = 1, progress } = options;
  const measured = new Map<string, T[]>(contenders.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds + warmUps; round += 1) {
    const shift = round % contenders.length;
    const seen: string[] = [];
    for (const contender of [...contenders.slice(shift), ...contenders.slice(0, shift)]) {
      const value = await options.measure(contender);
      if (round >= warmUps) measured.get(contender.name)?.push(value);
      seen.push(`${contender.name} ${options.show(value)}`);
    }
    const title = round < warmUps ? "warm-up" : `round ${round - warmUps + 1}/${rounds}`;
    progress(`${title}: ${seen.join(", ")}`);
  }
  return measured;
}

/** A figure of each contender over the rounds. */
export function spreads<T>(rounds: Rounds<T>, pick: (value: T) => number): Map<string, Spread> {
  return new Map([...rounds].map(([name, values]) => [name, spread(values.map(pick))]));
}

/** One contender's figure over another's, within each round. Undefined when one of them did not take part. */
export function ratio<T>(
  rounds: Rounds<T>,
  [name, reference]: readonly [string, string],
  pick: (value: T) => number,
): Spread | undefined {
  const [ours, theirs] = [rounds.get(name), rounds.get(reference)];
  if (ours === undefined || theirs === undefined) return undefined;
  const pairs = ours.map((value, round) => [value, theirs[round]] as const);
  return spread(pairs.map(([a, b]) => pick(a) / (b === undefined ? Number.NaN : pick(b))));
}

/** A line for each contender with failed requests: figures of such a run mean nothing. */
export function failureProblems(rounds: Rounds<{ readonly load: LoadResult }>): string[] {
  return [...rounds].flatMap(([name, values]) => {
    const failed = values.reduce((sum, { load }) => sum + failures(load), 0);
    return failed === 0 ? [] : [`${name}: ${failed} requests failed`];
  });
}
