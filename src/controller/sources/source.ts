// Where objects come from. The Kubernetes API and a directory of manifests are peers: both emit the same events, so
// that whatever works in a cluster works offline.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import type { ObjectRef } from "../../ir/object-ref.ts";
import type { Finding } from "../finding.ts";
import type { KubeObject } from "../objects.ts";

export type ObjectEvent =
  /** The object is new or has changed. `findings`: what decoding had to leave out of it. */
  | { readonly kind: "upsert"; readonly object: KubeObject; readonly findings: readonly Finding[] }
  /** `origin`: where it was, such as its file; empty when there is nothing to say. */
  | { readonly kind: "delete"; readonly ref: ObjectRef; readonly origin: string }
  /** Once: everything that existed at the start has been emitted. */
  | { readonly kind: "synced" }
  /**
   * Whether IngressClasses may be read; said only of a cluster that does not let us. Until told otherwise what there is
   * has been emitted.
   */
  | { readonly kind: "classes"; readonly areReadable: boolean }
  /** Replaces what the source said before about `origin`: a file, or another thing that is no object. */
  | { readonly kind: "report"; readonly origin: string; readonly diagnostics: readonly Diagnostic[] };

export type ObjectListener = (event: ObjectEvent) => void;

export interface Source {
  /** Emits all objects, then `synced`, then every change. Rejects when the source cannot be read at all. */
  start(listener: ObjectListener): Promise<void>;
  /** No event comes after the call; resolves when nothing of the source is left open. */
  close(): Promise<void>;
}
