// `npm run bench:slow-attacks`: what normal clients notice of others that hold connections as slowly as they can, and
// when those are cut. Every kind of attack alone, and at last all at once until the last attacker is cut, each
// between two undisturbed phases: about three and a half minutes. Exit code 1: a normal request failed, or a limit of slow-attacks/report.ts is missed.
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, temporaryDirectory } from "./lib/children.ts";
import { runScenario, type Context } from "./lib/command.ts";
import { cpuTimeUs, isCpuMeasurable, residentKib } from "./lib/process-tree.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { endpointSlice, ingress, ingressClass, service, toYaml, type Manifest } from "./lib/manifests.ts";
import { HOST } from "./lib/peers.ts";
import type { Outcome } from "./lib/result.ts";
import { spread } from "./lib/statistics.ts";
import { packageVersion } from "./lib/versions.ts";
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

type Numbers = "seconds" | "rate" | "connections";

class Run {
  readonly #numbers: Readonly<Record<Numbers, number>>;
  readonly #fairway: Fairway;
  readonly #attackers = new Attackers();
  readonly #clients = new NormalClients();
  readonly #progress: (line: string) => void;

  constructor({ numbers, progress }: Context<Numbers>, fairway: Fairway) {
    this.#numbers = numbers;
    this.#fairway = fairway;
    this.#progress = progress;
  }

  async warmUp(): Promise<void> {
    const { rate, connections } = this.#numbers;
    this.#clients.start(this.#fairway.httpPort, rate, connections);
    await sleep(WARM_UP_MS);
    await this.#clients.stop();
  }

  async undisturbed(): Promise<Phase> {
    return this.#measure("undisturbed", false, () => sleep(this.#numbers.seconds * 1000));
  }

  /** From before its first connection to after its last: the attack's beginning belongs to it. */
  async under(attack: Attack): Promise<Phase> {
    const phase = await this.#measure(`${COUNTS[attack]} ${attack}`, true, async () => {
      await this.#attackers.start(attack, COUNTS[attack], this.#fairway.httpPort);
      await sleep(this.#numbers.seconds * 1000);
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
    const phase = await this.#measure("all at once", true, async () => {
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

  async #measure(name: string, isAttack: boolean, wait: () => Promise<void>): Promise<Phase> {
    const { rate, connections } = this.#numbers;
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
    return { name, isAttack, load, seconds, peakMib, cpuPercent: cpuUs / 10_000 / seconds };
  }
}

/** A backend of its own for each: what the large one has to do is not the normal clients' business. */
function manifestsOf(name: string, path: string, port: number): readonly Manifest[] {
  return [service(name), endpointSlice(name, port), ingress({ name, host: HOST, path, service: name })];
}

async function run(context: Context<Numbers>): Promise<Outcome> {
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
  const attacked = new Run(context, fairway);
  await attacked.warmUp();
  const phases: Phase[] = [await attacked.undisturbed()];
  for (const attack of ATTACKS) {
    phases.push(await attacked.under(attack), await attacked.undisturbed());
  }
  const { phase, cuts } = await attacked.underAll();
  await sleep(SETTLE_MS);
  phases.push(phase, await attacked.undisturbed());
  const afterMib = residentKib(fairway.child.pid) / 1024;
  const [columns = [], ...rows] = report.phaseRows(phases);
  const { rate, connections } = context.numbers;
  return {
    versions: { fairway: packageVersion() },
    missing: [],
    load: `normal requests of our own, ${rate} a second on ${connections} connections, latency from when each was due`,
    table: { columns, rows },
    limits: report.p99Limits(phases),
    problems: report.problems(phases, cuts),
    notes: [...report.cutLines(cuts), `Memory after all: ${afterMib.toFixed(0)} MiB.`],
    plots: [
      {
        kind: "bars",
        title: "p99 of normal requests",
        unit: `ms at ${rate} requests/s, less is better`,
        bars: phases.map(({ name, load }) => ({ label: name, value: spread([load.p99Ms]) })),
      },
    ],
    rounds: { phases, cuts, afterMib },
  };
}

await runScenario({
  name: "slow-attacks",
  script: "bench:slow-attacks",
  title: "Slow attacks",
  question: "What do normal clients notice of slow ones, and when are those cut?",
  numbers: {
    seconds: { default: 8, min: 1, help: "length of each phase but the last" },
    rate: { default: 500, min: 1, help: "normal requests per second" },
    connections: { default: 128, min: 1, help: "keep-alive connections of the normal clients" },
  },
  peers: [],
  hasLoadChoice: false,
  run,
});
