// Kubernetes objects to routing IR: the ordered list of steps.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import type { RoutingIr } from "../../ir/routing.ts";
import type { KubeObject } from "../objects.ts";
import type { TranslateOptions } from "./options.ts";

export interface Translation {
  readonly ir: RoutingIr;
  /** Sorted; no duplicates. */
  readonly diagnostics: readonly Diagnostic[];
}

/** Total and pure: no I/O, clock, randomness or throw; the order of `objects` does not change the result. */
export function translate(objects: readonly KubeObject[], options: TranslateOptions): Translation {
  void objects;
  void options;
  throw new Error("not written yet");
}
