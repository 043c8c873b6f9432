// Runs the rounds: every peer once in each, in rotated order, so that what else the machine does hits all alike.
import http from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { cpuTimeUs } from "./lib/cpu.ts";
import type { LoadGenerator, LoadResult } from "./lib/load.ts";
import type { BenchOptions } from "./options.ts";
import { HOST, type Peer } from "./lib/peers.ts";

/** Time for a proxy to notice that the load's connections are gone; it belongs to the cost of serving them. */
const SETTLE_MS = 50;
/** What every peer must add for the comparison to be one of equal work; some add more. */
const FORWARDED_FIELDS = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];

export interface Measurement {
  readonly load: LoadResult;
  /** User and system time of the proxy, with its child processes, for each response. NaN without Linux's /proc. */
  readonly cpuUs: number;
}

/** Measurements of each peer by name, one for each round, in the order of rounds. */
export type Measurements = ReadonlyMap<string, readonly Measurement[]>;

export interface MeasureOptions {
  readonly options: BenchOptions;
  readonly peers: readonly Peer[];
  readonly generator: LoadGenerator;
  readonly isCpuMeasured: boolean;
  readonly progress: (line: string) => void;
}

/** Runs one round more than asked for and throws the first away: machine code and connection pools are cold in it. */
export async function measureRounds(options: MeasureOptions): Promise<Measurements> {
  const { peers, progress } = options;
  const { rounds } = options.options;
  const measurements = new Map<string, Measurement[]>(peers.map((peer) => [peer.name, []]));
  for (let round = 0; round <= rounds; round += 1) {
    const shift = round % peers.length;
    const order = [...peers.slice(shift), ...peers.slice(0, shift)];
    const seen: string[] = [];
    for (const peer of order) {
      const measurement = await measure(peer, options);
      if (round > 0) measurements.get(peer.name)?.push(measurement);
      seen.push(`${peer.name} ${measurement.cpuUs.toFixed(1)}`);
    }
    const title = round === 0 ? "warm-up" : `round ${round}/${rounds}`;
    progress(`${title}, CPU us per request: ${seen.join(", ")}`);
  }
  return measurements;
}

async function measure(
  peer: Peer,
  { options, generator, isCpuMeasured }: MeasureOptions,
): Promise<Measurement> {
  const before = isCpuMeasured ? cpuTimeUs(peer.child.pid) : Number.NaN;
  const run = generator.start({
    url: `http://127.0.0.1:${peer.port}/`,
    connections: options.connections,
    seconds: options.seconds,
    host: HOST,
  });
  const load = await Promise.race([run.result, peer.child.died]);
  await sleep(SETTLE_MS);
  const after = isCpuMeasured ? cpuTimeUs(peer.child.pid) : Number.NaN;
  return { load, cpuUs: (after - before) / load.responses };
}

/** Throws unless the peer passes the backend's content on unchanged and adds the forwarded fields to requests. */
export async function checkPeer(peer: Peer, contentBytes: number): Promise<void> {
  const plain = await get(peer.port, "/");
  if (plain.status !== 200 || plain.content !== "x".repeat(contentBytes)) {
    throw new Error(`${peer.name}: wrong answer to GET /: ${plain.status}, ${plain.content.length} bytes`);
  }
  const head = (await get(peer.port, "/echo")).content.toLowerCase();
  const missing = FORWARDED_FIELDS.filter((field) => !head.includes(`\r\n${field}: `));
  if (missing.length > 0 || !head.includes(`\r\nhost: ${HOST}\r\n`)) {
    throw new Error(`${peer.name}: the backend's request lacks ${missing.join(", ") || "Host"}:\n${head}`);
  }
}

function get(port: number, path: string): Promise<{ status: number; content: string }> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, path, host: "127.0.0.1", agent: false, headers: { host: HOST } });
    request.on("error", reject);
    request.on("response", (response) => {
      let content = "";
      response.setEncoding("latin1");
      response.on("data", (chunk: string) => (content += chunk));
      response.on("error", reject);
      response.on("end", () => resolve({ status: response.statusCode ?? 0, content }));
    });
  });
}
