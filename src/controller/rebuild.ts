// The rebuild loop: sources to store, store to translation, translation to publisher.
import type { Diagnostic } from "../ir/diagnostic.ts";
import type { EndpointsIr, RoutingIr } from "../ir/routing.ts";
import type { Clock } from "../util/clock.ts";
import type { Source } from "./sources/source.ts";
import type { TranslateOptions } from "./translate/options.ts";

/** Takes what was built. The proxy implements it; a throw means a bug, and the last good table stays. */
export interface Publisher {
  publishTable(ir: RoutingIr): void;
  /** Replaces the endpoints of these upstreams, which the last table knows; its routes stay as they are. */
  publishEndpoints(changed: readonly EndpointsIr[]): void;
}

export interface RebuildOptions {
  readonly sources: readonly Source[];
  readonly translate: Omit<TranslateOptions, "lastGoodCertificates">;
  readonly publisher: Publisher;
  readonly clock: Clock;
  /** Called after each build and each change of diagnostics. */
  readonly onUpdate?: (state: RebuildState) => void;
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
  readonly lastBuildMs: number;
  /** The IR as last published, endpoints included; null before the first table. */
  readonly ir: RoutingIr | null;
}

export class RebuildLoop {
  constructor(options: RebuildOptions) {
    void options;
  }

  /** Starts the sources; resolves when all have synced and the first table is published. Rejects when a source cannot be read. */
  start(): Promise<void> {
    return Promise.reject(new Error("not written yet"));
  }

  get state(): RebuildState {
    throw new Error("not written yet");
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
