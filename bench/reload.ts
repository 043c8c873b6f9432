// `npm run bench:reload`: edits manifests under load and watches what clients see. Not one request may fail, and each
// edit must be live within LIVE_MAX_MS of the write. Exit code 1 otherwise.
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, temporaryDirectory } from "./lib/children.ts";
import { runScenario, type Context } from "./lib/command.ts";
import { startFairway } from "./lib/fairway.ts";
import { Autocannon } from "./lib/autocannon.ts";
import { failures, type LoadResult } from "./lib/load.ts";
import { Prober } from "./reload/prober.ts";
import { EDIT_KINDS, PATHS, PLAIN_HOST, Scene, TLS_HOST, type EditKind } from "./reload/scene.ts";
import type { Limit, Outcome as Result } from "./lib/result.ts";
import { quantile, spread } from "./lib/statistics.ts";
import { packageVersion } from "./lib/versions.ts";

const LIVE_MAX_MS = 100;
const LOAD_MAX_SECONDS = 3600;
/** Load before the first edit and after the last one. */
const WARM_UP_MS = 2_000;
/** Pauses between edits differ, so that edits meet every phase of whatever Fairway does periodically. */
const PAUSE_MIN_MS = 20;
const PAUSE_STEPS_MS = 61;

type Numbers = "edits" | "connections" | "tls-connections";

interface Outcome {
  /** In ms, by kind of edit, in ascending order. */
  readonly liveMs: Readonly<Record<EditKind, number[]>>;
  readonly problems: string[];
}

async function run({ numbers, progress }: Context<Numbers>): Promise<Result> {
  const [blue, green] = [
    await startServer("./lib/backend.ts", ["1024", "blue"]),
    await startServer("./lib/backend.ts", ["1024", "green"]),
  ];
  const directory = temporaryDirectory();
  const scene = await Scene.create(directory, { blue: blue.port, green: green.port });
  const fairway = await startFairway(directory);
  const prober = new Prober(fairway);

  const generator = new Autocannon();
  const { connections, "tls-connections": tlsConnections } = numbers;
  const shared = { paths: PATHS, seconds: LOAD_MAX_SECONDS };
  const url = `http://127.0.0.1:${fairway.httpPort}/`;
  const tlsUrl = `https://127.0.0.1:${fairway.httpsPort}/`;
  const runs = [generator.start({ ...shared, url, connections, host: PLAIN_HOST })];
  if (tlsConnections > 0) {
    const tls = { connections: tlsConnections, host: TLS_HOST, servername: TLS_HOST };
    runs.push(generator.start({ ...shared, ...tls, url: tlsUrl }));
  }
  const edited = await Promise.race([editAll(numbers.edits, scene, prober), fairway.child.died]);
  for (const run of runs) run.stop();
  const loads = await Promise.all(runs.map((run) => run.result));
  prober.close();
  for (const line of loads.map(loadLine)) progress(line);
  const all = EDIT_KINDS.flatMap((kind) => edited.liveMs[kind]).sort((a, b) => a - b);
  const failed = loads.reduce((sum, load) => sum + failures(load), prober.failures.length);
  const problems = [...edited.problems];
  if (failed > 0) problems.push(`${failed} requests failed; ${prober.failures.slice(0, 3).join("; ")}`);
  const slowest: Limit = { what: "Slowest edit, ms until live", value: quantile(all, 1), max: LIVE_MAX_MS };
  return {
    versions: { fairway: packageVersion(), autocannon: generator.version },
    missing: [],
    load: `autocannon ${generator.version}, ${connections} HTTP and ${tlsConnections} HTTPS connections, as fast as they get`,
    table: liveTable([...EDIT_KINDS.map((kind) => [kind, edited.liveMs[kind]] as const), ["all", all]]),
    limits: [slowest],
    problems,
    notes: [
      "From the write to the first answer that shows it, in ms.",
      ...loads.map(loadLine),
      `Prober: ${prober.probes} probes, ${prober.failures.length} failed.`,
    ],
    plots: [
      {
        kind: "bars",
        title: "From the write of an edit to the first answer that shows it: median, fastest, slowest",
        unit: "ms, less is better",
        bars: EDIT_KINDS.map((kind) => ({ label: kind, value: spread(edited.liveMs[kind]) })),
      },
    ],
    rounds: { liveMs: edited.liveMs, loads },
  };
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

function liveTable(rows: readonly (readonly [string, readonly number[]])[]): Result["table"] {
  return {
    columns: ["edit", "edits", "p50 ms", "p99 ms", "max ms"],
    rows: rows.map(([kind, sorted]) => {
      const figures = [0.5, 0.99, 1].map((q) => quantile(sorted, q).toFixed(1));
      return [kind, String(sorted.length), ...figures];
    }),
  };
}

function loadLine(load: LoadResult, index: number): string {
  const name = index === 0 ? "HTTP load" : "HTTPS load";
  const rate = (load.responses / load.seconds).toFixed(0);
  return (
    `${name}: ${load.responses} responses in ${load.seconds.toFixed(1)} s (${rate}/s), p50 ${load.p50Ms.toFixed(1)} ms, ` +
    `p99 ${load.p99Ms.toFixed(1)} ms; not 2xx ${load.non2xx}, connection errors ${load.connectionErrors}, ` +
    `timeouts ${load.timeouts}, lost ${load.lost}.`
  );
}

await runScenario({
  name: "reload",
  script: "bench:reload",
  title: "Configuration changes under load",
  question: "Do clients notice when the configuration changes under load, and when is a change live?",
  numbers: {
    edits: { default: 200, min: 1, help: `edits in all, the kinds in turn: ${EDIT_KINDS.join(", ")}` },
    connections: { default: 64, min: 1, help: "keep-alive HTTP connections of the load" },
    "tls-connections": { default: 4, min: 0, help: "keep-alive HTTPS connections of the load" },
  },
  peers: [],
  hasLoadChoice: false,
  run,
});
