// `npm run bench:tls`: what TLS costs (requests on keep-alive connections, full and resumed handshakes) beside other
// proxies, and whether a session is taken up by whichever worker the next connection meets.
import { startServer, stop } from "./lib/children.ts";
import { runScenario, type Context } from "./lib/command.ts";
import { chooseLoad } from "./lib/load-source.ts";
import type { LoadSource } from "./lib/load.ts";
import { Handshakes, TLS_VERSIONS, type HandshakeResult, type TlsVersion } from "./lib/handshakes.ts";
import {
  failureProblems,
  interleave,
  measure,
  ratio,
  spreads,
  warmUp,
  WARM_UP_RESPONSES,
  withCpu,
  type Measurement,
  type Rounds,
} from "./lib/measure.ts";
import { HOST, startPeers, type Peer } from "./lib/peers.ts";
import { isCpuMeasurable } from "./lib/process-tree.ts";
import { withRange, type Limit, type Outcome } from "./lib/result.ts";
import { spread } from "./lib/statistics.ts";
import type { BarPlot } from "./lib/svg.ts";

const CONTENT_BYTES = 1024;
const KEEP_ALIVE_RATIO_MAX = 1.15;
const HANDSHAKE_RATIO_MAX = 1.4;
/** Handshakes at a time: enough to keep a worker busy, few enough that the client's queue stays short. */
const HANDSHAKE_CONNECTIONS = 16;
const RESUMPTION_WORKERS = 2;
/** Of a measurement of requests, in measurements of handshakes: those of its connections are not what it is for. */
const REQUESTS_LENGTH = 2;

type Numbers = "rounds" | "seconds" | "connections";

interface HandshakeMeasurement {
  readonly result: HandshakeResult;
  /** For each completed handshake. */
  readonly cpuUs: number;
}

interface Kind {
  readonly version: TlsVersion;
  readonly isResuming: boolean;
}

const KINDS: readonly Kind[] = [false, true].flatMap((isResuming) =>
  TLS_VERSIONS.map((version) => ({ version, isResuming })),
);

function kindName({ version, isResuming }: Kind): string {
  return `${isResuming ? "resumed" : "full"} handshake, ${version.replace("TLSv", "TLS ")}`;
}

async function run(context: Context<Numbers>): Promise<Outcome> {
  const { progress, numbers } = context;
  const backend = await startServer("./lib/backend.ts", [String(CONTENT_BYTES)]);
  const options = { backendPort: backend.port, contentBytes: CONTENT_BYTES, progress };
  const { peers, versions, missing } = await startPeers(context.peers, options);
  const { requests, source, text } = await measureRequests(context, peers);
  const clients = new Handshakes();
  const handshakes = new Map<Kind, Rounds<HandshakeMeasurement>>();
  for (const kind of KINDS) {
    progress(kindName(kind));
    handshakes.set(kind, await measureHandshakes(kind, { peers, clients, context }));
  }
  for (const { child } of peers) await stop(child);
  const resumption = context.peers.includes("fairway")
    ? await measureResumption(backend.port, clients, context)
    : [];
  const problems = [...failureProblems(requests), ...handshakeProblems(handshakes)];
  if (!isCpuMeasurable()) problems.push("CPU time is not measured: it takes Linux's /proc");
  const { table, limits, plots } = report(requests, handshakes);
  return {
    versions: { ...versions, [source.name]: source.version },
    missing,
    load: `requests: ${text}; handshakes: Node's TLS client (lib/handshakes-process.ts)`,
    table,
    limits: [...limits, ...resumption],
    problems,
    notes: [
      "CPU microseconds of the proxy; medians of the rounds, in parentheses the lowest and the highest round.",
      `Requests: ${numbers.connections} keep-alive connections, ${CONTENT_BYTES} bytes of content.`,
      `Handshakes: ECDSA P-256, with SNI, ${HANDSHAKE_CONNECTIONS} at a time, no request; ciphers: ${ciphers(handshakes)}.`,
      `Resumption across workers: ${RESUMPTION_WORKERS} workers of Fairway, every connection offers the session that the one before it was given.`,
    ],
    plots,
    rounds: {
      requests: Object.fromEntries(requests),
      handshakes: Object.fromEntries(
        [...handshakes].map(([kind, rounds]) => [kindName(kind), Object.fromEntries(rounds)]),
      ),
    },
  };
}

interface RequestRounds {
  readonly requests: Rounds<Measurement>;
  readonly source: LoadSource;
  readonly text: string;
}

async function measureRequests(
  { numbers, load, progress }: Context<Numbers>,
  peers: readonly Peer[],
): Promise<RequestRounds> {
  const { connections, rounds } = numbers;
  const seconds = numbers.seconds * REQUESTS_LENGTH;
  const measureOne = (source: LoadSource, { child, httpsPort }: Peer): Promise<Measurement> => {
    const url = `https://127.0.0.1:${httpsPort}/`;
    return measure(child, source, { url, connections, seconds, host: HOST, servername: HOST });
  };
  const all = (source: LoadSource, count: number): Promise<Rounds<Measurement>> =>
    interleave({
      contenders: peers,
      rounds: count,
      warmUps: 0,
      measure: (peer) => measureOne(source, peer),
      show: ({ cpuUs }) => `${cpuUs.toFixed(1)} us`,
      progress,
    });
  const { source, text } = await chooseLoad(load, (trial) => all(trial, 1));
  await warmUp(peers, WARM_UP_RESPONSES, (peer) => measureOne(source, peer));
  return { requests: await all(source, rounds), source, text };
}

interface HandshakeOptions {
  readonly peers: readonly Peer[];
  readonly clients: Handshakes;
  readonly context: Context<Numbers>;
}

function measureHandshakes(
  { version, isResuming }: Kind,
  { peers, clients, context }: HandshakeOptions,
): Promise<Rounds<HandshakeMeasurement>> {
  const { numbers, progress } = context;
  const job = { servername: HOST, version, isResuming, connections: HANDSHAKE_CONNECTIONS };
  return interleave({
    contenders: peers,
    rounds: numbers.rounds,
    measure: async ({ child, httpsPort }) => {
      const start = () => clients.run({ ...job, port: httpsPort, seconds: numbers.seconds });
      const { value: result, cpuUs } = await withCpu(child, start);
      return { result, cpuUs: cpuUs / result.completed };
    },
    show: ({ cpuUs }) => `${cpuUs.toFixed(0)} us`,
    progress,
  });
}

/** Each share must be 1: a single connection that is not resumed is a worker that does not know the keys. */
async function measureResumption(
  backendPort: number,
  clients: Handshakes,
  { progress, numbers }: Context<Numbers>,
): Promise<Limit[]> {
  const options = { backendPort, contentBytes: CONTENT_BYTES, fairwayWorkers: RESUMPTION_WORKERS, progress };
  const { peers } = await startPeers(["fairway"], options);
  const limits: Limit[] = [];
  for (const version of TLS_VERSIONS) {
    for (const { child, httpsPort: port } of peers) {
      const job = { port, servername: HOST, version, isResuming: true, seconds: numbers.seconds };
      const result = await Promise.race([
        clients.run({ ...job, connections: HANDSHAKE_CONNECTIONS }),
        child.died,
      ]);
      // The first connection had no session to offer.
      const offered = result.completed - 1 + result.failed;
      progress(`${RESUMPTION_WORKERS} workers, ${version}: ${result.resumed} of ${offered} resumed`);
      const name = version.replace("TLSv", "TLS ");
      limits.push({
        what: `Share of connections resumed across ${RESUMPTION_WORKERS} workers, ${name}`,
        value: result.resumed / offered,
        min: 1,
      });
    }
  }
  return limits;
}

function handshakeProblems(handshakes: ReadonlyMap<Kind, Rounds<HandshakeMeasurement>>): string[] {
  return [...handshakes].flatMap(([kind, rounds]) =>
    [...rounds].flatMap(([name, values]) => {
      const failed = values.filter(({ result }) => result.failed > 0);
      const first = failed[0]?.result.failure;
      const problems = failed.length === 0 ? [] : [`${name}, ${kindName(kind)}: handshakes failed: ${first}`];
      // Caddy gives out tickets too; a peer that does not resume would be compared in other work.
      const others = values.filter(({ result }) => {
        return kind.isResuming ? result.resumed < result.completed - 1 : result.resumed > 0;
      });
      if (others.length > 0) problems.push(`${name}: not every one was a ${kindName(kind)}`);
      return problems;
    }),
  );
}

function ciphers(handshakes: ReadonlyMap<Kind, Rounds<HandshakeMeasurement>>): string {
  const found = [...handshakes].flatMap(([{ isResuming }, rounds]) =>
    isResuming ? [] : [...rounds].map(([name, values]) => `${name} ${values[0]?.result.cipher}`),
  );
  return found.join(", ");
}

function report(
  requests: Rounds<Measurement>,
  handshakes: ReadonlyMap<Kind, Rounds<HandshakeMeasurement>>,
): Pick<Outcome, "table" | "limits"> & { plots: BarPlot[] } {
  const names = [...requests.keys()];
  const all: [string, number | undefined, Rounds<{ readonly cpuUs: number }>][] = [
    ["keep-alive request", KEEP_ALIVE_RATIO_MAX, requests],
    ...[...handshakes].map(
      ([kind, rounds]): [string, number | undefined, Rounds<{ readonly cpuUs: number }>] => [
        kindName(kind),
        kind.isResuming ? undefined : HANDSHAKE_RATIO_MAX,
        rounds,
      ],
    ),
  ];
  const cpuOf = ({ cpuUs }: { readonly cpuUs: number }): number => cpuUs;
  const rows: string[][] = [];
  const limits: Limit[] = [];
  const plots: BarPlot[] = [];
  for (const [what, max, rounds] of all) {
    const cpu = spreads(rounds, cpuOf);
    const found = ratio(rounds, ["fairway", "nginx"], cpuOf);
    rows.push([what, ...names.map((name) => withRange(cpu.get(name), 1)), withRange(found, 2)]);
    if (found !== undefined && max !== undefined)
      limits.push({ what: `CPU per ${what}, x nginx`, value: found.median, max });
    plots.push({
      kind: "bars",
      title: `CPU time of the proxy: ${what}`,
      unit: "microseconds, less is better",
      bars: [...rounds].map(([label, values]) => ({ label, value: spread(values.map(cpuOf)) })),
    });
  }
  return { table: { columns: ["CPU us of", ...names, "fairway x nginx"], rows }, limits, plots };
}

await runScenario({
  name: "tls",
  script: "bench:tls",
  title: "TLS",
  question: "What do requests and handshakes cost over TLS, compared with other proxies?",
  numbers: {
    rounds: { default: 5, min: 1, help: "measured rounds of each kind; each runs every peer once" },
    seconds: {
      default: 1.5,
      min: 0.2,
      isFraction: true,
      help: "length of one measurement of handshakes; of requests twice that",
    },
    connections: { default: 64, min: 1, help: "keep-alive connections of the load of requests" },
  },
  peers: ["fairway", "nginx", "haproxy", "caddy"],
  hasLoadChoice: true,
  run,
});
