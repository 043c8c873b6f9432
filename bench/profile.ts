// `npm run bench:profile`: where the CPU time of a keep-alive request goes, by Linux's perf: kernel, Node and its
// libraries, our JavaScript by function. `--save` keeps it as bench/results/profile.txt.
import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { makeCertificate } from "../certs/make.ts";
import { Autocannon } from "./lib/autocannon.ts";
import { runAndCleanUp, startProgram, startServer, temporaryDirectory } from "./lib/children.ts";
import { startFairway } from "./lib/fairway.ts";
import { failures } from "./lib/load.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { fairwayManifests, HOST } from "./lib/peers.ts";
import { cpuTimeUs } from "./lib/process-tree.ts";

const USAGE =
  "Usage: npm run bench:profile -- [--seconds N (default 10)] [--connections N (default 64)] [--save]\n";
const CONTENT_BYTES = 1024;
const WARM_UP_SECONDS = 4;
const SAMPLES_PER_SECOND = 2000;
const FUNCTIONS_MAX = 60;

interface Options {
  readonly seconds: number;
  readonly connections: number;
  readonly isSaved: boolean;
}

async function main({ seconds, connections, isSaved }: Options): Promise<number> {
  const heading = machineLine(machine());
  const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
  const directory = temporaryDirectory();
  const certificate = await makeCertificate({ names: [HOST], keyType: "ec" });
  fs.writeFileSync(path.join(directory, "bench.yaml"), fairwayManifests(backend.port, certificate));
  const { child, httpPort } = await startFairway(directory, 1, [], { NODE_OPTIONS: "--perf-basic-prof" });
  const job = { url: `http://127.0.0.1:${httpPort}/`, connections, host: HOST };
  const load = new Autocannon();
  await load.start({ ...job, seconds: WARM_UP_SECONDS }).result;
  const before = cpuTimeUs(child.pid);
  const run = load.start({ ...job, seconds: seconds + 1 });
  const data = path.join(directory, "perf.data");
  const record = [
    "record",
    "-q",
    "-F",
    String(SAMPLES_PER_SECOND),
    "-e",
    "cpu-clock",
    "-g",
    "-p",
    String(child.pid),
  ];
  const perf = startProgram("perf", "perf", [...record, "-o", data, "--", "sleep", String(seconds)]);
  const perfEnd = new Promise((resolve) => perf.process.once("exit", resolve));
  const result = await Promise.race([run.result, child.died]);
  await perfEnd;
  await sleep(50);
  const cpuUs = (cpuTimeUs(child.pid) - before) / result.responses;
  const text = [
    `${new Date().toISOString().slice(0, 10)}, ${heading}`,
    `npm run bench:profile -- --seconds ${seconds} --connections ${connections}; one worker, ${CONTENT_BYTES} bytes of content`,
    `perf ${record.slice(0, -2).join(" ")}; Node with --perf-basic-prof`,
    `CPU per request: ${cpuUs.toFixed(1)} us, perf's own cost included; ${result.responses} requests, ${failures(result)} failed`,
    section("By thread", report(data, "comm", 4)),
    section("By where the code is ([JIT]: compiled JavaScript, ours and Node's)", report(data, "dso", 8)),
    section("By function", report(data, "dso,symbol", FUNCTIONS_MAX)),
  ].join("\n");
  // Written by Node, at a place that perf expects.
  fs.rmSync(`/tmp/perf-${child.pid}.map`, { force: true });
  console.log(text);
  if (isSaved) fs.writeFileSync(new URL("results/profile.txt", import.meta.url), text);
  return failures(result) === 0 ? 0 : 1;
}

function section(title: string, lines: readonly string[]): string {
  return `\n${title}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

/** The lines of `perf report`, without the paths of this machine and its ids of threads. */
function report(data: string, sort: string, linesMax: number): string[] {
  const args = ["report", "-i", data, "--no-children", "-g", "none", "--sort", sort, "--stdio"];
  const { stdout, stderr } = spawnSync("perf", args, { encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  const lines = stdout.split("\n").filter((line) => /^ *\d+\.\d+%/.test(line));
  if (lines.length === 0) throw new Error(`perf report has found nothing:\n${stderr}`);
  return lines.slice(0, linesMax).map((line) =>
    line
      .replace(/file:\/\/\S*?\/(?=src\/)/, "")
      .replace(/\[JIT\] tid \d+/, "[JIT]")
      .replace(/[ -]+$/, "")
      .replace(/ {2,}/g, "  ")
      .slice(0, 140)
      .trim(),
  );
}

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "10" },
    connections: { type: "string", default: "64" },
    save: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const [seconds, connections] = [Number(values.seconds), Number(values.connections)];
if (values.help) console.log(USAGE);
else if (!(seconds >= 1 && Number.isInteger(connections) && connections >= 1)) {
  console.error(USAGE);
  process.exit(2);
} else await runAndCleanUp(() => main({ seconds, connections, isSaved: values.save }));
