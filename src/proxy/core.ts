// What every exchange of a proxy shares. proxy.ts makes one; nothing in it knows a single request.
import { randomFillSync } from "node:crypto";
import type { ProxyMetrics } from "../metrics/proxy-metrics.ts";
import type { Clock } from "../util/clock.ts";
import type { Admission } from "./admission/admission.ts";
import type { Refusals } from "./admission/refusals.ts";
import type { BufferedBytes } from "./buffered-bytes.ts";
import type { ContentBuffers } from "./content-buffer.ts";
import type { Deadlines } from "./deadlines.ts";
import type { ProxyLimits } from "./limits.ts";
import type { Live } from "./live.ts";
import type { ReadBuffers } from "./read-buffers.ts";
import type { RetryBudget } from "./retry-budget.ts";
import type { UpstreamPools } from "./upstream/pool.ts";

export interface ProxyCore {
  readonly clock: Clock;
  readonly deadlines: Deadlines;
  readonly limits: ProxyLimits;
  readonly metrics: ProxyMetrics;
  readonly pools: UpstreamPools;
  readonly retryBudget: RetryBudget;
  readonly contentBuffers: ContentBuffers;
  readonly readBuffers: ReadBuffers;
  readonly buffered: BufferedBytes;
  /** Null until the first table: every request gets 503, since nothing is known yet. */
  live: Live | null;
  readonly admission: Admission;
  readonly refusals: Refusals;
  /** An address of this machine and one of our own ports: a request sent there would come back to us. */
  isOwnListener(address: string, port: number): boolean;
  /** From the start of a shutdown: responses end their connections. */
  isDraining: boolean;
  /** An assertion failed or something threw inside a connection, which is closed for it. */
  onBug(error: unknown): void;
}

/** Seconds a client waits before it tries again after a 503 (RFC 9110, 10.2.3). */
export const retryAfterSeconds = 5;

const idBytes = 16;
/** Random bytes are drawn for 512 ids at a time: one call each costs more than the rest of an id. */
const idPool = Buffer.allocUnsafeSlow(idBytes * 512);
let idOffset = idPool.length;

/** 32 hexadecimal digits, as ingress-nginx makes them. */
export function nextRequestId(): string {
  if (idOffset === idPool.length) {
    randomFillSync(idPool);
    idOffset = 0;
  }
  const id = idPool.toString("hex", idOffset, idOffset + idBytes);
  idOffset += idBytes;
  return id;
}

let dateSecond = -1;
let dateText = "";

/** The value of Date (RFC 9110, 5.6.7), made once a second. */
export function httpDate(): string {
  const now = Date.now();
  const second = Math.floor(now / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(now).toUTCString();
  }
  return dateText;
}
