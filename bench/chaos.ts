// `npm run bench:chaos`: what dies takes with it what was in flight there and nothing else. Under load, the real program
// with two workers loses a worker, then a backend, then half of the endpoints at once, each by a crash or `kill -9`; at
// last an endpoint leaves in order, which must cost nothing. Every failed request is accounted for by what the killed
// one had on hand. Exit code 1: a failure that nothing excuses, or a POST that came to two backends.
import fs from "node:fs";
import path from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import {
  accountOfBackends,
  accountOfPeace,
  accountOfWorker,
  doubles,
  problems,
  readRecord,
  type Account,
  type BackendRecord,
} from "./chaos/account.ts";
import type { LoadCommand, LoadResult } from "./chaos/messages.ts";
import { startModule, startServer, stop, temporaryDirectory, type Child } from "./lib/children.ts";
import { runScenario } from "./lib/command.ts";
import { startFairway, type Fairway } from "./lib/fairway.ts";
import { endpointSlices, ingress, ingressClass, service, toYaml } from "./lib/manifests.ts";
import { HOST } from "./lib/peers.ts";
import type { Table } from "./lib/result.ts";
import { packageVersion } from "./lib/versions.ts";

const PRELOAD = fileURLToPath(new URL("./chaos/crash-worker.ts", import.meta.url));
/** After an endpoint has left the table, for the last request to it to end. */
const LEAVE_MS = 300;
const PATIENCE_MS = 60_000;

interface Backend {
  readonly name: string;
  readonly port: number;
  readonly child: Child;
  readonly file: string;
}

class Clients {
  readonly child: Child = startModule("./chaos/load.ts", []);

  start(port: number, connections: number, phase: string): void {
    this.#send({ kind: "start", port, connections, phase });
  }

  stop(): Promise<LoadResult> {
    const answer = new Promise<LoadResult>((resolve) => {
      // Our own module sends nothing else.
      this.child.process.once("message", (message) => resolve(message as LoadResult));
    });
    this.#send({ kind: "stop" });
    return Promise.race([answer, this.child.died]);
  }

  #send(command: LoadCommand): void {
    this.child.process.send(command);
  }
}

class Chaos {
  readonly #fairway: Fairway;
  readonly #clients = new Clients();
  readonly #backends: readonly Backend[];
  readonly #manifests: string;
  readonly #portsFile: string;
  readonly #connections: number;
  readonly #halfMs: number;
  readonly #progress: (line: string) => void;
  #dead: readonly Backend[] = [];

  constructor(options: {
    fairway: Fairway;
    backends: readonly Backend[];
    manifests: string;
    portsFile: string;
    connections: number;
    halfMs: number;
    progress: (line: string) => void;
  }) {
    this.#fairway = options.fairway;
    this.#backends = options.backends;
    this.#manifests = options.manifests;
    this.#portsFile = options.portsFile;
    this.#connections = options.connections;
    this.#halfMs = options.halfMs;
    this.#progress = options.progress;
  }

  async undisturbed(): Promise<Account> {
    const phase = "nothing";
    return this.#told(accountOfPeace(phase, await this.#underLoad(phase, async () => undefined)));
  }

  async workerDies(): Promise<Account> {
    const phase = "a worker";
    fs.rmSync(this.#portsFile, { force: true });
    let killedAt = 0;
    const load = await this.#underLoad(phase, async () => {
      killedAt = Date.now();
      this.#fairway.child.process.kill("SIGUSR2");
      await until("the worker has died", () => fs.existsSync(this.#portsFile));
      await until("it is replaced", async () => (await this.#workers()) === 2);
    });
    const pairs = fs.readFileSync(this.#portsFile, "utf8").split("\n");
    const ours = pairs.map((pair) => pair.split(" ").map(Number));
    const clients = ours
      .filter(([local]) => local === this.#fairway.httpPort)
      .map(([, remote]) => remote ?? 0);
    return this.#told(accountOfWorker(phase, load, { killedAt, ports: new Set(clients) }));
  }

  async backendsDie(phase: string, count: number): Promise<Account> {
    const victims = this.#living.slice(0, count);
    let [killedAt, goneAt] = [0, 0];
    const load = await this.#underLoad(phase, async () => {
      killedAt = Date.now();
      for (const { child } of victims) child.process.kill("SIGKILL");
      await Promise.all(victims.map(({ child }) => child.died.catch(() => undefined)));
      goneAt = Date.now();
    });
    this.#dead = [...this.#dead, ...victims];
    const dead = victims.map(recordOf);
    return this.#told(
      accountOfBackends(phase, load, { killedAt, goneAt, dead, living: this.#living.map(recordOf) }),
    );
  }

  /** In order: it leaves the table, ends what it has, and only then the process goes. */
  async endpointLeaves(): Promise<Account> {
    const phase = "none, it leaves in order";
    const [leaving, ...staying] = this.#living;
    if (leaving === undefined || staying.length === 0) throw new Error("there are too few backends left");
    const load = await this.#underLoad(phase, async () => {
      writeEndpoints(this.#manifests, staying);
      let seen = -1;
      await until("it has no requests", async () => {
        await sleep(LEAVE_MS);
        const { begun, answered } = recordOf(leaving);
        const isStill = begun.size === seen && begun.size === answered.size;
        seen = begun.size;
        return isStill;
      });
      leaving.child.process.kill("SIGKILL");
      await leaving.child.died.catch(() => undefined);
      this.#dead = [...this.#dead, leaving];
    });
    return this.#told(accountOfPeace(phase, load));
  }

  async stop(): Promise<void> {
    const processes = [this.#fairway.child, this.#clients.child, ...this.#living.map(({ child }) => child)];
    await Promise.all(processes.map(stop));
  }

  get #living(): readonly Backend[] {
    return this.#backends.filter((each) => !this.#dead.includes(each));
  }

  get records(): readonly BackendRecord[] {
    return this.#backends.map(recordOf);
  }

  /** `disturb` in the middle of the load. */
  async #underLoad(phase: string, disturb: () => Promise<void>): Promise<LoadResult> {
    this.#clients.start(this.#fairway.httpPort, this.#connections, phase);
    await Promise.race([sleep(this.#halfMs), this.#fairway.child.died]);
    await Promise.race([disturb(), this.#fairway.child.died]);
    await Promise.race([sleep(this.#halfMs), this.#fairway.child.died]);
    return this.#clients.stop();
  }

  async #workers(): Promise<number> {
    const text = await (await fetch(`http://127.0.0.1:${this.#fairway.adminPort}/metrics`)).text();
    const restarts = /^fairway_worker_restarts_total\{[^}]*\} (\d+)$/m.exec(text);
    return restarts === null ? 0 : Number(/^fairway_workers (\d+)$/m.exec(text)?.[1]);
  }

  #told(account: Account): Account {
    const { phase, requests, failed, inFlight } = account;
    const most = inFlight < 0 ? "none may" : `${inFlight} were in flight`;
    this.#progress(`${phase}: ${failed} of ${requests} failed, ${most}`);
    return account;
  }
}

function recordOf({ file }: Backend): BackendRecord {
  return readRecord(fs.readFileSync(file, "utf8"));
}

async function until(what: string, check: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`waited too long until ${what}`);
    await sleep(10);
  }
}

/** By a rename, so that no half of it is read. */
function writeEndpoints(directory: string, backends: readonly Backend[]): void {
  const file = path.join(directory, "endpoints.yaml");
  fs.writeFileSync(
    `${file}.new`,
    toYaml(
      ...endpointSlices(
        "chaos",
        backends.map(({ port }) => port),
      ),
    ),
  );
  fs.renameSync(`${file}.new`, file);
}

async function startChaos(
  numbers: { readonly backends: number; readonly connections: number; readonly milliseconds: number },
  progress: (line: string) => void,
): Promise<Chaos> {
  const records = temporaryDirectory();
  const manifests = temporaryDirectory();
  const portsFile = path.join(records, "ports");
  const backends = await startBackends(numbers.backends, records);
  fs.writeFileSync(
    path.join(manifests, "chaos.yaml"),
    toYaml(
      ingressClass(),
      service("chaos"),
      ingress({ name: "chaos", host: HOST, path: "/", service: "chaos" }),
    ),
  );
  writeEndpoints(manifests, backends);
  const fairway = await startFairway(manifests, 2, [], {
    NODE_OPTIONS: `--import=${PRELOAD}`,
    FAIRWAY_CHAOS_RECORD: portsFile,
  });
  const { connections, milliseconds } = numbers;
  return new Chaos({ fairway, backends, manifests, portsFile, connections, halfMs: milliseconds, progress });
}

async function startBackends(count: number, directory: string): Promise<Backend[]> {
  return Promise.all(
    Array.from({ length: count }, async (_, i) => {
      const file = path.join(directory, `backend-${i}`);
      const { child, port } = await startServer("./chaos/backend.ts", [file]);
      return { name: `backend ${i}`, port, child, file };
    }),
  );
}

function tableOf(accounts: readonly Account[]): Table {
  const rows = accounts.map(({ phase, requests, failed, inFlight, unexcused }) => [
    phase,
    String(requests),
    inFlight < 0 ? "-" : String(inFlight),
    String(failed),
    String(unexcused.length),
  ]);
  return { columns: ["what dies", "requests", "in flight there", "failed", "of these not in flight"], rows };
}

await runScenario({
  name: "chaos",
  script: "bench:chaos",
  title: "Losing a worker, a backend, and half of the endpoints",
  question: "When something is killed under load, is anything lost but what was in flight on it?",
  numbers: {
    backends: { default: 8, min: 5, help: "backend processes" },
    connections: { default: 48, min: 4, help: "keep-alive connections of clients" },
    rounds: { default: 3, min: 1, help: "how often each kind of death is repeated" },
    milliseconds: { default: 1500, min: 100, help: "of load before and after each death" },
  },
  peers: [],
  hasLoadChoice: false,
  async run({ numbers, progress }) {
    const accounts: Account[] = [];
    const repeated: string[] = [];
    for (let round = 1; round <= numbers.rounds; round += 1) {
      const chaos = await startChaos(numbers, progress);
      accounts.push(await chaos.undisturbed());
      accounts.push(await chaos.workerDies());
      accounts.push(await chaos.backendsDie("one backend", 1));
      accounts.push(await chaos.backendsDie("half of the endpoints", Math.ceil((numbers.backends - 1) / 2)));
      accounts.push(await chaos.endpointLeaves());
      repeated.push(...doubles(chaos.records));
      await chaos.stop();
    }
    return {
      versions: { fairway: packageVersion() },
      missing: [],
      load: "clients of node:http, each waiting for its answer before it asks again",
      table: tableOf(accounts),
      limits: [
        {
          what: "requests that failed without having been in flight on what died",
          value: accounts.reduce((sum, { unexcused }) => sum + unexcused.length, 0),
          max: 0,
        },
        { what: "POST requests that came to two backends", value: repeated.length, max: 0 },
      ],
      problems: problems(accounts, repeated),
      notes: [
        "A GET that was in flight is sent to another endpoint, as far as the budget for retries goes and nothing of its response has been passed on; a POST never is.",
      ],
      plots: [],
      rounds: accounts,
    };
  },
});
