// What a connection to an endpoint and its pool know of each other, free of any wire format.
import type { Clock } from "../../util/clock.ts";
import type { BufferedBytes } from "../buffered-bytes.ts";
import type { Deadlines } from "../deadlines.ts";
import type { ErrorCode } from "../errors.ts";
import type { ProxyLimits } from "../limits.ts";
import type { ReadBuffers } from "../read-buffers.ts";
import type { Upstream, UpstreamEvents } from "../ports.ts";

/** What the pools need of the proxy. */
export interface PoolServices {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly limits: ProxyLimits;
  readonly metrics: PoolMetrics;
  readonly readBuffers: ReadBuffers;
  readonly buffered: BufferedBytes;
  /** Something threw while no exchange was there to be told. */
  onBug(error: unknown): void;
}

export interface PoolMetrics {
  upstreamActive: number;
  upstreamIdle: number;
  upstreamOpened: number;
  upstreamConnectFailures: number;
}

export interface UpstreamTimeouts {
  readonly connectTimeoutMs: number;
  readonly sendTimeoutMs: number;
  readonly readTimeoutMs: number;
}

/** The pool, as a connection sees it. */
export interface ConnectionOwner {
  readonly key: string;
  readonly address: string;
  readonly port: number;
  readonly services: PoolServices;
  /** A response came. */
  onAlive(): void;
  /** A fresh connection ended, was too slow, or brought no HTTP, before the head of a response. */
  onExchangeFailed(detail: string): void;
  onConnectFailed(code: ErrorCode, detail: string): void;
  /** Called while `isIdle` still tells what the connection was. */
  onClosed(connection: PooledConnection): void;
  putIdle(connection: PooledConnection): void;
}

/** A connection, as its pool sees it. */
export interface PooledConnection extends Upstream {
  readonly isIdle: boolean;
  /** Takes an idle connection for another exchange. */
  reuse(events: UpstreamEvents, timeouts: UpstreamTimeouts): void;
}
