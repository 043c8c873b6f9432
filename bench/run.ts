// `npm run bench`: CPU, throughput and latency of Fairway and other proxies in front of the same backend.
// README.md beside this file says how to read the result. Exit code 1: a limit is missed or a request failed.
import { runAndCleanUp, startServer } from "./lib/children.ts";
import { isCpuMeasurable } from "./lib/cpu.ts";
import { LoadGenerator } from "./lib/load.ts";
import { machine, machineLine } from "./lib/machine.ts";
import { checkPeer, measureRounds } from "./measure.ts";
import { parseOptions, USAGE, type BenchOptions } from "./options.ts";
import { startPeer, type Peer } from "./lib/peers.ts";
import { judge, reportPeers, table } from "./report.ts";

async function main(options: BenchOptions): Promise<number> {
  const progress = (line: string): void => (options.isJson ? console.error(line) : console.log(line));
  const host = machine();
  const isCpuMeasured = isCpuMeasurable();
  progress(machineLine(host));
  if (!isCpuMeasured) progress("CPU is NOT measured here (no Linux /proc): this run will fail");
  const peers = await startPeers(options, progress);
  const generator = new LoadGenerator();
  const measurements = await measureRounds({ options, peers, generator, isCpuMeasured, progress });
  const reports = reportPeers(measurements);
  const verdict = judge(reports, isCpuMeasured);
  if (options.isJson) {
    const versions = Object.fromEntries(peers.map(({ name, version }) => [name, version]));
    console.log(JSON.stringify({ machine: host, options, versions, peers: reports, verdict }, undefined, 2));
  } else {
    console.log(`\n${table(reports)}\n`);
    console.log("Medians of the rounds; in parentheses the lowest and the highest round. Ratios are of CPU.");
    for (const line of verdict.lines) console.log(line);
  }
  return verdict.isPassed ? 0 : 1;
}

async function startPeers(options: BenchOptions, progress: (line: string) => void): Promise<Peer[]> {
  const backend = await startServer("./lib/backend.ts", [String(options.body)]);
  const peers: Peer[] = [];
  for (const name of options.peers) {
    const peer = await startPeer(name, backend.port, options.workers);
    if (peer === undefined) {
      progress(`${name}: not installed`);
      continue;
    }
    await checkPeer(peer, options.body);
    progress(`${name} ${peer.version}: process ${peer.child.pid}, port ${peer.port}`);
    peers.push(peer);
  }
  if (peers.length === 0) throw new Error("none of the peers is installed");
  return peers;
}

let options: BenchOptions | undefined;
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
