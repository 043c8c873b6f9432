// A directory of manifests as a source of objects: read recursively, watched. Ways to a read of a file:
// 1. the start; 2. an event of the file system, once the file has been still for `settleMs`; 3. the slow poll that
// finds what events did not tell (network file systems, symlinks to elsewhere); 4. a loss that is to be believed.
import { watch, type FSWatcher } from "node:fs";
import { join, relative } from "node:path";
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { compareText } from "../../ir/order.ts";
import type { Cancel, Clock } from "../../util/clock.ts";
import { equalJson } from "../../util/equal-json.ts";
import { refOf } from "../objects.ts";
import { FileState, type FileEntry } from "./file-state.ts";
import type { ObjectListener, Source } from "./source.ts";
import { isManifestName, isOtherFile, readDirectoryProblem, readManifestFile, Walk } from "./walk.ts";

export interface DirectorySourceOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** False: read once and do not watch. Default true. */
  readonly watch?: boolean;
}

/** A file is read when it has been still for this long. */
export const settleMs = 15;
/**
 * What is missing in a file is believed when it has been still for this long; at once when the file was put in place of
 * another by a rename, since then it is complete.
 */
export const lossMs = 150;
/** How often everything is looked at again. */
export const pollMs = 2_000;
/** Files open at a time. */
const readsMax = 32;

interface Dirty {
  /** When it last changed. */
  readonly atMs: number;
  /** The tree does not lead to it any more, whatever lies at the path. */
  readonly isGone: boolean;
  /** False: it was moved there and not written to since, as far as events tell. */
  readonly isWritten: boolean;
}

interface Known {
  readonly state: FileState;
  /** Of its last read: device, inode, size and times. */
  signature: string;
  cancelLoss: Cancel | null;
}

export class DirectorySource implements Source {
  readonly #root: string;
  readonly #clock: Clock;
  readonly #isWatching: boolean;
  #listener: ObjectListener = () => {};

  readonly #files = new Map<string, Known>();
  readonly #watchers = new Map<string, { readonly watcher: FSWatcher; readonly inode: string }>();
  /** Directories of the last scan that could not be watched. */
  readonly #unwatched: string[] = [];
  /** By object, with the path of its file. */
  readonly #emitted = new Map<string, { readonly entry: FileEntry; readonly path: string }>();
  readonly #reported = new Map<string, string>();
  /** By path relative to the root. */
  readonly #dirty = new Map<string, Dirty>();
  /** When something changed that is no manifest: a directory, a symlink. Negative: nothing has. */
  #treeChangedAtMs = -1;
  #cancelTick: Cancel | null = null;
  #cancelPoll: Cancel | null = null;
  #work: Promise<void> = Promise.resolve();
  #isClosed = false;

  constructor(options: DirectorySourceOptions) {
    this.#root = options.directory;
    this.#clock = options.clock;
    this.#isWatching = options.watch ?? true;
  }

  async start(listener: ObjectListener): Promise<void> {
    this.#listener = listener;
    const problem = await readDirectoryProblem(this.#root);
    if (problem !== null)
      throw new Error(`cannot read manifests from ${JSON.stringify(this.#root)}: ${problem}`);
    this.#enqueue(async () => {
      await this.#scan(0, false);
      await this.#readAll(this.#dirty);
      this.#publish();
      this.#emit({ kind: "synced" });
    });
    await this.#work;
    if (!this.#isWatching || this.#isClosed) return;
    this.#cancelPoll = this.#clock.every(pollMs, () => this.#enqueue(() => this.#poll()));
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#cancelTick?.();
    this.#cancelPoll?.();
    for (const known of this.#files.values()) known.cancelLoss?.();
    for (const { watcher } of this.#watchers.values()) watcher.close();
    this.#watchers.clear();
    await this.#work;
  }

  /** One at a time, in order. */
  #enqueue(work: () => Promise<void>): void {
    this.#work = this.#work.then(() => (this.#isClosed ? undefined : work()));
  }

  // Events

  /** `isWrite`: content or attributes changed; else a name came, went or was replaced. */
  #onEvent(directory: string, name: string | null, isWrite: boolean): void {
    if (this.#isClosed) return;
    const now = this.#clock.nowMs();
    const path = relative(this.#root, join(directory, name ?? ""));
    // What comes by a rename takes the place of whatever was written before.
    if (name !== null && this.#files.has(path))
      this.#dirty.set(path, { atMs: now, isGone: false, isWritten: isWrite });
    else if (name === null || isManifestName(name) || name === "..data" || !name.startsWith(".")) {
      this.#treeChangedAtMs = now;
    }
    this.#scheduleTick();
  }

  #scheduleTick(): void {
    if (this.#cancelTick !== null) return;
    this.#cancelTick = this.#clock.after(settleMs, () => {
      this.#cancelTick = null;
      this.#enqueue(() => this.#tick());
    });
  }

  /** Reads what has been still for long enough, and comes back for the rest. */
  async #tick(): Promise<void> {
    // Timers may fire a little early.
    const stillSince = this.#clock.nowMs() - settleMs + 1;
    if (this.#treeChangedAtMs >= 0 && this.#treeChangedAtMs <= stillSince) {
      this.#treeChangedAtMs = -1;
      await this.#scan(stillSince, false);
    }
    const due = [...this.#dirty].filter(([, { atMs }]) => atMs <= stillSince);
    if (due.length > 0) {
      await this.#readAll(due);
      this.#publish();
    }
    if (this.#dirty.size > 0 || this.#treeChangedAtMs >= 0) this.#scheduleTick();
  }

  async #poll(): Promise<void> {
    // Whoever changed something did so unseen.
    await this.#scan(this.#clock.nowMs(), true);
    if (this.#dirty.size > 0) this.#scheduleTick();
  }

  // The tree

  /** Finds what is new, changed or gone, and watches new directories. */
  async #scan(changedAtMs: number, isWritten: boolean): Promise<void> {
    this.#unwatched.length = 0;
    const walk = new Walk(this.#root, (directory, inode) => this.#watch(directory, inode));
    await walk.run();
    const present = walk.files();
    for (const [path, signature] of present) {
      // What is dirty already may still be being written.
      if (this.#files.get(path)?.signature === signature || this.#dirty.get(path)?.isGone === false) continue;
      this.#dirty.set(path, { atMs: changedAtMs, isGone: false, isWritten });
    }
    for (const path of this.#files.keys()) {
      const isUnseen = walk.unreadable.some(
        (directory) => directory === "" || path.startsWith(`${directory}/`),
      );
      if (present.has(path) || isUnseen) continue;
      this.#dirty.set(path, { atMs: changedAtMs, isGone: true, isWritten });
    }
    for (const [directory, { watcher }] of this.#watchers) {
      if (walk.directories.has(directory)) continue;
      watcher.close();
      this.#watchers.delete(directory);
    }
    this.#report("directories", [
      ...walk.unreadable.map((path) => unreadableDirectory(path)),
      ...this.#unwatched.map((path) => unwatchedDirectory(path)),
    ]);
  }

  #watch(directory: string, inode: string): void {
    const known = this.#watchers.get(directory);
    if (!this.#isWatching || this.#isClosed || known?.inode === inode) return;
    known?.watcher.close();
    this.#watchers.delete(directory);
    try {
      const watcher = watch(directory, { persistent: false }, (event, name) =>
        this.#onEvent(directory, name, event === "change"),
      );
      const forget = (): void => {
        watcher.close();
        if (this.#watchers.get(directory)?.watcher === watcher) this.#watchers.delete(directory);
      };
      watcher.on("error", forget);
      this.#watchers.set(directory, { watcher, inode });
    } catch {
      // No more watches to be had, or the directory is gone again: the poll finds changes, only later.
      this.#unwatched.push(relative(this.#root, directory));
    }
  }

  // Files

  async #readAll(due: Iterable<readonly [string, Dirty]>): Promise<void> {
    const all = [...due];
    for (const [path] of all) this.#dirty.delete(path);
    for (let index = 0; index < all.length; index += readsMax) {
      const batch = all.slice(index, index + readsMax);
      await Promise.all(batch.map(([path, dirty]) => this.#read(path, dirty)));
    }
  }

  async #read(path: string, { isGone, isWritten }: Dirty): Promise<void> {
    const found = isGone ? ({ kind: "gone" } as const) : await readManifestFile(join(this.#root, path));
    if (this.#isClosed) return;
    if (found.kind === "gone" && !isGone) {
      // Whether the file has gone, or the whole tree with it, and whether another path leads to it: a scan tells.
      this.#treeChangedAtMs = this.#clock.nowMs();
      return;
    }
    const known = this.#files.get(path);
    if (found.kind === "gone" && known === undefined) return;
    const file = known ?? { state: new FileState(path), signature: "", cancelLoss: null };
    this.#files.set(path, file);
    // Nobody replaces a file by nothing; but who is about to write it may just have made it.
    const isComplete =
      found.kind === "text" &&
      !isWritten &&
      isOtherFile(file.signature, found.signature) &&
      found.text.trim() !== "";
    file.signature = found.kind === "gone" ? "" : found.signature;
    if (found.kind === "unreadable") {
      file.state.fail(found.message);
      return;
    }
    const isChanged = file.state.update(found.kind === "gone" ? null : found.text);
    // Of several files saved together the next one may have what this one has lost.
    if (isComplete && this.#dirty.size === 0) file.state.believeLoss();
    if (!isChanged && file.cancelLoss !== null) return;
    file.cancelLoss?.();
    file.cancelLoss = file.state.hasPendingLoss
      ? this.#clock.after(lossMs, () => this.#enqueue(() => this.#believeLoss(path, file)))
      : null;
  }

  #believeLoss(path: string, file: Known): Promise<void> {
    file.cancelLoss = null;
    // A change has been seen but not read yet: the file is not still, and its next read decides.
    if (!this.#dirty.has(path)) {
      file.state.believeLoss();
      this.#publish();
    }
    return Promise.resolve();
  }

  // Objects

  /** Emits the difference between what the files say and what was emitted. The first file in path order wins. */
  #publish(): void {
    const states = [...this.#files.values()]
      .map((file) => file.state)
      .sort((a, b) => compareText(a.path, b.path));
    const winners = new Map<string, { readonly entry: FileEntry; readonly state: FileState }>();
    const duplicates = new Map<FileState, Diagnostic[]>();
    for (const state of states) {
      for (const entry of state.entries.values()) {
        const winner = winners.get(entry.key);
        if (winner === undefined) winners.set(entry.key, { entry, state });
        else {
          const text = state.duplicate(entry, `${winner.state.path}, ${winner.entry.place}`);
          duplicates.set(state, [...(duplicates.get(state) ?? []), text]);
        }
      }
    }
    for (const state of states) {
      for (const entry of state.held.values()) {
        if (!winners.has(entry.key)) winners.set(entry.key, { entry, state });
      }
    }
    this.#emitObjects(winners);
    for (const state of states)
      this.#report(state.path, [...state.diagnostics, ...(duplicates.get(state) ?? [])]);
    for (const [path, file] of this.#files) if (file.state.isEmpty) this.#forget(path);
  }

  #emitObjects(winners: ReadonlyMap<string, { readonly entry: FileEntry; readonly state: FileState }>): void {
    for (const [key, { entry, state }] of winners) {
      const before = this.#emitted.get(key)?.entry;
      this.#emitted.set(key, { entry, path: state.path });
      if (isSame(before, entry)) continue;
      this.#emit({ kind: "upsert", object: entry.object, findings: entry.findings });
    }
    for (const [key, { entry, path }] of this.#emitted) {
      if (winners.has(key)) continue;
      this.#emitted.delete(key);
      this.#emit({ kind: "delete", ref: refOf(entry.object), origin: path });
    }
  }

  #forget(path: string): void {
    this.#files.delete(path);
    this.#report(path, []);
  }

  #report(origin: string, diagnostics: readonly Diagnostic[]): void {
    const text = diagnostics.length === 0 ? "" : JSON.stringify(diagnostics);
    if ((this.#reported.get(origin) ?? "") === text) return;
    if (text === "") this.#reported.delete(origin);
    else this.#reported.set(origin, text);
    this.#emit({ kind: "report", origin, diagnostics });
  }

  #emit(event: Parameters<ObjectListener>[0]): void {
    if (!this.#isClosed) this.#listener(event);
  }
}

function isSame(a: FileEntry | undefined, b: FileEntry): boolean {
  if (a === undefined || a.object === b.object) return a !== undefined;
  return equalJson(a.object, b.object) && equalJson(a.findings, b.findings);
}

function unreadableDirectory(path: string): Diagnostic {
  return {
    severity: "error",
    reason: "UnreadableDirectory",
    message: "it cannot be read; what its files said keeps serving",
    object: { kind: "File", namespace: "", name: path === "" ? "." : path },
    field: "",
  };
}

function unwatchedDirectory(path: string): Diagnostic {
  return {
    severity: "warning",
    reason: "UnwatchedDirectory",
    message: `the system gives no watch for it (fs.inotify.max_user_watches?); changes are found every ${pollMs} ms`,
    object: { kind: "File", namespace: "", name: path === "" ? "." : path },
    field: "",
  };
}
