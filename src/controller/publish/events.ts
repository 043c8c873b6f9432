// Diagnostics as Events on the objects that they are about, so that `kubectl describe` shows them. Written by the leader
// only. The name of an Event follows from what it says, so that restarts and other replicas find it there instead of
// writing it again; one that stays true is renewed once an hour, which is also how long the API server keeps it.
import { createHash } from "node:crypto";
import { formatDiagnostic, type Diagnostic } from "../../ir/diagnostic.ts";
import type { ObjectRef } from "../../ir/object-ref.ts";
import { ApiError } from "../../kube-api/errors.ts";
import type { RequestLimit } from "../../kube-api/request-limit.ts";
import type { Cancel, Clock } from "../../util/clock.ts";
import { readKinds } from "../decode/kinds.ts";
import { backOffMs } from "../sources/kubernetes/back-off.ts";
import type { ApiReader } from "../sources/kubernetes/reflector.ts";
import { judgeWrite, type WriteFailure } from "./write-failure.ts";

export interface EventOptions {
  readonly client: Pick<ApiReader, "call">;
  readonly clock: Clock;
  /** Time of day. */
  readonly now: () => Date;
  /** 0 to 1. */
  readonly random: () => number;
  /** Of writes, beside the limit of all requests. */
  readonly limit: RequestLimit;
  /** Asked right before each write. */
  readonly isLeader: () => boolean;
  /** Empty: the object is not known. */
  readonly uidOf: (ref: ObjectRef) => string;
  /** Of this replica. */
  readonly identity: string;
  readonly listener: EventListener;
}

export interface EventListener {
  written(): void;
  failed(failure: WriteFailure): void;
  /** There are more diagnostics than `waitingMax`; the rest is told when some have been written. */
  dropped(count: number): void;
}

export const component = "fairway";
/** A diagnostic that stays is told again after this long. */
export const repeatMs = 3_600_000;
/** One whose Event was refused, perhaps because its namespace is being deleted. */
const refusedRetryMs = 300_000;
/** Diagnostics whose Event is still to be written. */
export const waitingMax = 1_000;
/** Events that are remembered as written. */
const toldMax = 20_000;
/** How often it is looked for diagnostics that are to be told again. */
const lookEveryMs = 60_000;
/** The API server takes no longer ones. */
const messageMaxLength = 1_024;
const reasonMaxLength = 128;
const timeoutMs = 10_000;

interface Told {
  readonly dueAtMs: number;
  /** How often we have written it; 0: never. */
  readonly count: number;
}

interface Telling {
  readonly diagnostic: Diagnostic;
  readonly uid: string;
}

export class EventWriter {
  readonly #options: EventOptions;
  #diagnostics: readonly Diagnostic[] = [];
  readonly #waiting = new Map<string, Telling>();
  readonly #told = new Map<string, Told>();
  #running: Promise<void> | null = null;
  /** Being written. */
  #current = "";
  #failures = 0;
  #pausedUntilMs = -Infinity;
  #cancelPause: Cancel | null = null;
  #cancelLook: Cancel | null = null;
  #isStopped = false;

  constructor(options: EventOptions) {
    this.#options = options;
  }

  start(): void {
    this.#cancelLook = this.#options.clock.every(lookEveryMs, () => this.look());
  }

  /** All that there are. */
  update(diagnostics: readonly Diagnostic[]): void {
    this.#diagnostics = diagnostics;
    this.look();
  }

  /** Writes what is due; to be called when this replica has become the leader. */
  look(): void {
    const { clock, isLeader, uidOf, listener } = this.#options;
    if (this.#isStopped || !isLeader()) return;
    this.#waiting.clear();
    let dropped = 0;
    for (const diagnostic of this.#diagnostics) {
      const { kind, namespace } = diagnostic.object;
      // Events lie in the namespace of their object.
      if (namespace === "" || !readKinds.has(kind)) continue;
      const uid = uidOf(diagnostic.object);
      if (uid === "") continue;
      const key = keyOf(diagnostic, uid);
      const told = this.#told.get(key);
      if (key === this.#current || (told !== undefined && told.dueAtMs > clock.nowMs())) continue;
      if (this.#waiting.size < waitingMax) this.#waiting.set(key, { diagnostic, uid });
      else dropped += 1;
    }
    if (dropped > 0) listener.dropped(dropped);
    this.#run();
  }

  /** Nothing is written after it has resolved. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelLook?.();
    this.#cancelPause?.();
    this.#waiting.clear();
    await this.#running;
  }

  #run(): void {
    if (this.#waiting.size === 0 || this.#pausedUntilMs > this.#options.clock.nowMs()) return;
    this.#running ??= this.#writeAll().finally(() => {
      this.#running = null;
      // What came between the last look at the list and now.
      if (!this.#isStopped) this.#run();
    });
  }

  /** One after the other: there is no hurry. Never rejects. */
  async #writeAll(): Promise<void> {
    const { clock, limit, isLeader } = this.#options;
    for (;;) {
      await limit.take();
      const [next] = this.#waiting;
      if (next === undefined || this.#isStopped || !isLeader()) {
        this.#waiting.clear();
        return;
      }
      const [key, telling] = next;
      this.#waiting.delete(key);
      this.#current = key;
      try {
        await this.#write(key, telling);
        this.#failures = 0;
        this.#options.listener.written();
      } catch (cause) {
        if (this.#onFailure(key, judgeWrite(cause))) return;
      } finally {
        this.#current = "";
      }
      // Whoever waited behind a full list.
      if (this.#waiting.size === 0 && this.#pausedUntilMs <= clock.nowMs()) this.look();
    }
  }

  async #write(key: string, telling: Telling): Promise<void> {
    const { now } = this.#options;
    const at = now()
      .toISOString()
      .replace(/\.\d+Z$/, "Z");
    const told = this.#told.get(key);
    const count = (told?.count ?? 0) + 1;
    if (count === 1 || !(await this.#renew(key, telling, { count, at }))) {
      await this.#create(key, telling, at);
    }
    this.#remember(key, { dueAtMs: this.#options.clock.nowMs() + repeatMs, count });
  }

  /** One that is there already was written before a restart, or by another replica. */
  async #create(key: string, { diagnostic, uid }: Telling, at: string): Promise<void> {
    const { namespace } = diagnostic.object;
    try {
      await this.#options.client.call({
        method: "POST",
        path: `/api/v1/namespaces/${namespace}/events`,
        body: eventOf(diagnostic, {
          uid,
          name: nameOf(diagnostic.object, key),
          at,
          by: this.#options.identity,
        }),
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      if (!(cause instanceof ApiError) || cause.reason !== "AlreadyExists") throw cause;
    }
  }

  /** False: it has expired. */
  async #renew(
    key: string,
    { diagnostic }: Telling,
    { count, at }: { count: number; at: string },
  ): Promise<boolean> {
    const { namespace } = diagnostic.object;
    try {
      await this.#options.client.call({
        method: "PATCH",
        path: `/api/v1/namespaces/${namespace}/events/${nameOf(diagnostic.object, key)}`,
        contentType: "application/merge-patch+json",
        body: { count, lastTimestamp: at },
        signal: AbortSignal.timeout(timeoutMs),
      });
      return true;
    } catch (cause) {
      if (cause instanceof ApiError && cause.status === 404) return false;
      throw cause;
    }
  }

  /** True: nothing more is to be written for the time being. */
  #onFailure(key: string, failure: WriteFailure): boolean {
    const { clock, random, listener } = this.#options;
    listener.failed(failure);
    if (!failure.isGeneral) {
      const count = this.#told.get(key)?.count ?? 0;
      this.#remember(key, { count, dueAtMs: clock.nowMs() + refusedRetryMs });
      return false;
    }
    this.#failures += 1;
    const pauseMs = Math.max(backOffMs(this.#failures, random), failure.retryAfterMs);
    this.#pausedUntilMs = clock.nowMs() + pauseMs;
    this.#cancelPause = clock.after(pauseMs, () => this.look());
    return true;
  }

  #remember(key: string, told: Told): void {
    // The last to be written is the last to be forgotten.
    this.#told.delete(key);
    this.#told.set(key, told);
    const [oldest] = this.#told.keys();
    if (this.#told.size > toldMax && oldest !== undefined) this.#told.delete(oldest);
  }
}

function keyOf(diagnostic: Diagnostic, uid: string): string {
  return `${uid} ${diagnostic.severity} ${formatDiagnostic(diagnostic)}`;
}

/** The same for the same words about the same object. */
function nameOf({ name }: ObjectRef, key: string): string {
  const hash = createHash("sha256").update(key).digest("hex").slice(0, 16);
  // 253 in all; a dot at the end of what is left would make two.
  return `${name.slice(0, 230).replace(/[^a-z0-9]+$/, "")}.${hash}`;
}

interface Written {
  readonly uid: string;
  readonly name: string;
  readonly at: string;
  readonly by: string;
}

function eventOf({ object, severity, reason, message, field }: Diagnostic, written: Written): unknown {
  const { uid, name, at, by } = written;
  const text = field === "" ? message : `${field}: ${message}`;
  return {
    apiVersion: "v1",
    kind: "Event",
    metadata: { name, namespace: object.namespace },
    involvedObject: {
      apiVersion: readKinds.get(object.kind),
      kind: object.kind,
      namespace: object.namespace,
      name: object.name,
      uid,
      ...(field === "" ? {} : { fieldPath: field }),
    },
    type: severity === "info" ? "Normal" : "Warning",
    reason: reason.slice(0, reasonMaxLength),
    message: text.length > messageMaxLength ? `${text.slice(0, messageMaxLength - 3)}...` : text,
    source: { component },
    firstTimestamp: at,
    lastTimestamp: at,
    count: 1,
    reportingComponent: component,
    reportingInstance: by.slice(0, 128),
  };
}
