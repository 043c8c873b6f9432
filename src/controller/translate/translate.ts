// Kubernetes objects to routing IR, as one function. The steps are in translator.ts, which also keeps a translation up to
// date; this is the same from nothing.
import { compareDiagnostics, formatDiagnostic, type Diagnostic } from "../../ir/diagnostic.ts";
import type { RoutingIr } from "../../ir/routing.ts";
import { TableParts } from "../../ir/table-parts.ts";
import type { KubeObject } from "../objects.ts";
import { ObjectStore } from "../store.ts";
import type { TranslateOptions } from "./options.ts";
import { Translator } from "./translator.ts";

export interface Translation {
  readonly ir: RoutingIr;
  /** Sorted; no duplicates. */
  readonly diagnostics: readonly Diagnostic[];
}

/**
 * Total and pure: no I/O, clock, randomness or throw; the order of `objects` does not change the result. No two of
 * them have the same kind, namespace and name.
 */
export function translate(objects: readonly KubeObject[], options: TranslateOptions): Translation {
  const store = new ObjectStore(options);
  for (const object of objects) store.upsert(object, []);
  const translator = new Translator(store.index, options, (kind, key) => store.referrersOf(kind, key));
  const parts = new TableParts();
  do parts.apply(translator.build());
  while (translator.isDue);
  return { ir: parts.toIr(), diagnostics: sortDiagnostics(translator.diagnostics()) };
}

/** Sorted, without duplicates. */
export function sortDiagnostics(diagnostics: readonly Diagnostic[]): readonly Diagnostic[] {
  const unique = new Map(diagnostics.map((each) => [`${each.severity} ${formatDiagnostic(each)}`, each]));
  return [...unique.values()].sort(compareDiagnostics);
}
