// What a benchmark found, as data: what is printed, what --save keeps under bench/results/, and what
// docs/performance.md quotes. Pure but for `saveResult`.
import fs from "node:fs";
import type { Machine } from "./machine.ts";
import type { Spread } from "./statistics.ts";
import { drawPlots, type Plot } from "./svg.ts";

/** A figure that the run is judged by. Not measured is NaN, and NaN is never within a limit. */
export interface Limit {
  /** A sentence's subject: "CPU per request, x nginx". */
  readonly what: string;
  readonly value: number;
  /** The one or the other. */
  readonly max?: number;
  readonly min?: number;
}

export interface Table {
  readonly columns: readonly string[];
  readonly rows: readonly (readonly string[])[];
}

/** What a scenario finds out; `command.ts` adds where, when and how. */
export interface Outcome {
  /** Of every program that took part, by name. */
  readonly versions: Readonly<Record<string, string>>;
  /** Peers that were asked for and are not installed. */
  readonly missing: readonly string[];
  /** Which load source, and why that one. */
  readonly load: string;
  readonly table: Table;
  readonly limits: readonly Limit[];
  /** Failed requests and the like, which spoil the figures. They fail the run, whatever the limits say. */
  readonly problems: readonly string[];
  /** What a reader must know to read the table. */
  readonly notes: readonly string[];
  readonly plots: readonly Plot[];
  /** Every measurement of every round. */
  readonly rounds: unknown;
}

export interface Result extends Outcome {
  readonly name: string;
  readonly title: string;
  readonly question: string;
  /** As it was typed, without `--save`. */
  readonly command: string;
  /** When it began, ISO 8601. */
  readonly date: string;
  readonly machine: Machine;
  /** CPUs that were busy with other things in the second before the run and in the second after it. */
  readonly otherWork: { readonly beforeCpus: number; readonly afterCpus: number };
  readonly options: Readonly<Record<string, unknown>>;
}

export function isMet({ value, max = Infinity, min = -Infinity }: Limit): boolean {
  // In a saved result NaN has become null.
  return Number.isFinite(value) && value <= max && value >= min;
}

export function limitText(limit: Limit): string {
  const bound = limit.max === undefined ? `at least ${limit.min}` : `at most ${limit.max}`;
  return `${limit.what}: ${figure(limit.value)} (limit: ${bound})`;
}

/** Three significant digits, which is more than these measurements are good for, but never fewer than the integer. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return "not measured";
  if (Math.abs(value) >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value.toPrecision(3);
}

export function withRange(spread: Spread | undefined, digits: number): string {
  if (spread === undefined || !Number.isFinite(spread.median)) return "-";
  return `${spread.median.toFixed(digits)} (${spread.min.toFixed(digits)}-${spread.max.toFixed(digits)})`;
}

/** For the terminal: the first column to the left, the others to the right. */
export function textTable({ columns, rows }: Table): string {
  const all = [columns, ...rows];
  const widths = columns.map((_, column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const pad = (cell: string, column: number): string =>
    column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0);
  return all.map((row) => row.map(pad).join("  ")).join("\n");
}

function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  const rule = `| ${columns.map((_, column) => (column === 0 ? "---" : "---:")).join(" | ")} |`;
  return [line(columns), rule, ...rows.map(line)].join("\n");
}

/** Above this, other work took part in every figure. */
const OTHER_WORK_MAX_CPUS = 0.2;

function otherWorkText({ beforeCpus, afterCpus }: Result["otherWork"]): string {
  return `other work took ${beforeCpus.toFixed(2)} CPUs before the run and ${afterCpus.toFixed(2)} after it`;
}

/** Nobody should quote figures of a busy machine: the page says so by itself until they are taken anew. */
export function isPreliminary({ otherWork: { beforeCpus, afterCpus } }: Result): boolean {
  return Math.max(beforeCpus, afterCpus) > OTHER_WORK_MAX_CPUS;
}

/** Without a heading, so that it can stand in other documents. `plotPath`: where the plot is, seen from there. */
export function markdownBody(result: Result, plotPath: string): string {
  const { machine, versions, limits, problems, missing, notes, plots } = result;
  const programs = Object.entries(versions).map(([name, version]) => `${name} ${version}`);
  const verdicts = limits.map((limit) => `- ${isMet(limit) ? "met" : "**MISSED**"}: ${limitText(limit)}`);
  const parts = [
    isPreliminary(result)
      ? `**Preliminary: the machine was not quiet, ${otherWorkText(result.otherWork)}.** Ratios of CPU time are rough, latencies and rates mean nothing.`
      : "",
    markdownTable(result.table),
    ...(plots.length === 0 ? [] : [`![${result.title}](${plotPath})`]),
    [...verdicts, ...problems.map((problem) => `- **FAILED**: ${problem}`)].join("\n"),
    notes.map((note) => `- ${note}`).join("\n"),
    [
      `- Machine: ${machine.cpus} x ${machine.cpu}, ${machine.memoryGib} GiB, ${machine.system}, Node ${machine.node}; ${otherWorkText(result.otherWork)}.`,
      `- Programs: ${programs.join(", ")}.`,
      ...(missing.length === 0 ? [] : [`- Not installed, so not measured: ${missing.join(", ")}.`]),
      `- Load: ${result.load}.`,
      `- Command: \`${result.command}\`, ${result.date.slice(0, 16).replace("T", " ")} UTC.`,
    ].join("\n"),
  ];
  return parts.filter((part) => part !== "").join("\n\n");
}

const DIRECTORY = new URL("../results/", import.meta.url);

/** Writes `<name>.json`, `.md` and `.svg`, and returns their paths from the root of the repository. */
export function saveResult(result: Result): string[] {
  fs.mkdirSync(DIRECTORY, { recursive: true });
  const { name, title, question } = result;
  const files: Record<string, string> = {
    [`${name}.json`]: `${JSON.stringify(result, undefined, 1)}\n`,
    [`${name}.md`]: `# ${title}\n\n${question}\n\n${markdownBody(result, `${name}.svg`)}\n`,
  };
  if (result.plots.length > 0) files[`${name}.svg`] = drawPlots(result.plots);
  for (const [file, text] of Object.entries(files)) fs.writeFileSync(new URL(file, DIRECTORY), text);
  return Object.keys(files).map((file) => `bench/results/${file}`);
}

/** Undefined: there is none of that name. */
export function readResult(name: string): Result | undefined {
  const file = new URL(`${name}.json`, DIRECTORY);
  if (!fs.existsSync(file)) return undefined;
  // Written by `saveResult`.
  return JSON.parse(fs.readFileSync(file, "utf8")) as Result;
}
