// The client side of a benchmark: autocannon in a process of its own, which stays for the whole run so that its
// machine code is warm for every peer alike.
import { startModule, type Child } from "./children.ts";

export interface LoadJob {
  readonly url: string;
  /** Sent in turn on each connection. Default: the path of `url`. */
  readonly paths?: readonly string[];
  /** Dealt out to the connections, each of which sends its share in turn, instead of `paths` and `host`. */
  readonly requests?: readonly LoadRequest[];
  readonly connections: number;
  /** Longest time; `LoadRun.stop` ends it earlier. */
  readonly seconds: number;
  /** The authority in the request. */
  readonly host: string;
  /** SNI, for https. */
  readonly servername?: string;
}

export interface LoadRequest {
  readonly host: string;
  readonly path: string;
}

export interface LoadResult {
  /** Complete responses of any status. */
  readonly responses: number;
  readonly seconds: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly non2xx: number;
  /** Connections that failed, and requests without an answer for 10 s. */
  readonly connectionErrors: number;
  readonly timeouts: number;
  /** Requests that never got a complete response, those under way at the end not counted. */
  readonly lost: number;
}

export type LoadCommand =
  | { readonly kind: "start"; readonly id: number; readonly job: LoadJob }
  | { readonly kind: "stop"; readonly id: number };

export interface LoadReply {
  readonly id: number;
  readonly result: LoadResult;
}

/** Every way in which a request can have gone wrong, each request once. */
export function failures(result: LoadResult): number {
  return result.non2xx + Math.max(result.lost, result.connectionErrors + result.timeouts);
}

export interface LoadRun {
  readonly result: Promise<LoadResult>;
  stop(): void;
}

export class LoadGenerator {
  readonly #child: Child;
  readonly #waiting = new Map<number, (result: LoadResult) => void>();
  #nextId = 1;

  constructor() {
    this.#child = startModule("./lib/load-process.ts", []);
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

  #send(command: LoadCommand): void {
    this.#child.process.send(command);
  }
}
