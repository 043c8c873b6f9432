// `npm run bench:memory`: what an idle connection keeps in memory, and what ten thousand of them do to the others.
import { setTimeout as sleep } from "node:timers/promises";
import { startServer, stop } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { Holder, requireDescriptors } from "./lib/holder.ts";
import { OpenLoop, type OpenLoopResult } from "./lib/open-loop.ts";
import { HOST, startPeers, type Peer, type PeerName } from "./lib/peers.ts";
import { residentKib } from "./lib/process-tree.ts";
import { withRange, type Limit, type Outcome } from "./lib/result.ts";
import { spread, type Spread } from "./lib/statistics.ts";

const CONTENT_BYTES = 1024;
/** Made and ended before, so that what exists once is there. */
const WARM_UP_CONNECTIONS = 300;
const SETTLE_MS = 500;
const WIRES = ["plain", "TLS"] as const;
type Wire = (typeof WIRES)[number];
const KIB_MAX: Readonly<Record<Wire, number>> = { plain: 6, TLS: 45 };
const P99_RATIO_MAX = 1.2;
/** Of the normal traffic. */
const RATE = 1_000;
const CONNECTIONS = 32;

interface Numbers {
  readonly rounds: number;
  readonly from: number;
  readonly to: number;
  readonly idle: number;
  readonly seconds: number;
}

interface Measured {
  /** KiB for each connection, by peer and wire, one for each round. */
  readonly kib: Map<string, number[]>;
  readonly versions: Record<string, string>;
  readonly missing: Set<PeerName>;
}

/** New processes for every figure: memory that was given back to an allocator once is not counted again. */
async function measureSlopes(
  numbers: Numbers,
  names: readonly PeerName[],
  holder: Holder,
  progress: (line: string) => void,
): Promise<Measured> {
  const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
  const measured: Measured = { kib: new Map(), versions: {}, missing: new Set() };
  for (let round = 1; round <= numbers.rounds; round += 1) {
    const seen: string[] = [];
    for (const wire of WIRES) {
      const peerOptions = {
        backendPort: backend.port,
        contentBytes: CONTENT_BYTES,
        progress: () => undefined,
      };
      const { peers, versions, missing } = await startPeers(names, peerOptions);
      Object.assign(measured.versions, versions);
      for (const name of missing) measured.missing.add(name);
      for (const peer of peers) {
        const kib = await slope(peer, wire, numbers, holder);
        const key = `${peer.name} ${wire}`;
        measured.kib.set(key, [...(measured.kib.get(key) ?? []), kib]);
        seen.push(`${key} ${kib.toFixed(1)}`);
      }
      await Promise.all(peers.map(({ child }) => stop(child)));
    }
    progress(`round ${round}/${numbers.rounds}, KiB for each connection: ${seen.join(", ")}`);
  }
  return measured;
}

async function slope(peer: Peer, wire: Wire, { from, to }: Numbers, holder: Holder): Promise<number> {
  const isTls = wire === "TLS";
  const port = isTls ? peer.httpsPort : peer.httpPort;
  const residentAt = async (count: number): Promise<number> => {
    await holder.hold(`${peer.name}, ${wire}`, { count, port, isTls, host: HOST, path: "/" });
    await sleep(SETTLE_MS);
    return residentKib(peer.child.pid);
  };
  await residentAt(WARM_UP_CONNECTIONS);
  await residentAt(0);
  const before = await residentAt(from);
  const after = await residentAt(to);
  await residentAt(0);
  return (after - before) / (to - from);
}

interface Neighbours {
  readonly alone: OpenLoopResult;
  readonly beside: OpenLoopResult;
}

/** Normal traffic through Fairway, alone and beside idle connections, in turn. */
async function measureNeighbours(
  numbers: Numbers,
  holder: Holder,
  progress: (line: string) => void,
): Promise<Neighbours[]> {
  const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
  const peerOptions = { backendPort: backend.port, contentBytes: CONTENT_BYTES, progress: () => undefined };
  const { peers } = await startPeers(["fairway"], peerOptions);
  const port = peers[0]?.httpPort ?? 0;
  const load = new OpenLoop();
  const run = (): Promise<OpenLoopResult> =>
    load.run({
      port,
      path: "/",
      host: HOST,
      rate: RATE,
      connections: CONNECTIONS,
      seconds: numbers.seconds,
      warmUpSeconds: 1,
    });
  const hold = (count: number): Promise<void> =>
    holder.hold("fairway", { count, port, isTls: false, host: HOST, path: "/" });
  await run();
  const rounds: Neighbours[] = [];
  for (let round = 1; round <= numbers.rounds; round += 1) {
    const alone = await run();
    await hold(numbers.idle);
    await sleep(SETTLE_MS);
    const beside = await run();
    // Throws when one of them is gone.
    await hold(numbers.idle);
    await hold(0);
    rounds.push({ alone, beside });
    progress(
      `round ${round}/${numbers.rounds}, p99: ${alone.p99Ms} ms alone, ${beside.p99Ms} ms beside them`,
    );
  }
  return rounds;
}

function outcome(numbers: Numbers, measured: Measured, neighbours: readonly Neighbours[]): Outcome {
  const { kib, versions, missing } = measured;
  const spreads = new Map([...kib].map(([key, values]) => [key, spread(values)]));
  const names = Object.keys(versions);
  const p99 = (pick: (each: Neighbours) => number): Spread => spread(neighbours.map(pick));
  const ratio = p99(({ alone, beside }) => beside.p99Ms / alone.p99Ms);
  const limits: Limit[] = WIRES.map((wire) => ({
    what: `KiB for each idle connection, ${wire}`,
    value: spreads.get(`fairway ${wire}`)?.median ?? Number.NaN,
    max: KIB_MAX[wire],
  }));
  limits.push({
    what: `p99 of normal requests beside ${numbers.idle} idle connections, x alone`,
    value: ratio.median,
    max: P99_RATIO_MAX,
  });
  const failed = neighbours.reduce((sum, { alone, beside }) => sum + alone.failed + beside.failed, 0);
  return {
    versions,
    missing: [...missing],
    load: `own holder of connections; own open loop of ${RATE} requests per second over ${CONNECTIONS} connections`,
    table: {
      columns: ["proxy", ...WIRES.map((wire) => `KiB per connection, ${wire}`)],
      rows: names.map((name) => [name, ...WIRES.map((wire) => withRange(spreads.get(`${name} ${wire}`), 1))]),
    },
    limits,
    problems: failed === 0 ? [] : [`${failed} normal requests failed`],
    notes: [
      `Growth of resident memory from ${numbers.from} to ${numbers.to} connections, each idle after one request; new processes for each round.`,
      `p99 of normal requests: ${withRange(
        p99(({ alone }) => alone.p99Ms),
        2,
      )} ms alone, ${withRange(
        p99(({ beside }) => beside.p99Ms),
        2,
      )} ms beside ${numbers.idle} idle connections, ${withRange(ratio, 2)} x.`,
    ],
    plots: WIRES.map((wire) => ({
      kind: "bars",
      title: `Memory of an idle connection, ${wire}`,
      unit: "KiB, less is better",
      bars: names.flatMap((label) => {
        const value = spreads.get(`${label} ${wire}`);
        return value === undefined ? [] : [{ label, value }];
      }),
    })),
    rounds: { kib: Object.fromEntries(kib), neighbours },
  };
}

await runScenario({
  name: "memory",
  script: "bench:memory",
  title: "Memory of idle connections",
  question: "What does an idle connection keep in memory, and do many of them slow the others down?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds" },
    from: { default: 1_000, min: 100, help: "connections at the first look at memory" },
    to: { default: 5_000, min: 200, help: "connections at the second look" },
    idle: { default: 10_000, min: 1, help: "idle connections beside normal traffic" },
    seconds: { default: 4, min: 1, help: "of normal traffic in each measurement" },
  },
  peers: ["fairway", "nginx", "haproxy"],
  hasLoadChoice: false,
  async run({ numbers, peers, progress }) {
    requireDescriptors(Math.max(numbers.to, numbers.idle));
    const holder = new Holder();
    const measured = await measureSlopes(numbers, peers, holder, progress);
    const neighbours = peers.includes("fairway") ? await measureNeighbours(numbers, holder, progress) : [];
    return outcome(numbers, measured, neighbours);
  },
});
