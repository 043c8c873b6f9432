// What a load is asked to do and what it reports, whichever program makes it.

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
  /** Every request says `Connection: close`, so each has a connection of its own. */
  readonly isClosing?: boolean;
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

/** Every way in which a request can have gone wrong, each request once. */
export function failures(result: LoadResult): number {
  return result.non2xx + Math.max(result.lost, result.connectionErrors + result.timeouts);
}

export interface LoadRun {
  readonly result: Promise<LoadResult>;
  stop(): void;
}

/** Jobs run in processes of their own. */
export interface LoadSource {
  readonly name: "autocannon" | "wrk";
  readonly version: string;
  start(job: LoadJob): LoadRun;
  /** CPU time that making the load has taken so far, in microseconds; NaN without Linux's /proc. */
  cpuTimeUs(): number;
}
