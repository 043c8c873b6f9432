// A directory of manifests as a source of objects: read recursively, watched.
import type { Clock } from "../../util/clock.ts";
import type { ObjectListener, Source } from "./source.ts";

export interface DirectorySourceOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** False: read once and do not watch. Default true. */
  readonly watch?: boolean;
}

export class DirectorySource implements Source {
  readonly #options: DirectorySourceOptions;

  constructor(options: DirectorySourceOptions) {
    this.#options = options;
  }

  start(listener: ObjectListener): Promise<void> {
    void listener;
    void this.#options;
    return Promise.reject(new Error("not written yet"));
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}
