// What the runner and its two helper processes say to each other over IPC.

export const ATTACKS = ["slowloris", "slow bodies", "slow readers", "idle"] as const;
export type Attack = (typeof ATTACKS)[number];

/** Of a normal response. */
export const CONTENT_BYTES = 1024;
/** What slow readers ask for. */
export const LARGE_PATH = "/large";

/** Attackers arrive evenly over this time: what is asked is what it costs to hold them, not what a burst costs. */
export const ARRIVAL_SECONDS = 4;

export type AttackCommand =
  | { readonly kind: "start"; readonly attack: Attack; readonly count: number; readonly port: number }
  | { readonly kind: "stop"; readonly attack: Attack };

export type AttackReply =
  /** Every connection is made and has sent what its attack begins with. */
  | { readonly kind: "under way"; readonly attack: Attack }
  | { readonly kind: "done"; readonly result: AttackResult };

export interface AttackResult {
  readonly attack: Attack;
  readonly opened: number;
  /** Connections that could not be made. */
  readonly failed: number;
  /** Seconds from the start of the clock that the limit runs by to the end of each connection that was ended. */
  readonly cutSeconds: readonly number[];
  /** By the status that came before the end; "none" for an end without an answer. */
  readonly statuses: Readonly<Record<string, number>>;
}

export type LoadCommand =
  | { readonly kind: "start"; readonly port: number; readonly rate: number; readonly connections: number }
  | { readonly kind: "stop" };

/** Latencies count from the moment at which a request was due, so that what waits is not left out. */
export interface LoadResult {
  readonly requests: number;
  readonly failed: number;
  readonly failures: readonly string[];
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}
