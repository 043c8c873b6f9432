// Keeps up with one kind of object in the API server: lists it once, then watches from there. Ways to another list:
// the server no longer knows where we were (410); it said something unreadable, so that an event may be missed; the
// owner asks. A list is compared with what is known, and only differences are told. Nothing is given up before a list
// is complete: while the server is away, what was known last stands.
import type { ApiRequest } from "../../../kube-api/client.ts";
import { ApiUnreachable } from "../../../kube-api/errors.ts";
import type { Clock } from "../../../util/clock.ts";
import type { ObjectKey } from "../../objects.ts";
import { backOffMs } from "./back-off.ts";
import { judgeFailure, type Failure, type FailureReason } from "./failure.ts";
import { isOlderVersion, readPage, readWatchEvent, type Page, type RawObject } from "./page.ts";
import { namedResource, type Resource } from "./resource.ts";

/** The part of the client that is needed. */
export interface ApiReader {
  call(request: ApiRequest): Promise<unknown>;
  lines(request: ApiRequest): AsyncGenerator<readonly string[], void>;
}

/** What a reflector tells its owner, in order. */
export interface ReflectorListener {
  /** New, or other than before. */
  upsert(object: RawObject): void;
  remove(key: ObjectKey): void;
  /** Once: everything was listed, or may not be read and is not essential. */
  settled(): void;
  /** Null: it works again. */
  problem(failure: Failure | null): void;
  /** The server answers after it did not. */
  recovered(): void;
  contact(): void;
  /** Every watch but the first. */
  watchRestarted(): void;
  failed(reason: FailureReason): void;
}

export interface ReflectorOptions {
  readonly resource: Resource;
  readonly client: ApiReader;
  readonly clock: Clock;
  /** 0 to 1. */
  readonly random: () => number;
  readonly listener: ReflectorListener;
}

/** Objects of a page of a list. */
const pageSize = 500;
/** The server ends a watch after this long, and up to twice as long, so that watches do not all end together. */
const watchMinSeconds = 300;
/** Bookmarks come about once a minute; without a sign of life for this long the connection is taken for dead. */
const watchIdleMaxMs = 150_000;
/** A watch that brought nothing and was shorter counts as failed. */
const watchShortMs = 500;
/** Failures in a row of the kind that pass, before they are told. */
const failuresTold = 2;
/** Single objects that are asked for one by one; more are got by listing all. */
const rereadsMax = 20;
const rereadDelayMs = 5;

export class Reflector {
  readonly #options: ReflectorOptions;
  /** What is known, by version. An empty one: to be told again at the next list, whatever its version. */
  readonly #versions = new Map<ObjectKey, string>();
  /** Where to watch from. */
  #position = "";
  #isListDue = true;
  #isPaging = true;
  #hasWatched = false;
  #isSettled = false;
  #failures = 0;
  #hasProblem = false;
  #isAwaitingNetwork = false;
  /** The last failure was one of the network. */
  #wasNetwork = false;
  readonly #rereads = new Set<ObjectKey>();

  #running: Promise<void> = Promise.resolve();
  #request = new AbortController();
  #isInterrupted = false;
  #endPause: (() => void) | null = null;
  #isClosed = false;

  constructor(options: ReflectorOptions) {
    this.#options = options;
  }

  get resource(): Resource {
    return this.#options.resource;
  }

  get isSettled(): boolean {
    return this.#isSettled;
  }

  has(key: ObjectKey): boolean {
    return this.#versions.has(key);
  }

  start(): void {
    this.#running = this.#run();
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#request.abort();
    this.#endPause?.();
    await this.#running;
  }

  /** Somebody else got through: if it was the network that failed, now is the time. */
  wake(): void {
    if (this.#isAwaitingNetwork) this.#endPause?.();
  }

  /** Lists again, and tells all objects for which `isDue` holds, changed or not. */
  relist(isDue: (key: ObjectKey) => boolean): void {
    for (const key of this.#versions.keys()) if (isDue(key)) this.#versions.set(key, "");
    this.#isListDue = true;
    this.#isInterrupted = true;
    this.#request.abort();
  }

  /** Tells an object of which only the name was kept. What is not known here is not asked for. */
  reread(key: ObjectKey): void {
    if (!this.#versions.has(key)) return;
    if (this.#rereads.size === 0) {
      this.#options.clock.after(rereadDelayMs, () => void this.#rereadAll());
    }
    this.#rereads.add(key);
  }

  async #run(): Promise<void> {
    while (!this.#isClosed) {
      this.#request = new AbortController();
      this.#isInterrupted = false;
      try {
        if (this.#isListDue) await this.#list();
        if (!this.#isListDue) await this.#watch();
      } catch (cause) {
        if (this.#isClosed) return;
        if (!this.#isInterrupted) await this.#recover(judgeFailure(cause));
      }
    }
  }

  // List

  async #list(): Promise<void> {
    this.#isListDue = false;
    try {
      await this.#listAll();
    } catch (cause) {
      this.#isListDue = true;
      throw cause;
    }
    this.#isPaging = true;
    this.#clearProblem();
    if (this.#failures > 0) this.#options.listener.recovered();
    this.#settle();
  }

  async #listAll(): Promise<void> {
    const seen = new Set<ObjectKey>();
    let page: Page;
    let next = "";
    do {
      page = await this.#page(next);
      this.#options.listener.contact();
      for (const object of page.objects) {
        seen.add(object.key);
        this.#upsert(object);
      }
      ({ next } = page);
    } while (next !== "");
    for (const key of this.#versions.keys()) if (!seen.has(key)) this.#remove(key);
    this.#position = page.version;
  }

  async #page(next: string): Promise<Page> {
    const { client, resource } = this.#options;
    const query: Record<string, string> = { ...resource.query };
    if (this.#isPaging) query["limit"] = String(pageSize);
    if (next !== "") query["continue"] = next;
    try {
      const answer = await client.call({ path: resource.path, query, signal: this.#request.signal });
      return readPage(answer, resource.kind, resource.apiVersion);
    } catch (cause) {
      // The pages take longer than the server remembers the first: next time all in one.
      if (next !== "" && judgeFailure(cause).reason === "Expired") this.#isPaging = false;
      throw cause;
    }
  }

  // Watch

  async #watch(): Promise<void> {
    const { client, clock, random, resource, listener } = this.#options;
    const seconds = Math.round(watchMinSeconds * (1 + random()));
    const startedAt = clock.nowMs();
    const batches = client.lines({
      path: resource.path,
      query: {
        ...resource.query,
        watch: "1",
        allowWatchBookmarks: "true",
        resourceVersion: this.#position,
        timeoutSeconds: String(seconds),
      },
      signal: this.#request.signal,
      idleMaxMs: watchIdleMaxMs,
    });
    let isOpen = false;
    let hasNews = false;
    try {
      for await (const lines of batches) {
        if (this.#isClosed || this.#isInterrupted) return;
        listener.contact();
        if (!isOpen) this.#opened();
        isOpen = true;
        for (const line of lines) this.#take(line);
        hasNews ||= lines.length > 0;
      }
    } finally {
      if (hasNews || (isOpen && clock.nowMs() - startedAt >= watchShortMs)) this.#failures = 0;
    }
    const isShort = !hasNews && clock.nowMs() - startedAt < watchShortMs;
    if (isShort) throw new ApiUnreachable("the API server ends watches as soon as they begin");
  }

  #opened(): void {
    const { listener } = this.#options;
    if (this.#hasWatched) listener.watchRestarted();
    this.#hasWatched = true;
    this.#clearProblem();
    if (this.#failures > 0) listener.recovered();
  }

  #take(line: string): void {
    const { kind, apiVersion } = this.#options.resource;
    const event = readWatchEvent(line, kind, apiVersion);
    switch (event.type) {
      case "upsert":
        this.#upsert(event.object);
        this.#position = event.object.version;
        return;
      case "delete":
        this.#remove(event.object.key);
        this.#position = event.object.version;
        return;
      case "bookmark":
        this.#position = event.version;
    }
  }

  // Objects

  /** A version that is known already is a repetition. */
  #upsert(object: RawObject): void {
    if (this.#versions.get(object.key) === object.version) return;
    this.#versions.set(object.key, object.version);
    this.#options.listener.upsert(object);
  }

  #remove(key: ObjectKey): void {
    if (this.#versions.delete(key)) this.#options.listener.remove(key);
  }

  async #rereadAll(): Promise<void> {
    const keys = [...this.#rereads];
    this.#rereads.clear();
    if (this.#isClosed) return;
    if (keys.length > rereadsMax) {
      const all = new Set(keys);
      this.relist((key) => all.has(key));
    } else await Promise.all(keys.map((key) => this.#reread(key)));
  }

  async #reread(key: ObjectKey): Promise<void> {
    const { client, resource } = this.#options;
    const { path, query } = namedResource(resource.kind, key);
    try {
      const answer = await client.call({ path, query });
      if (this.#isClosed) return;
      for (const object of readPage(answer, resource.kind, resource.apiVersion).objects) {
        const known = this.#versions.get(object.key);
        // Meanwhile the watch may have told of its end, or of a later version.
        if (known === undefined || isOlderVersion(object.version, known)) continue;
        this.#versions.set(object.key, object.version);
        this.#options.listener.upsert(object);
      }
    } catch {
      // A list has what it takes to try until it works.
      if (!this.#isClosed) this.relist((each) => each === key);
    }
  }

  // Success and failure

  #clearProblem(): void {
    if (!this.#hasProblem) return;
    this.#hasProblem = false;
    this.#options.listener.problem(null);
  }

  #settle(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    this.#options.listener.settled();
  }

  async #recover(failure: Failure): Promise<void> {
    const { clock, random, listener, resource } = this.#options;
    // The server is there again and does not serve us yet, as right after its start, when it has not read who may do
    // what: that is another trouble than the one before, and its waits begin small.
    if (this.#wasNetwork && !failure.isNetwork) this.#failures = 0;
    this.#wasNetwork = failure.isNetwork;
    this.#failures += 1;
    listener.failed(failure.reason);
    if (failure.isListNeeded) this.#isListDue = true;
    if (failure.isToldAtOnce || this.#failures >= failuresTold) {
      this.#hasProblem = true;
      listener.problem(failure);
    }
    if (failure.reason === "Forbidden" && !resource.isEssential) this.#settle();
    const waitMs = Math.max(backOffMs(this.#failures, random), failure.retryAfterMs);
    this.#isAwaitingNetwork = failure.isNetwork;
    await new Promise<void>((resolve) => {
      const cancel = clock.after(waitMs, resolve);
      const { signal } = this.#request;
      this.#endPause = () => {
        cancel();
        resolve();
      };
      signal.addEventListener("abort", this.#endPause, { once: true });
      if (signal.aborted) this.#endPause();
    });
    this.#endPause = null;
    this.#isAwaitingNetwork = false;
  }
}
