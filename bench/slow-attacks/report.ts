// From what was measured to a verdict and a table. Pure.
import { quantile } from "../lib/statistics.ts";
import type { Attack, AttackResult, LoadResult } from "./messages.ts";

/** p99 of normal requests under an attack: at most this many times the undisturbed one, and a little. */
export const P99_FACTOR_MAX = 2;
/** Added to it: attackers, load and backend share the machine's CPUs with Fairway. */
export const P99_SLACK_MS = 5;
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

export function p99LimitMs(undisturbed: LoadResult): number {
  return undisturbed.p99Ms * P99_FACTOR_MAX + P99_SLACK_MS;
}

/** What is wrong; empty when nothing is. */
export function problems(phases: readonly Phase[], cuts: readonly Cut[]): string[] {
  const [undisturbed] = phases;
  if (undisturbed === undefined) return ["nothing was measured"];
  const limitMs = p99LimitMs(undisturbed.load);
  const found: string[] = [];
  for (const { name, load, peakMib } of phases) {
    if (load.failed > 0)
      found.push(`${name}: ${load.failed} normal requests failed: ${load.failures.join(", ")}`);
    if (!(load.p99Ms <= limitMs))
      found.push(`${name}: p99 ${load.p99Ms.toFixed(2)} ms, limit ${limitMs.toFixed(2)} ms`);
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
    ["phase", "requests", "failed", "p50 ms", "p99 ms", "max ms", "CPU %", "peak MiB", "growth"],
    ...phases.map(({ name, load, peakMib, cpuPercent }) => [
      name,
      String(load.requests),
      String(load.failed),
      load.p50Ms.toFixed(2),
      load.p99Ms.toFixed(2),
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
