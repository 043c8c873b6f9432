// From what was measured to a verdict and a table. Pure.
import type { Limit } from "../lib/result.ts";
import { quantile } from "../lib/statistics.ts";
import type { Attack, AttackResult, LoadResult } from "./messages.ts";

/**
 * p99 of normal requests under an attack: at most this many times that of the undisturbed phases around it. Attackers,
 * load and backend share the machine's CPUs with Fairway.
 */
export const P99_RATIO_MAX = 3;
/** Growth of resident memory over the undisturbed phase, at its highest. */
export const GROWTH_MAX_MIB = 192;

/** When Fairway ends each attack, in seconds (docs/limits.md), and the answer before that; "": any. */
export const limits: Readonly<Record<Attack, { readonly seconds: number; readonly status: string }>> = {
  slowloris: { seconds: 60, status: "408" },
  "slow bodies": { seconds: 60, status: "408" },
  "slow readers": { seconds: 60, status: "" },
  idle: { seconds: 75, status: "200" },
};
/** A deadline is looked at once in a while, and the slow bodies' at the next byte. */
export const CUT_EARLY_SECONDS = 1;
export const CUT_LATE_SECONDS = 5;

export interface Phase {
  readonly name: string;
  readonly isAttack: boolean;
  readonly load: LoadResult;
  readonly seconds: number;
  readonly peakMib: number;
  /** Share of one CPU that Fairway took, in per cent. */
  readonly cpuPercent: number;
}

export interface Cut {
  readonly attack: Attack;
  readonly count: number;
  readonly cut: number;
  readonly firstSeconds: number;
  readonly medianSeconds: number;
  readonly lastSeconds: number;
  readonly statuses: Readonly<Record<string, number>>;
}

export function summarize({ attack, opened, cutSeconds, statuses }: AttackResult): Cut {
  const sorted = cutSeconds.toSorted((a, b) => a - b);
  return {
    attack,
    count: opened,
    cut: sorted.length,
    firstSeconds: sorted[0] ?? Number.NaN,
    medianSeconds: quantile(sorted, 0.5),
    lastSeconds: sorted.at(-1) ?? Number.NaN,
    statuses,
  };
}

/** Of an attack's p99 to the mean of the undisturbed phases before and after it; NaN for others. */
function p99Ratio(phases: readonly Phase[], index: number): number {
  const phase = phases[index];
  if (phase?.isAttack !== true) return Number.NaN;
  const around = [phases[index - 1], phases[index + 1]].flatMap((each) =>
    each === undefined || each.isAttack ? [] : [each.load.p99Ms],
  );
  return (phase.load.p99Ms * around.length) / around.reduce((sum, ms) => sum + ms, 0);
}

export function p99Limits(phases: readonly Phase[]): Limit[] {
  return phases.flatMap(({ name, isAttack }, index) =>
    isAttack
      ? [{ what: `p99 beside ${name}, x undisturbed`, value: p99Ratio(phases, index), max: P99_RATIO_MAX }]
      : [],
  );
}

/** What is wrong; empty when nothing is. */
export function problems(phases: readonly Phase[], cuts: readonly Cut[]): string[] {
  const [undisturbed] = phases;
  if (undisturbed === undefined) return ["nothing was measured"];
  const found: string[] = [];
  for (const { name, load, peakMib } of phases) {
    if (load.failed > 0)
      found.push(`${name}: ${load.failed} normal requests failed: ${load.failures.join(", ")}`);
    const growth = peakMib - undisturbed.peakMib;
    if (growth > GROWTH_MAX_MIB)
      found.push(`${name}: memory grew by ${growth.toFixed(0)} MiB, limit ${GROWTH_MAX_MIB} MiB`);
  }
  for (const cut of cuts) found.push(...problemsOf(cut));
  return found;
}

function problemsOf({ attack, count, cut, firstSeconds, lastSeconds, statuses }: Cut): string[] {
  const { seconds, status } = limits[attack];
  const found: string[] = [];
  if (cut !== count) found.push(`${attack}: ${cut} of ${count} were cut`);
  const isInTime = firstSeconds >= seconds - CUT_EARLY_SECONDS && lastSeconds <= seconds + CUT_LATE_SECONDS;
  if (!isInTime)
    found.push(
      `${attack}: cut after ${firstSeconds.toFixed(1)} to ${lastSeconds.toFixed(1)} s, limit ${seconds} s`,
    );
  if (status !== "" && (statuses[status] ?? 0) !== count)
    found.push(`${attack}: answers ${JSON.stringify(statuses)}, expected ${status}`);
  return found;
}

export function phaseRows(phases: readonly Phase[]): string[][] {
  const baseMib = phases[0]?.peakMib ?? Number.NaN;
  return [
    [
      "phase",
      "requests",
      "failed",
      "p50 ms",
      "p99 ms",
      "x undisturbed",
      "max ms",
      "CPU %",
      "peak MiB",
      "growth",
    ],
    ...phases.map(({ name, isAttack, load, peakMib, cpuPercent }, index) => [
      name,
      String(load.requests),
      String(load.failed),
      load.p50Ms.toFixed(2),
      load.p99Ms.toFixed(2),
      isAttack ? p99Ratio(phases, index).toFixed(2) : "-",
      load.maxMs.toFixed(1),
      cpuPercent.toFixed(1),
      peakMib.toFixed(0),
      (peakMib - baseMib).toFixed(0),
    ]),
  ];
}

export function cutLines(cuts: readonly Cut[]): string[] {
  return cuts.map(({ attack, count, cut, firstSeconds, medianSeconds, lastSeconds, statuses }) => {
    const times = [firstSeconds, medianSeconds, lastSeconds].map((seconds) => seconds.toFixed(1));
    const answers = Object.entries(statuses).map(([status, each]) => `${each} x ${status}`);
    return (
      `${attack}: ${cut} of ${count} connections cut after ${times.join(" / ")} s (first / median / last; ` +
      `limit ${limits[attack].seconds} s)${answers.length === 0 ? "" : `, answers ${answers.join(", ")}`}.`
    );
  });
}
