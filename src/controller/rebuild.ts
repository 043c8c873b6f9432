// The rebuild loop: sources to store, store to translation, translation to publisher. The translation makes anew what an
// event touched; what came out differently is published, endpoints alone by a way on which no route is compiled.
import type { Diagnostic } from "../ir/diagnostic.ts";
import type { ObjectRef } from "../ir/object-ref.ts";
import type { EndpointsIr, RoutingIr } from "../ir/routing.ts";
import { TableParts, type TableDelta } from "../ir/table-parts.ts";
import type { Cancel, Clock } from "../util/clock.ts";
import { MergedSource } from "./sources/merged.ts";
import type { IngressObject, ObjectKey } from "./objects.ts";
import type { ObjectEvent, Source } from "./sources/source.ts";
import { ObjectStore, type Change } from "./store.ts";
import type { TranslateOptions } from "./translate/options.ts";
import { sortDiagnostics } from "./translate/translate.ts";
import { tryOut, type TrialResult } from "./translate/trial.ts";
import { Translator } from "./translate/translator.ts";

/**
 * A build follows an event at once, unless another build was shortly before: then the two are this far apart, and further
 * when builds take long, so that a storm of events costs a tenth of the time at most.
 */
export const buildGapMinMs = 10;
export const buildGapMaxMs = 100;
const buildShare = 0.1;

/** What is wrong while sources are still being read is told after this long. */
const tellDelayMs = 100;

/** Takes what was built. The proxy implements it; a throw means a bug, and the last good table stays. */
export interface Publisher {
  /** What differs from the table published before; at first that is everything. */
  publishTable(delta: TableDelta): void;
  /** Replaces the endpoints of these upstreams, which the last table knows; its routes stay as they are. */
  publishEndpoints(changed: readonly EndpointsIr[]): void;
}

export interface RebuildOptions {
  /** Of an object that two sources have, the version of the first counts. */
  readonly sources: readonly Source[];
  readonly translate: Omit<TranslateOptions, "lastGoodCertificates">;
  readonly publisher: Publisher;
  readonly clock: Clock;
  /** Called after each build and each change of diagnostics. */
  readonly onUpdate?: (state: RebuildState) => void;
  /** Called when no source has an object any more; `origin` says where it was. A file cut short is seen here. */
  readonly onRemoved?: (ref: ObjectRef, origin: string) => void;
  /** Called when a build or the publisher threw: a bug. The last good table stays. */
  readonly onFailure?: (cause: unknown) => void;
}

export interface RebuildState {
  /** A table has been published. */
  readonly isReady: boolean;
  /** Of sources, store and the last translation; sorted. Put together when asked for. */
  readonly diagnostics: readonly Diagnostic[];
  /** Published tables. */
  readonly tables: number;
  /** Publications by the endpoints fast path. */
  readonly endpointUpdates: number;
  /** Builds that threw. */
  readonly failures: number;
  /** Time the last build took, with its publication. */
  readonly lastBuildMs: number;
  /** Objects in the store. */
  readonly objects: number;
  /** The IR as last published, endpoints included; null before the first table. */
  readonly ir: RoutingIr | null;
}

export class RebuildLoop {
  readonly #options: RebuildOptions;
  readonly #store: ObjectStore;
  readonly #source: Source;
  readonly #reports = new Map<string, readonly Diagnostic[]>();
  readonly #firstBuild = Promise.withResolvers<void>();
  readonly #published = new TableParts();
  #translator: Translator;
  /** It has not built anything yet, so it does not know what was published. */
  #isTranslatorNew = true;
  #lastGoodCertificates: Translator["certificatesInUse"] = new Map();
  #failure: Diagnostic | null = null;

  #isClosed = false;
  #isSynced = false;
  #cancelBuild: Cancel | null = null;
  #cancelTelling: Cancel | null = null;
  #nextBuildAtMs = 0;

  #tables = 0;
  #endpointUpdates = 0;
  #failures = 0;
  #lastBuildMs = 0;
  #cachedState: RebuildState | null = null;

  constructor(options: RebuildOptions) {
    this.#options = options;
    this.#store = new ObjectStore(options.translate);
    this.#translator = this.#newTranslator();
    const [only] = options.sources;
    this.#source =
      only !== undefined && options.sources.length === 1 ? only : new MergedSource(options.sources);
  }

  /**
   * Starts the sources; resolves when all have synced and the first build was tried (`state.isReady` tells whether it
   * succeeded). Rejects when a source cannot be read.
   */
  async start(): Promise<void> {
    await this.#source.start((event) => this.#receive(event));
    await this.#firstBuild.promise;
  }

  /** Computed when asked for and then kept until something changes. */
  get state(): RebuildState {
    this.#cachedState ??= this.#makeState();
    return this.#cachedState;
  }

  /** Keys of the Ingresses that are ours. After a build that failed it may be none. */
  ownIngresses(): Iterable<ObjectKey> {
    return this.#translator.ownIngresses();
  }

  /** There is a table, and it is as new as can be. */
  get canTryOut(): boolean {
    return this.#tables > 0 && this.#failure === null;
  }

  /** What an Ingress would come to; nothing changes by it. Null: see `canTryOut`. */
  tryOut(candidate: IngressObject, old: IngressObject | null): TrialResult | null {
    if (!this.canTryOut) return null;
    const plans = this.#translator.neighboursOf(old === null ? [candidate] : [candidate, old]);
    return tryOut({
      index: this.#store.index,
      options: this.#options.translate,
      candidate,
      old,
      neighbours: [...plans].map(({ object }) => object),
    });
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelBuild?.();
    this.#cancelTelling?.();
    this.#firstBuild.resolve();
    await this.#source.close();
  }

  #receive(event: ObjectEvent): void {
    if (this.#isClosed) return;
    switch (event.kind) {
      case "upsert":
        this.#note(this.#store.upsert(event.object, event.findings));
        return;
      case "delete":
        this.#note(this.#store.delete(event.ref));
        if (this.#isSynced) this.#options.onRemoved?.(event.ref, event.origin);
        return;
      case "classes":
        this.#note(this.#store.setClassesReadable(event.areReadable));
        return;
      case "report":
        if (event.diagnostics.length === 0) this.#reports.delete(event.origin);
        else this.#reports.set(event.origin, event.diagnostics);
        if (this.#isSynced) this.#changed();
        else this.#tellSoon();
        return;
      case "synced":
        this.#isSynced = true;
        this.#build();
    }
  }

  /** What keeps a source from being read is told before it has been read, once for many reports. */
  #tellSoon(): void {
    this.#cancelTelling ??= this.#options.clock.after(tellDelayMs, () => {
      if (!this.#isSynced && !this.#isClosed) this.#changed();
      this.#cancelTelling = null;
    });
  }

  #note(change: Change): void {
    // After a failure every event is an occasion to try again.
    let isBuildDue = this.#failure !== null && change.touched.length > 0;
    for (const touched of change.touched) if (this.#translator.touch(touched)) isBuildDue = true;
    if (!this.#isSynced) return;
    if (isBuildDue) this.#schedule();
    else if (change.diagnostics) this.#changed();
  }

  #schedule(): void {
    const { clock } = this.#options;
    // Never within the event: what comes with it is built with it.
    this.#cancelBuild ??= clock.after(Math.max(0, this.#nextBuildAtMs - clock.nowMs()), () => this.#build());
  }

  #build(): void {
    const { clock } = this.#options;
    this.#cancelBuild = null;
    const startedAt = clock.nowMs();
    try {
      this.#publish(this.#translate());
      this.#failure = null;
    } catch (cause) {
      // A bug in translate, a feature or the publisher. What was published stays; the next event tries everything again.
      const inUse = this.#translator.certificatesInUse;
      if (inUse.size > 0) this.#lastGoodCertificates = inUse;
      this.#translator = this.#newTranslator();
      this.#isTranslatorNew = true;
      this.#failures += 1;
      this.#failure = failureOf(cause);
      this.#options.onFailure?.(cause);
    }
    const endedAt = clock.nowMs();
    this.#lastBuildMs = endedAt - startedAt;
    const gapMs = Math.max(buildGapMinMs, Math.min(buildGapMaxMs, this.#lastBuildMs / buildShare));
    this.#nextBuildAtMs = endedAt + gapMs;
    if (this.#failure === null && this.#translator.isDue) this.#schedule();
    this.#firstBuild.resolve();
    this.#changed();
  }

  /** What differs from what was published. */
  #translate(): TableDelta {
    const delta = this.#translator.build();
    if (!this.#isTranslatorNew) return this.#published.news(delta);
    const whole = new TableParts();
    whole.apply(delta);
    return this.#published.differenceTo(whole.toIr());
  }

  #publish(delta: TableDelta): void {
    const { publisher } = this.#options;
    const { changed } = delta.endpoints;
    if (this.#tables === 0 || this.#published.changesRouting(delta)) {
      publisher.publishTable(delta);
      this.#tables += 1;
    } else if (changed.length > 0) {
      publisher.publishEndpoints(changed);
      this.#endpointUpdates += 1;
    }
    this.#published.apply(delta);
    this.#isTranslatorNew = false;
  }

  #newTranslator(): Translator {
    const options = { ...this.#options.translate, lastGoodCertificates: this.#lastGoodCertificates };
    return new Translator(this.#store.index, options, (kind, key) => this.#store.referrersOf(kind, key));
  }

  #changed(): void {
    this.#cachedState = null;
    this.#options.onUpdate?.(this.state);
  }

  #makeState(): RebuildState {
    const isReady = this.#tables > 0;
    let diagnostics: readonly Diagnostic[] | null = null;
    const makeDiagnostics = (): readonly Diagnostic[] => this.#makeDiagnostics();
    const published = this.#published;
    return {
      isReady,
      get diagnostics() {
        return (diagnostics ??= makeDiagnostics());
      },
      tables: this.#tables,
      endpointUpdates: this.#endpointUpdates,
      failures: this.#failures,
      lastBuildMs: this.#lastBuildMs,
      objects: this.#store.size,
      get ir() {
        return isReady ? published.toIr() : null;
      },
    };
  }

  #makeDiagnostics(): readonly Diagnostic[] {
    return sortDiagnostics([
      ...[...this.#reports.values()].flat(),
      ...this.#store.diagnostics(),
      ...this.#translator.diagnostics(),
      ...(this.#failure === null ? [] : [this.#failure]),
    ]);
  }
}

function failureOf(cause: unknown): Diagnostic {
  const text = cause instanceof Error ? cause.message : String(cause);
  return {
    severity: "error",
    reason: "BuildFailed",
    message: `a bug in Fairway: ${text}; the last good table keeps serving`,
    object: { kind: "Controller", namespace: "", name: "fairway" },
    field: "",
  };
}
