// The rebuild loop: sources to store, store to translation, translation to publisher. Ways to a publication:
// 1. something that routing depends on changed: translate everything, publish the table when it came out differently;
// 2. only endpoints changed: translate those Services alone and publish their endpoints; no route is compiled again.
import type { Diagnostic } from "../ir/diagnostic.ts";
import type { ObjectRef } from "../ir/object-ref.ts";
import type { CertificateIr, EndpointsIr, RoutingIr } from "../ir/routing.ts";
import type { Cancel, Clock } from "../util/clock.ts";
import { equalJson } from "../util/equal-json.ts";
import type { ObjectKey } from "./objects.ts";
import { MergedSource } from "./sources/merged.ts";
import type { ObjectEvent, Source } from "./sources/source.ts";
import { ObjectStore, type Change } from "./store.ts";
import { translateEndpoints, type ServiceEndpoints } from "./translate/endpoints.ts";
import type { TranslateOptions } from "./translate/options.ts";
import { groupByService } from "./translate/services.ts";
import { assemble, sortDiagnostics, translateParts, type TranslationParts } from "./translate/translate.ts";

/** A build waits until no event has come for this long, so that the parts of one change are built together. */
export const quietMs = 10;
/** A build waits no longer than this after the first event. */
export const quietMaxMs = 100;

/** Takes what was built. The proxy implements it; a throw means a bug, and the last good table stays. */
export interface Publisher {
  publishTable(ir: RoutingIr): void;
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
  /** Of sources, store and the last translation; sorted. */
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

/** What was published last, in parts. */
interface Published {
  readonly parts: TranslationParts;
  readonly upstreamsByService: ReturnType<typeof groupByService>;
}

export class RebuildLoop {
  readonly #options: RebuildOptions;
  readonly #store: ObjectStore;
  readonly #source: Source;
  readonly #reports = new Map<string, readonly Diagnostic[]>();
  readonly #firstBuild = Promise.withResolvers<void>();
  #published: Published | null = null;
  #certificates: ReadonlyMap<ObjectKey, CertificateIr> = new Map();
  #failure: Diagnostic | null = null;

  #isClosed = false;
  #isSynced = false;
  #isRoutingDue = true;
  readonly #servicesDue = new Set<ObjectKey>();
  #cancelBuild: Cancel | null = null;
  #firstEventAtMs = -1;

  #tables = 0;
  #endpointUpdates = 0;
  #failures = 0;
  #lastBuildMs = 0;
  #cachedState: RebuildState | null = null;

  constructor(options: RebuildOptions) {
    this.#options = options;
    this.#store = new ObjectStore(options.translate);
    this.#source = new MergedSource(options.sources);
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

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelBuild?.();
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
      case "report":
        if (event.diagnostics.length === 0) this.#reports.delete(event.origin);
        else this.#reports.set(event.origin, event.diagnostics);
        if (this.#isSynced) this.#changed();
        return;
      case "synced":
        this.#isSynced = true;
        this.#build();
    }
  }

  #note(change: Change): void {
    if (change.routing) this.#isRoutingDue = true;
    for (const service of change.services) this.#servicesDue.add(service);
    if (!this.#isSynced) return;
    if (change.routing || change.services.length > 0) this.#schedule();
    else if (change.diagnostics) this.#changed();
  }

  #schedule(): void {
    const { clock } = this.#options;
    const now = clock.nowMs();
    if (this.#firstEventAtMs < 0) this.#firstEventAtMs = now;
    const latest = this.#firstEventAtMs + quietMaxMs - now;
    this.#cancelBuild?.();
    this.#cancelBuild = clock.after(Math.max(0, Math.min(quietMs, latest)), () => this.#build());
  }

  #build(): void {
    const { clock } = this.#options;
    this.#cancelBuild = null;
    this.#firstEventAtMs = -1;
    const startedAt = clock.nowMs();
    try {
      if (this.#isRoutingDue || this.#published === null) this.#buildAll();
      else this.#buildEndpoints(this.#published);
      this.#isRoutingDue = false;
      this.#servicesDue.clear();
      this.#failure = null;
    } catch (cause) {
      // A bug in translate, a feature or the publisher. What was published stays; the next event tries everything again.
      this.#isRoutingDue = true;
      this.#failures += 1;
      this.#failure = failureOf(cause);
      this.#options.onFailure?.(cause);
    }
    this.#lastBuildMs = clock.nowMs() - startedAt;
    this.#firstBuild.resolve();
    this.#changed();
  }

  #buildAll(): void {
    const parts = translateParts(this.#store.index, this.#translateOptions());
    const last = this.#published;
    if (last === null || !equalJson(last.parts.routing, parts.routing)) {
      this.#options.publisher.publishTable(assemble(parts).ir);
      this.#tables += 1;
    } else {
      this.#publishEndpoints(changedEndpoints(last.parts.services, parts.services));
    }
    this.#published = { parts, upstreamsByService: groupByService(parts.routing.upstreams) };
    this.#certificates = parts.certificates;
  }

  #buildEndpoints({ parts, upstreamsByService }: Published): void {
    const options = this.#translateOptions();
    const updates = new Map<ObjectKey, ServiceEndpoints>();
    for (const key of this.#servicesDue) {
      updates.set(
        key,
        translateEndpoints(key, upstreamsByService.get(key) ?? [], this.#store.index, options),
      );
    }
    this.#publishEndpoints(changedEndpoints(parts.services, updates));
    const services = new Map([...parts.services, ...updates]);
    this.#published = { parts: { ...parts, services }, upstreamsByService };
  }

  #publishEndpoints(changed: readonly EndpointsIr[]): void {
    if (changed.length === 0) return;
    this.#options.publisher.publishEndpoints(changed);
    this.#endpointUpdates += 1;
  }

  #translateOptions(): TranslateOptions {
    return { ...this.#options.translate, lastGoodCertificates: this.#certificates };
  }

  #changed(): void {
    this.#cachedState = null;
    this.#options.onUpdate?.(this.state);
  }

  #makeState(): RebuildState {
    const translation = this.#published === null ? null : assemble(this.#published.parts);
    const diagnostics = [
      ...[...this.#reports.values()].flat(),
      ...this.#store.diagnostics(),
      ...(translation?.diagnostics ?? []),
      ...(this.#failure === null ? [] : [this.#failure]),
    ];
    return {
      isReady: this.#published !== null,
      diagnostics: sortDiagnostics(diagnostics),
      tables: this.#tables,
      endpointUpdates: this.#endpointUpdates,
      failures: this.#failures,
      lastBuildMs: this.#lastBuildMs,
      objects: this.#store.size,
      ir: translation?.ir ?? null,
    };
  }
}

function changedEndpoints(
  before: ReadonlyMap<ObjectKey, ServiceEndpoints>,
  after: ReadonlyMap<ObjectKey, ServiceEndpoints>,
): readonly EndpointsIr[] {
  return [...after].flatMap(([key, { endpoints }]) => {
    const old = before.get(key)?.endpoints;
    return endpoints.filter((each, index) => !equalJson(each, old?.[index]));
  });
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
