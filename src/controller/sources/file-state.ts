// What one manifest file contributes, and when its losses are believed. Editors truncate before they write, or unlink
// and create anew: seen at the wrong moment, a file has lost objects that its owner never meant to remove. Additions
// and changes are believed at once; a loss, and a last document that a loss makes doubtful, only when the file has not
// changed for a while or was replaced as a whole.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { refKey } from "../../ir/object-ref.ts";
import { equalJson } from "../../util/equal-json.ts";
import { findingDiagnostic, type Finding } from "../finding.ts";
import { refOf, type KubeObject } from "../objects.ts";
import {
  parseManifest,
  type Manifest,
  type ManifestCache,
  type ManifestEntry,
  type ManifestProblem,
} from "./manifests.ts";

export interface FileEntry {
  readonly key: string;
  readonly object: KubeObject;
  readonly findings: readonly Finding[];
  /** In the file: `line 3`. */
  readonly place: string;
  /** Its document. */
  readonly text: string;
}

type Entries = ReadonlyMap<string, FileEntry>;

export class FileState {
  /** Relative to the directory. */
  readonly path: string;
  /** Served. */
  entries: Entries = new Map();
  /** Served until the loss is believed, unless another file has them. */
  held: Entries = new Map();
  diagnostics: readonly Diagnostic[] = [];
  /** Null: the file is gone; undefined: not known. */
  #text: string | null | undefined = undefined;
  #cache: ManifestCache = new Map();
  /** What the file says when its loss is believed. */
  #pending: { readonly entries: Entries; readonly diagnostics: readonly Diagnostic[] } | null = null;

  constructor(path: string) {
    this.path = path;
  }

  get hasPendingLoss(): boolean {
    return this.#pending !== null;
  }

  get isEmpty(): boolean {
    return this.#text === null && this.entries.size === 0 && this.held.size === 0;
  }

  /** Takes new content; null: the file is gone. False when it is what it was before. */
  update(text: string | null): boolean {
    if (text === this.#text) return false;
    this.#text = text;
    const manifest = parseManifest(text ?? "", this.path.endsWith(".json"), this.#cache);
    const served: Entries = new Map([...this.held, ...this.entries]);
    this.#pending = null;
    this.held = new Map();
    if (manifest.problems.length > 0 && served.size > 0) {
      this.entries = served;
      const consequence = "the last good version of the file keeps serving";
      this.diagnostics = manifest.problems.map((problem) => this.#invalid(problem, consequence));
      return true;
    }
    this.#cache = manifest.cache;
    this.#take(manifest, served, text ?? "");
    const consequence =
      manifest.entries.length > 0 ? "the document is left out, the others are served" : "the file is ignored";
    const invalid = manifest.problems.map((problem) => this.#invalid(problem, consequence));
    this.diagnostics = [...invalid, ...this.diagnostics];
    return true;
  }

  #invalid({ line, message }: ManifestProblem, consequence: string): Diagnostic {
    return this.#report("error", "InvalidManifest", `line ${line}`, `${message}; ${consequence}`);
  }

  /** The file could not be read: what it contributed stays. */
  fail(message: string): void {
    this.#text = undefined;
    const consequence = this.entries.size > 0 ? "its last good version keeps serving" : "the file is ignored";
    this.diagnostics = [this.#report("error", "UnreadableManifest", "", `${message}; ${consequence}`)];
  }

  /** The file has not changed for long enough: what is missing is meant to be missing. */
  believeLoss(): void {
    if (this.#pending === null) return;
    this.entries = this.#pending.entries;
    this.diagnostics = this.#pending.diagnostics;
    this.held = new Map();
    this.#pending = null;
  }

  duplicate(entry: FileEntry, winner: string): Diagnostic {
    const object = refOf(entry.object);
    const name = object.namespace === "" ? object.name : `${object.namespace}/${object.name}`;
    const message = `${object.kind} ${name} is already defined in ${winner}; this one is ignored`;
    return this.#report("warning", "DuplicateObject", entry.place, message);
  }

  #take(manifest: Manifest, served: Entries, text: string): void {
    const diagnostics: Diagnostic[] = [];
    const fresh = new Map<string, FileEntry>();
    for (const entry of manifest.entries) {
      const { object, findings } = entry.decoded;
      if (object === null) {
        diagnostics.push(...findings.map((finding) => this.#place(finding, entry)));
        continue;
      }
      const key = refKey(refOf(object));
      const winner = fresh.get(key);
      const next: FileEntry = { key, object, findings, place: entry.place, text: entry.text };
      if (winner === undefined) fresh.set(key, next);
      else diagnostics.push(this.duplicate(next, `${this.path}, ${winner.place}`));
    }
    const lost = new Map([...served].filter(([key]) => !fresh.has(key)));
    const cut = this.path.endsWith(".json") ? new Set<string>() : cutEntries(manifest, fresh, served, text);
    this.held = lost;
    if (lost.size === 0 && cut.size === 0) {
      this.entries = fresh;
      this.diagnostics = diagnostics;
      return;
    }
    const complete = [...fresh].filter(([key]) => !cut.has(key));
    this.entries = new Map([...complete, ...[...served].filter(([key]) => cut.has(key))]);
    this.#pending = { entries: fresh, diagnostics };
  }

  /** Findings about things without a name are about a place in the file. */
  #place(finding: Finding, entry: ManifestEntry): Diagnostic {
    const diagnostic = findingDiagnostic(finding);
    if (finding.object.kind !== "Object")
      return { ...diagnostic, message: `${diagnostic.message} (${this.path}, ${entry.place})` };
    return this.#report(finding.severity, finding.reason, entry.place, diagnostic.message);
  }

  #report(severity: Diagnostic["severity"], reason: string, field: string, message: string): Diagnostic {
    const object = { kind: "File", namespace: "", name: this.path };
    return { severity, reason, message, object, field };
  }
}

/**
 * Objects of the last document that may be half written. It may when the documents after it have gone; else when it is
 * shorter than it was, and is a beginning of that or does not end in a newline.
 */
function cutEntries(manifest: Manifest, fresh: Entries, served: Entries, text: string): ReadonlySet<string> {
  const last = manifest.entries.at(-1)?.text;
  const hasLost = [...served.keys()].some((key) => !fresh.has(key));
  const isOpen = !text.endsWith("\n");
  const cut = new Set<string>();
  for (const [key, entry] of fresh) {
    if (entry.text !== last) continue;
    const before = served.get(key);
    if (before !== undefined && equalJson(before.object, entry.object)) continue;
    const isShorter = before !== undefined && entry.text.length < before.text.length;
    // An object that is new may be one that nobody meant: its name may have been cut short, too.
    if (hasLost || (isShorter && (isOpen || before.text.startsWith(entry.text.trimEnd())))) cut.add(key);
  }
  return cut;
}
