// The frame of every benchmark: command line, start and clean-up, verdict, and what is printed and saved. A script
// describes itself as a `Scenario` and calls `runScenario`.
import { parseArgs } from "node:util";
import { runAndCleanUp } from "./children.ts";
import { LOAD_CHOICES, type LoadChoice } from "./load-source.ts";
import { busyCpus, machine, machineLine } from "./machine.ts";
import { PEER_NAMES, type PeerName } from "./peers.ts";
import { isMet, limitText, saveResult, textTable, type Outcome, type Result } from "./result.ts";

export interface NumberOption {
  readonly default: number;
  readonly min: number;
  readonly help: string;
  /** Fractions are allowed. Default: integers only. */
  readonly isFraction?: true;
}

export interface Scenario<Name extends string> {
  /** Of the files under bench/results/. */
  readonly name: string;
  /** The npm script. */
  readonly script: string;
  readonly title: string;
  readonly question: string;
  /** Options of the command line that take a number, such as `rounds`. */
  readonly numbers: Readonly<Record<Name, NumberOption>>;
  /** Peers that take part unless `--peers` says otherwise; none: the scenario has no `--peers`. */
  readonly peers: readonly PeerName[];
  /** Whether the scenario leaves the load source to `--load`. */
  readonly hasLoadChoice: boolean;
  run(context: Context<Name>): Promise<Outcome>;
}

export interface Context<Name extends string> {
  readonly numbers: Readonly<Record<Name, number>>;
  readonly peers: readonly PeerName[];
  readonly load: LoadChoice;
  /** One line while the run goes on. */
  readonly progress: (line: string) => void;
}

interface Options<Name extends string> extends Omit<Context<Name>, "progress"> {
  readonly isJson: boolean;
  readonly isSaved: boolean;
  readonly hasLimits: boolean;
  readonly needsAllPeers: boolean;
}

/** To whoever started the script with an IPC channel, at the end: all.ts. */
export interface ScenarioReport {
  readonly name: string;
  readonly limits: readonly { readonly text: string; readonly isMet: boolean }[];
  readonly problems: readonly string[];
  readonly missing: readonly string[];
}

/** Exit code 0: measured and within the limits; 1: a limit is missed or something failed; 2: wrong command line. */
export async function runScenario<Name extends string>(scenario: Scenario<Name>): Promise<void> {
  const args = process.argv.slice(2);
  let options: Options<Name> | undefined;
  try {
    options = parse(scenario, args);
  } catch (error) {
    console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${usage(scenario)}`);
    process.exit(2);
  }
  if (options === undefined) {
    console.log(usage(scenario));
    return;
  }
  const chosen = options;
  // Whoever started us is gone: the clean-up of a signal is the right one.
  process.once("disconnect", () => process.kill(process.pid, "SIGTERM"));
  await runAndCleanUp(() => main(scenario, chosen, args));
}

async function main<Name extends string>(
  scenario: Scenario<Name>,
  options: Options<Name>,
  args: readonly string[],
): Promise<number> {
  const { isJson, isSaved, hasLimits, needsAllPeers, ...context } = options;
  const progress = (line: string): void => (isJson ? console.error(line) : console.log(line));
  const host = machine();
  const date = new Date().toISOString();
  progress(`${scenario.title}\n${machineLine(host)}`);
  const busyBefore = await busyCpus();
  const outcome = await scenario.run({ ...context, progress });
  // What we started is idle by now.
  const otherWork = { beforeCpus: busyBefore, afterCpus: await busyCpus() };
  const problems = [...outcome.problems];
  if (needsAllPeers) problems.push(...outcome.missing.map((name) => `${name} is not installed`));
  const { name, script, title, question } = scenario;
  const shown = args.filter((arg) => arg !== "--save");
  const command = `npm run ${script}${shown.length === 0 ? "" : ` -- ${shown.join(" ")}`}`;
  const about = { name, title, question, command, date, machine: host, otherWork, options: context.numbers };
  const result: Result = { ...about, ...outcome, problems };
  if (isJson) console.log(JSON.stringify(result, undefined, 1));
  else print(result);
  if (isSaved) progress(`saved: ${saveResult(result).join(", ")}`);
  const limits = result.limits.map((limit) => ({ text: limitText(limit), isMet: isMet(limit) }));
  const report: ScenarioReport = { name, limits, problems, missing: outcome.missing };
  // Waited for: `runAndCleanUp` ends the process.
  if (process.send !== undefined) await new Promise((sent) => process.send?.(report, sent));
  const isPassed = problems.length === 0 && (!hasLimits || limits.every((limit) => limit.isMet));
  return isPassed ? 0 : 1;
}

function print(result: Result): void {
  console.log(`\n${textTable(result.table)}\n`);
  for (const note of result.notes) console.log(note);
  console.log(`Load: ${result.load}.`);
  if (result.missing.length > 0) console.log(`Not installed, so not measured: ${result.missing.join(", ")}.`);
  for (const limit of result.limits) console.log(`${isMet(limit) ? "met" : "MISSED"}: ${limitText(limit)}`);
  for (const problem of result.problems) console.log(`FAILED: ${problem}`);
}

const FLAGS = {
  json: "the result as JSON on standard output, the progress on standard error",
  save: "keep the result: bench/results/NAME.json, .md and .svg",
  "no-limits": "only measure: a missed limit does not fail the run",
  "require-peers": "a peer that is not installed fails the run",
  help: "",
} as const;

function usage<Name extends string>(scenario: Scenario<Name>): string {
  const line = (option: string, help: string): string => `  ${option.padEnd(20)} ${help}`.trimEnd();
  const numbers = Object.entries<NumberOption>(scenario.numbers);
  const peers = `of ${PEER_NAMES.join(", ")} (default ${scenario.peers.join(",")})`;
  const load = `${LOAD_CHOICES.join(", ")}; auto: autocannon, or wrk where autocannon is the bottleneck (default)`;
  return [
    `${scenario.question}\n\nUsage: npm run ${scenario.script} -- [options]\n`,
    ...numbers.map(([name, each]) => line(`--${name} N`, `${each.help} (default ${each.default})`)),
    ...(scenario.peers.length === 0 ? [] : [line("--peers A,B,...", peers)]),
    ...(scenario.hasLoadChoice ? [line("--load SOURCE", load)] : []),
    ...Object.entries(FLAGS).map(([name, help]) => line(`--${name}`, help)),
    "",
  ].join("\n");
}

/** Undefined: help was asked for. Throws an Error that says what is wrong. */
function parse<Name extends string>(
  scenario: Scenario<Name>,
  args: readonly string[],
): Options<Name> | undefined {
  const numbers = Object.entries<NumberOption>(scenario.numbers);
  const texts = numbers.map(([name]) => name);
  if (scenario.peers.length > 0) texts.push("peers");
  if (scenario.hasLoadChoice) texts.push("load");
  const known: Record<string, { readonly type: "string" | "boolean" }> = {
    ...Object.fromEntries(texts.map((name) => [name, { type: "string" as const }])),
    ...Object.fromEntries(Object.keys(FLAGS).map((name) => [name, { type: "boolean" as const }])),
  };
  const { values } = parseArgs({ args: [...args], options: known });
  if (values["help"] === true) return undefined;
  const text = (name: string): string | undefined => {
    const value = values[name];
    return typeof value === "string" ? value : undefined;
  };
  const parsed = numbers.map(([name, each]) => [name, toNumber(name, each, text(name))]);
  return {
    // One entry for each name of the scenario.
    numbers: Object.fromEntries(parsed) as Record<Name, number>,
    peers: toPeers(text("peers")) ?? scenario.peers,
    load: toLoadChoice(text("load") ?? "auto"),
    isJson: values["json"] === true,
    isSaved: values["save"] === true,
    hasLimits: values["no-limits"] !== true,
    needsAllPeers: values["require-peers"] === true,
  };
}

function toNumber(name: string, option: NumberOption, text: string | undefined): number {
  if (text === undefined) return option.default;
  const isNumber = option.isFraction === true ? /^\d+(\.\d+)?$/.test(text) : /^\d+$/.test(text);
  if (isNumber && Number(text) >= option.min) return Number(text);
  const kind = option.isFraction === true ? "a number" : "an integer";
  throw new Error(`--${name}: "${text}" is not ${kind} from ${option.min}`);
}

function toPeers(text: string | undefined): PeerName[] | undefined {
  return text?.split(",").map((name) => {
    const known = PEER_NAMES.find((peer) => peer === name);
    if (known === undefined) throw new Error(`--peers: "${name}" is none of ${PEER_NAMES.join(", ")}`);
    return known;
  });
}

function toLoadChoice(text: string): LoadChoice {
  const known = LOAD_CHOICES.find((choice) => choice === text);
  if (known === undefined) throw new Error(`--load: "${text}" is none of ${LOAD_CHOICES.join(", ")}`);
  return known;
}
