// What the controller's thread and a worker tell each other. Plain data: every message is copied by structured clone.
// Messages to a worker are handled in order, so a table that was sent before `listen` serves the first connection.
import type { EndpointsIr } from "../../ir/routing.ts";
import type { ProxyCounts } from "../../metrics/proxy-metrics.ts";
import type { RouteCounts } from "../../metrics/request-metrics.ts";
import type { ProxyLimits } from "../limits.ts";
import type { SharedBuffers } from "../across-workers/shared-state.ts";
import type { KeyPair } from "../tls-contexts.ts";
import type { HealthReport } from "../upstream/health.ts";
import type { TableDelta } from "../../ir/table-parts.ts";

/** What a worker is started with (`workerData`). */
export interface WorkerStart {
  /** From 0. A replacement has the number of the worker it replaces. */
  readonly worker: number;
  readonly shared: SharedBuffers;
  readonly addresses: readonly string[];
  readonly limits: ProxyLimits;
  readonly allowsLoopback: boolean;
  readonly selfSigned: KeyPair;
  readonly ticketKeys: Uint8Array;
  /** Of the worker that it replaces: counters must not go back. */
  readonly counts: WorkerCounts | null;
}

export type ToWorker =
  | { readonly kind: "table"; readonly generation: number; readonly delta: TableDelta }
  | { readonly kind: "endpoints"; readonly generation: number; readonly changed: readonly EndpointsIr[] }
  | { readonly kind: "ticketKeys"; readonly keys: Uint8Array }
  | { readonly kind: "startDraining" }
  | { readonly kind: "ask"; readonly id: number; readonly question: Question };

/** Each is answered once, by `answer` or `failure`. */
export type Question =
  | { readonly kind: "listen"; readonly ports: WorkerPorts }
  /** Answered as soon as the event loop comes to it. */
  | { readonly kind: "ping" }
  | { readonly kind: "counts" }
  | { readonly kind: "health" }
  /** Answered when the listening sockets are closed. */
  | { readonly kind: "stopAccepting" }
  /** Answered with the number of connections that were cut. */
  | { readonly kind: "drain"; readonly deadlineMs: number };

export interface Answers {
  readonly listen: WorkerPorts;
  readonly ping: null;
  readonly counts: WorkerCounts;
  readonly health: readonly HealthReport[];
  readonly stopAccepting: null;
  readonly drain: number;
}

export type QuestionOf<Kind extends keyof Answers> = Extract<Question, { readonly kind: Kind }>;

export type FromWorker =
  /** The table of this generation takes every request that follows. */
  | { readonly kind: "applied"; readonly generation: number; readonly problems: readonly string[] }
  /** A bug: the table before it stays. */
  | { readonly kind: "notApplied"; readonly generation: number; readonly message: string }
  | { readonly kind: "bug"; readonly message: string }
  /** Sent in the moment of a crash. */
  | { readonly kind: "lastCounts"; readonly counts: WorkerCounts }
  | { readonly kind: "answer"; readonly id: number; readonly answer: Answers[keyof Answers] }
  /** `code`: that of the system, such as EADDRINUSE; empty when there is none. */
  | { readonly kind: "failure"; readonly id: number; readonly message: string; readonly code: string };

/** Before `listen` 0 asks for a free one. */
export interface WorkerPorts {
  readonly http: number;
  readonly https: number;
}

export interface WorkerCounts {
  readonly proxy: ProxyCounts;
  readonly routes: readonly RouteCounts[];
}
