// Load by autocannon, in a process of its own, which stays for the whole run so that its machine code is warm for every
// peer alike.
import { startModule, type Child } from "./children.ts";
import type { LoadJob, LoadResult, LoadRun, LoadSource } from "./load.ts";
import { packageVersion } from "./versions.ts";
import { cpuTimeUs, isCpuMeasurable } from "./process-tree.ts";

export type LoadCommand =
  | { readonly kind: "start"; readonly id: number; readonly job: LoadJob }
  | { readonly kind: "stop"; readonly id: number };

export interface LoadReply {
  readonly id: number;
  readonly result: LoadResult;
}

export class Autocannon implements LoadSource {
  readonly name = "autocannon";
  readonly version = packageVersion("autocannon");
  readonly #child: Child;
  readonly #waiting = new Map<number, (result: LoadResult) => void>();
  #nextId = 1;

  constructor() {
    this.#child = startModule("./lib/autocannon-process.ts", []);
    this.#child.process.on("message", (message) => {
      // Our own module sends nothing else.
      const reply = message as LoadReply;
      this.#waiting.get(reply.id)?.(reply.result);
      this.#waiting.delete(reply.id);
    });
  }

  start(job: LoadJob): LoadRun {
    const id = this.#nextId;
    this.#nextId += 1;
    const finished = new Promise<LoadResult>((resolve) => this.#waiting.set(id, resolve));
    this.#send({ kind: "start", id, job });
    return {
      result: Promise.race([finished, this.#child.died]),
      stop: () => this.#send({ kind: "stop", id }),
    };
  }

  cpuTimeUs(): number {
    return isCpuMeasurable() ? cpuTimeUs(this.#child.pid) : Number.NaN;
  }

  #send(command: LoadCommand): void {
    this.#child.process.send(command);
  }
}
