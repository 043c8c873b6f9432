// Several sources as one. Of an object that two of them have, the first source's version counts, and the second takes
// over when the first gives it up.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { refKey } from "../../ir/object-ref.ts";
import { refOf } from "../objects.ts";
import type { ObjectEvent, ObjectListener, Source } from "./source.ts";

type Upsert = Extract<ObjectEvent, { kind: "upsert" }>;

export class MergedSource implements Source {
  readonly #sources: readonly Source[];
  readonly #unsynced: Set<Source>;
  /** By object: the version of each source that has it. */
  readonly #versions = new Map<string, Map<number, Upsert>>();
  readonly #duplicates = new Set<string>();
  #listener: ObjectListener = () => {};

  constructor(sources: readonly Source[]) {
    this.#sources = sources;
    this.#unsynced = new Set(sources);
  }

  async start(listener: ObjectListener): Promise<void> {
    this.#listener = listener;
    if (this.#sources.length === 0) listener({ kind: "synced" });
    await Promise.all(
      this.#sources.map((source, rank) => source.start((event) => this.#receive(event, source, rank))),
    );
  }

  async close(): Promise<void> {
    this.#listener = () => {};
    await Promise.all(this.#sources.map((source) => source.close()));
  }

  #receive(event: ObjectEvent, source: Source, rank: number): void {
    switch (event.kind) {
      case "upsert": {
        const key = refKey(refOf(event.object));
        const versions = this.#versions.get(key) ?? new Map<number, Upsert>();
        this.#versions.set(key, versions);
        versions.set(rank, event);
        if (first(versions) === rank) this.#listener(event);
        this.#reportDuplicate(key, versions);
        return;
      }
      case "delete": {
        const key = refKey(event.ref);
        const versions = this.#versions.get(key);
        if (versions === undefined) return;
        const wasFirst = first(versions) === rank;
        versions.delete(rank);
        if (versions.size === 0) this.#versions.delete(key);
        const next = versions.get(first(versions));
        if (wasFirst) this.#listener(next ?? event);
        this.#reportDuplicate(key, versions);
        return;
      }
      case "classes":
        this.#listener(event);
        return;
      case "report":
        this.#listener({ ...event, origin: `${rank} ${event.origin}` });
        return;
      case "synced":
        if (this.#unsynced.delete(source) && this.#unsynced.size === 0) this.#listener(event);
    }
  }

  /** Says so as long as there are two; an empty report takes it back. */
  #reportDuplicate(key: string, versions: ReadonlyMap<number, Upsert>): void {
    if (versions.size < 2 && !this.#duplicates.has(key)) return;
    if (versions.size < 2) this.#duplicates.delete(key);
    else this.#duplicates.add(key);
    const diagnostics = [...versions.values()].slice(1, 2).map(({ object }): Diagnostic => {
      const message = "it is defined in several sources; the version of the first of them is used";
      return { severity: "warning", reason: "DuplicateObject", message, object: refOf(object), field: "" };
    });
    this.#listener({ kind: "report", origin: `object ${key}`, diagnostics });
  }
}

/** The lowest rank; -1 when there is none. */
function first(versions: ReadonlyMap<number, Upsert>): number {
  return versions.size === 0 ? -1 : Math.min(...versions.keys());
}
