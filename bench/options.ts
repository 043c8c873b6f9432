// Command line of run.ts.
import { parseArgs } from "node:util";
import { PEER_NAMES, type PeerName } from "./lib/peers.ts";

export interface BenchOptions {
  readonly rounds: number;
  readonly seconds: number;
  readonly connections: number;
  readonly peers: readonly PeerName[];
  /** Bytes of content in each response. */
  readonly body: number;
  /** Threads of Fairway; the peers have one process each. */
  readonly workers: number;
  readonly isJson: boolean;
}

export const USAGE = `Usage: npm run bench -- [options]

  --rounds N        measured rounds; each runs every peer once (default 5)
  --seconds S       length of one measurement (default 3)
  --connections N   keep-alive connections of the load (default 64)
  --body BYTES      content of each response (default 1024)
  --peers A,B,...   of ${PEER_NAMES.join(", ")} (default all; the last two if installed)
  --workers N       threads of Fairway (default 1: as many as the peers)
  --json            the result as JSON on standard output, the progress on standard error
  --help
`;

/** Undefined: help was asked for. Throws an Error that says what is wrong. */
export function parseOptions(args: readonly string[]): BenchOptions | undefined {
  const { values } = parseArgs({
    args: [...args],
    options: {
      rounds: { type: "string", default: "5" },
      seconds: { type: "string", default: "3" },
      connections: { type: "string", default: "64" },
      body: { type: "string", default: "1024" },
      peers: { type: "string", default: PEER_NAMES.join(",") },
      workers: { type: "string", default: "1" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return undefined;
  return {
    rounds: integer("rounds", values.rounds, 1),
    seconds: seconds(values.seconds),
    connections: integer("connections", values.connections, 1),
    body: integer("body", values.body, 0),
    peers: peerNames(values.peers),
    workers: integer("workers", values.workers, 1),
    isJson: values.json,
  };
}

function integer(name: string, text: string, min: number): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < min)
    throw new Error(`--${name}: "${text}" is not an integer from ${min}`);
  return value;
}

function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value < 0.2)
    throw new Error(`--seconds: "${text}" is not a number from 0.2`);
  return value;
}

function peerNames(text: string): PeerName[] {
  return text.split(",").map((name) => {
    const known = PEER_NAMES.find((peer) => peer === name);
    if (known === undefined) throw new Error(`--peers: "${name}" is none of ${PEER_NAMES.join(", ")}`);
    return known;
  });
}
