// From measurements to a verdict, a table and JSON. Pure.
import { failures } from "./lib/load.ts";
import type { Measurement, Measurements } from "./measure.ts";
import { spread, type Spread } from "./lib/statistics.ts";

/** Fairway's CPU per request is to be at most this share of http-proxy's: the median of the ratios of each round. */
export const CPU_RATIO_MAX = 0.4;

export interface PeerReport {
  readonly name: string;
  readonly requestsPerSecond: Spread;
  readonly p50Ms: Spread;
  readonly p99Ms: Spread;
  readonly cpuUs: Spread;
  readonly failed: number;
  /** CPU per request over that of another peer in the same round. Absent when that peer did not run. */
  readonly cpuRatios: Readonly<Record<string, Spread>>;
}

const REFERENCES = ["http-proxy", "nginx"];

export function reportPeers(measurements: Measurements): PeerReport[] {
  return [...measurements].map(([name, rounds]) => {
    const cpuRatios: Record<string, Spread> = {};
    for (const reference of REFERENCES) {
      const against = measurements.get(reference);
      if (against !== undefined) cpuRatios[reference] = spread(ratios(rounds, against));
    }
    return {
      name,
      requestsPerSecond: spread(rounds.map(({ load }) => load.responses / load.seconds)),
      p50Ms: spread(rounds.map(({ load }) => load.p50Ms)),
      p99Ms: spread(rounds.map(({ load }) => load.p99Ms)),
      cpuUs: spread(rounds.map(({ cpuUs }) => cpuUs)),
      failed: rounds.reduce((sum, { load }) => sum + failures(load), 0),
      cpuRatios,
    };
  });
}

function ratios(rounds: readonly Measurement[], against: readonly Measurement[]): number[] {
  return rounds.map(({ cpuUs }, round) => cpuUs / (against[round]?.cpuUs ?? Number.NaN));
}

export interface Verdict {
  readonly isPassed: boolean;
  readonly lines: readonly string[];
}

export function judge(reports: readonly PeerReport[], isCpuMeasured: boolean): Verdict {
  const problems = reports
    .filter(({ failed }) => failed > 0)
    .map(
      ({ name, failed }) => `FAILED: ${name}: ${failed} requests failed; figures of such a run mean nothing`,
    );
  if (!isCpuMeasured) problems.push("FAILED: CPU per request is not measured: it takes Linux's /proc");
  const fairway = reports.find(({ name }) => name === "fairway");
  const ratio = fairway?.cpuRatios["http-proxy"];
  if (ratio === undefined) {
    const lines = [
      ...problems,
      "not judged: the CPU limit needs both fairway and http-proxy among the peers",
    ];
    return { isPassed: problems.length === 0, lines };
  }
  const text = `fairway takes ${ratio.median.toFixed(3)} x the CPU per request of http-proxy (limit ${CPU_RATIO_MAX.toFixed(2)})`;
  // Not measured is NaN, and NaN is not within the limit.
  if (!(ratio.median <= CPU_RATIO_MAX)) problems.push(`FAILED: ${text}`);
  return problems.length === 0
    ? { isPassed: true, lines: [`ok: ${text}`] }
    : { isPassed: false, lines: problems };
}

const COLUMNS = [
  "peer",
  "requests/s",
  "p50 ms",
  "p99 ms",
  "CPU us/request",
  "x http-proxy",
  "x nginx",
  "failed",
];

export function table(reports: readonly PeerReport[]): string {
  const rows = reports.map((report) => [
    report.name,
    report.requestsPerSecond.median.toFixed(0),
    report.p50Ms.median.toFixed(2),
    report.p99Ms.median.toFixed(2),
    withRange(report.cpuUs, 1),
    withRange(report.cpuRatios["http-proxy"], 3),
    withRange(report.cpuRatios["nginx"], 2),
    String(report.failed),
  ]);
  const all = [COLUMNS, ...rows];
  const widths = COLUMNS.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join("  ");
  return all.map(line).join("\n");
}

export function withRange(spread: Spread | undefined, digits: number): string {
  if (spread === undefined || Number.isNaN(spread.median)) return "-";
  return `${spread.median.toFixed(digits)} (${spread.min.toFixed(digits)}-${spread.max.toFixed(digits)})`;
}
