// `npm run bench:slow-attacks`: what normal clients notice of others that hold connections as slowly as they can, and
// when those are cut. Every kind of attack alone, and at last all at once until the last attacker is cut: about two and
// a half minutes. Exit code 1: a normal request failed, or a limit of slow-attacks/report.ts is missed.
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { runAndCleanUp, startServer, temporaryDirectory } from "./lib/children.ts";
import { cpuTimeUs, isCpuMeasurable, residentKib } from "./lib/process-tree.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml, type Manifest } from "./lib/manifests.ts";
import { HOST } from "./lib/peers.ts";
import { Attackers, NormalClients, stalledClients } from "./slow-attacks/helpers.ts";
import { ARRIVAL_SECONDS, ATTACKS, CONTENT_BYTES, LARGE_PATH, type Attack } from "./slow-attacks/messages.ts";
import * as report from "./slow-attacks/report.ts";
import type { Cut, Phase } from "./slow-attacks/report.ts";

const COUNTS: Readonly<Record<Attack, number>> = {
  slowloris: 500,
  "slow bodies": 200,
  "slow readers": 100,
  idle: 5_000,
};
/** More than all buffers on the way to a client that does not read can hold. */
const LARGE_BYTES = 64 * 1024 * 1024;
/** Between looks at memory and at the clients that Fairway has cut. */
const SAMPLE_MS = 250;
/** After an attack, for what it leaves behind to go. */
const SETTLE_MS = 2_000;
const WARM_UP_MS = 3_000;

const USAGE = `Usage: npm run bench:slow-attacks -- [options]

  --seconds S       length of each phase but the last (default 8)
  --rate N          normal requests per second (default 500)
  --connections N   keep-alive connections of the normal clients (default 128)
  --json            the result as JSON on standard output, the progress on standard error
  --help
`;

interface Options {
  readonly seconds: number;
  readonly rate: number;
  readonly connections: number;
  readonly isJson: boolean;
}

class Run {
  readonly #options: Options;
  readonly #fairway: Fairway;
  readonly #attackers = new Attackers();
  readonly #clients = new NormalClients();
  readonly #progress: (line: string) => void;

  constructor(options: Options, fairway: Fairway, progress: (line: string) => void) {
    this.#options = options;
    this.#fairway = fairway;
    this.#progress = progress;
  }

  async warmUp(): Promise<void> {
    const { rate, connections } = this.#options;
    this.#clients.start(this.#fairway.httpPort, rate, connections);
    await sleep(WARM_UP_MS);
    await this.#clients.stop();
  }

  async undisturbed(): Promise<Phase> {
    return this.#measure("undisturbed", () => sleep(this.#options.seconds * 1000));
  }

  /** From before its first connection to after its last: the attack's beginning belongs to it. */
  async under(attack: Attack): Promise<Phase> {
    const phase = await this.#measure(`${COUNTS[attack]} ${attack}`, async () => {
      await this.#attackers.start(attack, COUNTS[attack], this.#fairway.httpPort);
      await sleep(this.#options.seconds * 1000);
    });
    const { failed, cutSeconds } = await this.#attackers.stop(attack);
    if (failed > 0) throw new Error(`${attack}: ${failed} connections could not be made`);
    if (cutSeconds.length > 0) throw new Error(`${attack}: ${cutSeconds.length} were cut before their time`);
    await sleep(SETTLE_MS);
    return phase;
  }

  /** All attacks at once, until each attacker must have been cut. */
  async underAll(): Promise<{ phase: Phase; cuts: readonly Cut[] }> {
    const readers: number[] = [];
    const phase = await this.#measure("all at once", async () => {
      const { adminPort, httpPort } = this.#fairway;
      const before = await stalledClients(adminPort);
      let readersAt = 0;
      for (const attack of ATTACKS) {
        if (attack === "slow readers") readersAt = performance.now();
        await this.#attackers.start(attack, COUNTS[attack], httpPort);
      }
      const last = Math.max(...Object.values(report.limits).map(({ seconds }) => seconds));
      const endAt = performance.now() + (last + report.CUT_LATE_SECONDS) * 1000;
      while (performance.now() < endAt) {
        await sleep(SAMPLE_MS);
        // A client that does not read does not see either that it is cut; Fairway counts it. They go as they came.
        const count = (await stalledClients(adminPort)) - before;
        const now = performance.now();
        while (readers.length < count) {
          const arrived = (readers.length / COUNTS["slow readers"]) * ARRIVAL_SECONDS;
          readers.push((now - readersAt) / 1000 - arrived);
        }
      }
    });
    const cuts: Cut[] = [];
    for (const attack of ATTACKS) {
      const result = await this.#attackers.stop(attack);
      const isReader = attack === "slow readers";
      cuts.push(report.summarize(isReader ? { ...result, cutSeconds: readers, statuses: {} } : result));
    }
    return { phase, cuts };
  }

  async #measure(name: string, wait: () => Promise<void>): Promise<Phase> {
    const { rate, connections } = this.#options;
    const { pid, died } = this.#fairway.child;
    let peakMib = residentKib(pid) / 1024;
    const timer = setInterval(() => {
      peakMib = Math.max(peakMib, residentKib(pid) / 1024);
    }, SAMPLE_MS);
    const cpuBefore = isCpuMeasurable() ? cpuTimeUs(pid) : Number.NaN;
    const startedAt = performance.now();
    this.#clients.start(this.#fairway.httpPort, rate, connections);
    await Promise.race([wait(), died]);
    const load = await this.#clients.stop();
    clearInterval(timer);
    const seconds = (performance.now() - startedAt) / 1000;
    const cpuUs = (isCpuMeasurable() ? cpuTimeUs(pid) : Number.NaN) - cpuBefore;
    this.#progress(`${name}: p99 ${load.p99Ms.toFixed(2)} ms, ${load.failed} of ${load.requests} failed`);
    return { name, load, seconds, peakMib, cpuPercent: cpuUs / 10_000 / seconds };
  }
}

/** A backend of its own for each: what the large one has to do is not the normal clients' business. */
function manifestsOf(name: string, path: string, port: number): readonly Manifest[] {
  return [service(name), endpointSlice(name, port), ingress({ name, host: HOST, path, service: name })];
}

async function main(options: Options): Promise<number> {
  const progress = (line: string): void => (options.isJson ? console.error(line) : console.log(line));
  const host = machine();
  progress(machineLine(host));
  const small = await startServer("./slow-attacks/backend.ts", [String(CONTENT_BYTES)]);
  const large = await startServer("./slow-attacks/backend.ts", [String(LARGE_BYTES)]);
  const directory = temporaryDirectory();
  fs.writeFileSync(
    path.join(directory, "bench.yaml"),
    toYaml(
      ingressClass(),
      ...manifestsOf("small", "/", small.port),
      ...manifestsOf("large", LARGE_PATH, large.port),
    ),
  );
  const fairway = await startFairway(directory);
  const run = new Run(options, fairway, progress);
  await run.warmUp();
  const phases: Phase[] = [await run.undisturbed()];
  for (const attack of ATTACKS) phases.push(await run.under(attack));
  const { phase, cuts } = await run.underAll();
  phases.push(phase);
  await sleep(SETTLE_MS);
  const afterMib = residentKib(fairway.child.pid) / 1024;
  const problems = report.problems(phases, cuts);
  if (options.isJson) {
    console.log(JSON.stringify({ machine: host, options, phases, cuts, afterMib, problems }, undefined, 2));
  } else {
    const [undisturbed] = phases;
    console.log(`\n${report.table(report.phaseRows(phases))}\n\n${report.table(report.cutRows(cuts))}\n`);
    console.log(`Memory after all: ${afterMib.toFixed(0)} MiB.`);
    for (const problem of problems) console.log(`FAILED: ${problem}`);
    if (problems.length === 0 && undisturbed !== undefined) {
      console.log(
        `ok: no request failed, every p99 is within ${report.p99LimitMs(undisturbed.load).toFixed(2)} ms ` +
          `(${report.P99_FACTOR_MAX} x undisturbed + ${report.P99_SLACK_MS} ms), all attackers were cut in time`,
      );
    }
  }
  return problems.length === 0 ? 0 : 1;
}

/** Undefined: help was asked for. Throws an Error that says what is wrong. */
function parseOptions(args: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      seconds: { type: "string", default: "8" },
      rate: { type: "string", default: "500" },
      connections: { type: "string", default: "128" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    seconds: positive("seconds", values.seconds),
    rate: positive("rate", values.rate),
    connections: positive("connections", values.connections),
    isJson: values.json,
  };
}

function positive(name: string, text: string): number {
  if (!/^[1-9]\d*$/.test(text)) throw new Error(`--${name}: "${text}" is not an integer from 1`);
  return Number(text);
}

let options: Options | undefined;
try {
  options = parseOptions(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${error instanceof Error ? error.message : String(error)}\n\n${USAGE}`);
  process.exit(2);
}
if (options === undefined) {
  console.log(USAGE);
} else {
  const chosen = options;
  await runAndCleanUp(() => main(chosen));
}
