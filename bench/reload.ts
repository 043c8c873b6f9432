// `npm run bench:reload`: edits manifests under load and watches what clients see. Not one request may fail, and each
// edit must be live within LIVE_MAX_MS of the write. Exit code 1 otherwise.
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { runAndCleanUp, startServer, temporaryDirectory } from "./lib/children.ts";
import { startFairway } from "./lib/fairway.ts";
import { Autocannon } from "./lib/autocannon.ts";
import { failures, type LoadResult } from "./lib/load.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { Prober } from "./reload/prober.ts";
import { EDIT_KINDS, PATHS, PLAIN_HOST, Scene, TLS_HOST, type EditKind } from "./reload/scene.ts";
import { quantile } from "./lib/statistics.ts";

const LIVE_MAX_MS = 100;
const LOAD_MAX_SECONDS = 3600;
/** Load before the first edit and after the last one. */
const WARM_UP_MS = 2_000;
/** Pauses between edits differ, so that edits meet every phase of whatever Fairway does periodically. */
const PAUSE_MIN_MS = 20;
const PAUSE_STEPS_MS = 61;

const USAGE = `Usage: npm run bench:reload -- [options]

  --edits N             edits in all, the kinds in turn: ${EDIT_KINDS.join(", ")} (default 200)
  --connections N       keep-alive HTTP connections of the load (default 64)
  --tls-connections N   keep-alive HTTPS connections of the load (default 4)
  --json                the result as JSON
  --help
`;

interface Options {
  readonly edits: number;
  readonly connections: number;
  readonly tlsConnections: number;
  readonly isJson: boolean;
}

interface Outcome {
  /** In ms, by kind of edit, in ascending order. */
  readonly liveMs: Readonly<Record<EditKind, number[]>>;
  readonly problems: string[];
}

async function main(options: Options): Promise<number> {
  const host = machine();
  if (!options.isJson) console.log(machineLine(host));
  const [blue, green] = [
    await startServer("./lib/backend.ts", ["1024", "blue"]),
    await startServer("./lib/backend.ts", ["1024", "green"]),
  ];
  const directory = temporaryDirectory();
  const scene = await Scene.create(directory, { blue: blue.port, green: green.port });
  const fairway = await startFairway(directory);
  const prober = new Prober(fairway);

  const generator = new Autocannon();
  const { connections, tlsConnections } = options;
  const shared = { paths: PATHS, seconds: LOAD_MAX_SECONDS };
  const url = `http://127.0.0.1:${fairway.httpPort}/`;
  const tlsUrl = `https://127.0.0.1:${fairway.httpsPort}/`;
  const runs = [generator.start({ ...shared, url, connections, host: PLAIN_HOST })];
  if (tlsConnections > 0) {
    const tls = { connections: tlsConnections, host: TLS_HOST, servername: TLS_HOST };
    runs.push(generator.start({ ...shared, ...tls, url: tlsUrl }));
  }
  const edited = await Promise.race([editAll(options.edits, scene, prober), fairway.child.died]);
  for (const run of runs) run.stop();
  const loads = await Promise.all(runs.map((run) => run.result));
  prober.close();
  const problems = [...edited.problems, ...judge(edited, loads, prober)];
  const report = { machine: host, options, loads, probes: prober.probes, live: summary(edited), problems };
  if (options.isJson) console.log(JSON.stringify(report, undefined, 2));
  else print(edited, loads, prober, problems);
  return problems.length === 0 ? 0 : 1;
}

async function editAll(edits: number, scene: Scene, prober: Prober): Promise<Outcome> {
  const outcome: Outcome = { liveMs: { path: [], canary: [], endpoint: [], certificate: [] }, problems: [] };
  await sleep(WARM_UP_MS);
  for (let index = 0; index < edits; index += 1) {
    const kind = EDIT_KINDS[index % EDIT_KINDS.length] ?? "path";
    const edit = scene.next(kind);
    // Each kind meets both ways of writing in both of its positions.
    const way = Math.floor(index / (2 * EDIT_KINDS.length)) % 2 === 0 ? "in place" : "rename";
    const writtenAt = performance.now();
    scene.apply(edit, way);
    const liveMs = await prober.untilLive(edit.probe, writtenAt);
    if (liveMs === undefined) outcome.problems.push(`edit ${index} (${kind}, ${way}) did not become live`);
    else outcome.liveMs[kind].push(liveMs);
    await sleep(PAUSE_MIN_MS + ((index * 37) % PAUSE_STEPS_MS));
    if (liveMs !== undefined && !(await prober.isLive(edit.probe))) {
      outcome.problems.push(`edit ${index} (${kind}, ${way}) was live and then was not`);
    }
  }
  await sleep(WARM_UP_MS);
  for (const kind of EDIT_KINDS) outcome.liveMs[kind].sort((a, b) => a - b);
  return outcome;
}

function judge(outcome: Outcome, loads: readonly LoadResult[], prober: Prober): string[] {
  const problems: string[] = [];
  const failed = loads.reduce((sum, load) => sum + failures(load), prober.failures.length);
  if (failed > 0) problems.push(`${failed} requests failed; ${prober.failures.slice(0, 3).join("; ")}`);
  const late = EDIT_KINDS.flatMap((kind) => outcome.liveMs[kind]).filter((ms) => ms > LIVE_MAX_MS);
  if (late.length > 0)
    problems.push(`${late.length} edits took longer than ${LIVE_MAX_MS} ms to become live`);
  return problems;
}

interface LiveSummary {
  readonly edits: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

function summary({ liveMs }: Outcome): Record<string, LiveSummary> {
  const all = EDIT_KINDS.flatMap((kind) => liveMs[kind]).sort((a, b) => a - b);
  const rows: [string, number[]][] = [
    ...EDIT_KINDS.map((kind): [string, number[]] => [kind, liveMs[kind]]),
    ["all", all],
  ];
  return Object.fromEntries(
    rows.map(([kind, sorted]) => [
      kind,
      {
        edits: sorted.length,
        p50Ms: quantile(sorted, 0.5),
        p99Ms: quantile(sorted, 0.99),
        maxMs: quantile(sorted, 1),
      },
    ]),
  );
}

function print(
  outcome: Outcome,
  loads: readonly LoadResult[],
  prober: Prober,
  problems: readonly string[],
): void {
  loads.forEach((load, index) => {
    const name = index === 0 ? "HTTP load" : "HTTPS load";
    const rate = (load.responses / load.seconds).toFixed(0);
    console.log(
      `${name}: ${load.responses} responses in ${load.seconds.toFixed(1)} s (${rate}/s), p50 ${load.p50Ms.toFixed(1)} ms, ` +
        `p99 ${load.p99Ms.toFixed(1)} ms; not 2xx ${load.non2xx}, connection errors ${load.connectionErrors}, ` +
        `timeouts ${load.timeouts}, lost ${load.lost}`,
    );
  });
  console.log(`prober: ${prober.probes} probes, ${prober.failures.length} failed`);
  console.log("\nfrom the write to the first answer that shows it, in ms:");
  for (const [kind, { edits, p50Ms, p99Ms, maxMs }] of Object.entries(summary(outcome))) {
    const figures = [p50Ms, p99Ms, maxMs].map((ms) => ms.toFixed(1).padStart(7));
    console.log(
      `  ${kind.padEnd(12)}${String(edits).padStart(4)} edits  p50${figures[0]}  p99${figures[1]}  max${figures[2]}`,
    );
  }
  console.log("");
  for (const problem of problems) console.log(`FAILED: ${problem}`);
  if (problems.length === 0)
    console.log(`ok: no request failed, and every edit was live within ${LIVE_MAX_MS} ms`);
}

function parseOptions(): Options | undefined {
  const { values } = parseArgs({
    options: {
      edits: { type: "string", default: "200" },
      connections: { type: "string", default: "64" },
      "tls-connections": { type: "string", default: "4" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  const count = (name: string, text: string, min: number): number => {
    if (!/^\d+$/.test(text) || Number(text) < min)
      throw new Error(`--${name}: "${text}" is not an integer from ${min}`);
    return Number(text);
  };
  return {
    edits: count("edits", values.edits, 1),
    connections: count("connections", values.connections, 1),
    tlsConnections: count("tls-connections", values["tls-connections"], 0),
    isJson: values.json,
  };
}

let options: Options | undefined;
try {
  options = parseOptions();
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
