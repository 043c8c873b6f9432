// Load by wrk, for where autocannon would be what is measured. One process for each job: it has no JavaScript to warm.
import fs from "node:fs";
import path from "node:path";
import { startProgram, temporaryDirectory, type Child } from "./children.ts";
import type { LoadJob, LoadResult, LoadRun, LoadSource } from "./load.ts";
import { cpuTimeUs, isCpuMeasurable } from "./process-tree.ts";
import { programVersion } from "./versions.ts";

/** Before the end wrk's CPU is read for the last time: afterwards the process is gone. */
const LAST_LOOK_MS = 60;

/** Written by `done` of the script below. */
interface Summary {
  readonly responses: number;
  readonly microseconds: number;
  readonly p50: number;
  readonly p99: number;
  readonly connect: number;
  readonly read: number;
  readonly write: number;
  readonly status: number;
  readonly timeout: number;
}

export class Wrk implements LoadSource {
  readonly name = "wrk";
  readonly version: string;
  readonly #directory = temporaryDirectory();
  #cpuUs = 0;

  private constructor(version: string) {
    this.version = version;
  }

  /** Undefined: it is not installed. */
  static find(): Wrk | undefined {
    const version = programVersion("wrk", "-v");
    return version === undefined ? undefined : new Wrk(version);
  }

  start(job: LoadJob): LoadRun {
    const script = path.join(this.#directory, "script.lua");
    const output = path.join(this.#directory, "result.json");
    fs.rmSync(output, { force: true });
    fs.writeFileSync(script, luaScript(job, output));
    // wrk counts in whole seconds; SIGINT ends it earlier, and then it reports as at any other end.
    const duration = `${Math.ceil(job.seconds)}s`;
    const args = ["-t", "1", "-c", String(job.connections), "-d", duration, "-s", script, job.url];
    const child = startProgram("wrk", "wrk", args);
    const end = setTimeout(() => child.process.kill("SIGINT"), job.seconds * 1000);
    const look = setTimeout(() => this.#addCpu(child), job.seconds * 1000 - LAST_LOOK_MS);
    const ended = new Promise<LoadResult>((resolve, reject) => {
      child.process.once("exit", (code) => {
        clearTimeout(end);
        clearTimeout(look);
        if (code === 0 && fs.existsSync(output)) resolve(parse(fs.readFileSync(output, "utf8")));
        else reject(new Error(`wrk ended with code ${code}:\n${child.output()}`));
      });
    });
    const stop = (): void => {
      this.#addCpu(child);
      child.process.kill("SIGINT");
    };
    return { result: ended, stop };
  }

  cpuTimeUs(): number {
    return isCpuMeasurable() ? this.#cpuUs : Number.NaN;
  }

  #addCpu(child: Child): void {
    if (isCpuMeasurable()) this.#cpuUs += cpuTimeUs(child.pid);
  }
}

/** Requests are made once and taken in turn by whichever connection is free. */
function luaScript(job: LoadJob, output: string): string {
  const { host, paths, requests } = job;
  const path = new URL(job.url).pathname;
  const all = requests ?? (paths ?? [path]).map((each) => ({ host, path: each }));
  const closing = job.isClosing === true ? ', ["Connection"] = "close"' : "";
  const formats = all.map(
    (each) =>
      `requests[#requests + 1] = wrk.format("GET", "${each.path}", { ["Host"] = "${each.host}"${closing} })`,
  );
  return `
local requests = {}
local next = 0
init = function(args)
  ${formats.join("\n  ")}
end
request = function()
  next = next % #requests + 1
  return requests[next]
end
done = function(summary, latency, requests)
  local file = io.open("${output}", "w")
  local e = summary.errors
  file:write(string.format('{"responses":%d,"microseconds":%d,"p50":%f,"p99":%f,', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99)))
  file:write(string.format('"connect":%d,"read":%d,"write":%d,"status":%d,"timeout":%d}', e.connect, e.read, e.write,
    e.status, e.timeout))
  file:close()
end
`;
}

function parse(text: string): LoadResult {
  const summary = JSON.parse(text) as Summary;
  return {
    responses: summary.responses,
    seconds: summary.microseconds / 1e6,
    p50Ms: summary.p50 / 1000,
    p99Ms: summary.p99 / 1000,
    non2xx: summary.status,
    connectionErrors: summary.connect + summary.read + summary.write,
    timeouts: summary.timeout,
    // wrk does not tell; a connection that breaks under a request counts as a read error.
    lost: 0,
  };
}
