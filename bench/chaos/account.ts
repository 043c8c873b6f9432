// Who lost what: every failed request must have been in flight at what was killed, at that instant. Pure.
import type { Failure, LoadResult } from "./messages.ts";

/** What one backend wrote down. */
export interface BackendRecord {
  readonly begun: ReadonlySet<string>;
  readonly posts: ReadonlySet<string>;
  readonly answered: ReadonlySet<string>;
}

export function readRecord(text: string): BackendRecord {
  const begun = new Set<string>();
  const posts = new Set<string>();
  const answered = new Set<string>();
  for (const line of text.split("\n")) {
    const [kind, id = ""] = line.split(" ");
    if (kind === "answered") answered.add(id);
    if (kind === "get" || kind === "post") begun.add(id);
    if (kind === "post") posts.add(id);
  }
  return { begun, posts, answered };
}

export interface Account {
  readonly phase: string;
  readonly requests: number;
  readonly failed: number;
  /** At what was killed, when it was killed; of a worker its connections. -1: nothing was killed. */
  readonly inFlight: number;
  /** Failures that nothing excuses, in words. */
  readonly unexcused: readonly string[];
}

/**
 * A request may go to a process that dies before it reads it: no record can have it. So may one right after the death,
 * while the proxy has the end of the connection still to be read.
 */
const UNREAD_MS = 100;

export interface BackendDeath {
  readonly killedAt: number;
  /** When the last of them was seen to be gone. */
  readonly goneAt: number;
  readonly dead: readonly BackendRecord[];
  readonly living: readonly BackendRecord[];
}

export function accountOfBackends(phase: string, load: LoadResult, death: BackendDeath): Account {
  const { dead, living, killedAt, goneAt } = death;
  const began = (records: readonly BackendRecord[], id: string): boolean =>
    records.some(({ begun }) => begun.has(id));
  const wasUnread = ({ id, sentAt }: Failure): boolean =>
    !began(dead, id) && !began(living, id) && sentAt <= goneAt + UNREAD_MS;
  const wasUnanswered = (id: string): boolean =>
    dead.some(({ begun, answered }) => begun.has(id) && !answered.has(id));
  const known = dead.flatMap(({ begun }) => [...begun].filter(wasUnanswered));
  const unread = load.failures.filter(wasUnread);
  return close(
    phase,
    load,
    known.length + unread.length,
    (failure) => failure.failedAt >= killedAt && (wasUnanswered(failure.id) || wasUnread(failure)),
  );
}

/** `ports`: clients' ends of the connections that the worker had. */
export function accountOfWorker(
  phase: string,
  load: LoadResult,
  { killedAt, ports }: { readonly killedAt: number; readonly ports: ReadonlySet<number> },
): Account {
  return close(
    phase,
    load,
    ports.size,
    ({ localPort, failedAt }) => ports.has(localPort) && failedAt >= killedAt,
  );
}

/** Nothing was killed, so nothing may fail. */
export function accountOfPeace(phase: string, load: LoadResult): Account {
  return close(phase, load, -1, () => false);
}

function close(
  phase: string,
  load: LoadResult,
  inFlight: number,
  isExcused: (failure: Failure) => boolean,
): Account {
  const unexcused = load.failures
    .filter((failure) => !isExcused(failure))
    .map(
      ({ id, method, what, sentAt, failedAt }) => `${method} ${id}: ${what} after ${failedAt - sentAt} ms`,
    );
  return { phase, requests: load.requests, failed: load.failures.length, inFlight, unexcused };
}

/** POST requests that came to more than one backend: each might have been done twice. */
export function doubles(records: readonly BackendRecord[]): string[] {
  const seen = new Set<string>();
  const found = new Set<string>();
  for (const { posts } of records) {
    for (const id of posts) (seen.has(id) ? found : seen).add(id);
  }
  return [...found];
}

const SHOWN = 5;

export function problems(accounts: readonly Account[], repeated: readonly string[]): string[] {
  const found = accounts.flatMap(({ phase, unexcused, inFlight }) => [
    ...(unexcused.length === 0
      ? []
      : [
          `${phase}: ${unexcused.length} failed that were not in flight: ${unexcused.slice(0, SHOWN).join("; ")}`,
        ]),
    ...(inFlight === 0 ? [`${phase}: nothing was in flight, which proves nothing`] : []),
  ]);
  if (repeated.length > 0)
    found.push(`POST requests that came to two backends: ${repeated.slice(0, SHOWN).join(", ")}`);
  return found;
}
