// What we tell users about their objects. Made by sources and translate, shown by the CLI and the admin page.
import { formatRef, type ObjectRef } from "./object-ref.ts";
import { compareText } from "./order.ts";

/** `error`: something does not work as written. `warning`: it works, but perhaps not as meant. `info`: worth knowing. */
export type Severity = "error" | "warning" | "info";

export interface Diagnostic {
  readonly severity: Severity;
  /** One CamelCase word, stable across releases: `ServiceNotFound`. */
  readonly reason: string;
  /** What was found, what was expected, what Fairway did instead. One or two sentences. */
  readonly message: string;
  readonly object: ObjectRef;
  /** Where in the object: `spec.rules[0].host`, or the annotation's name; for a file `line 3`. Empty: the whole. */
  readonly field: string;
}

/** `Ingress default/web, spec.rules[0].host: InvalidHost: "a:80" has a port; ...` */
export function formatDiagnostic(diagnostic: Diagnostic): string {
  const field = diagnostic.field === "" ? "" : `, ${diagnostic.field}`;
  return `${formatRef(diagnostic.object)}${field}: ${diagnostic.reason}: ${diagnostic.message}`;
}

const severityRank: Record<Severity, number> = { error: 0, warning: 1, info: 2 };

/** Errors first, then by object, field, reason and text, so that equal inputs give equal lists. */
export function compareDiagnostics(a: Diagnostic, b: Diagnostic): number {
  return (
    severityRank[a.severity] - severityRank[b.severity] ||
    compareText(formatRef(a.object), formatRef(b.object)) ||
    compareText(a.field, b.field) ||
    compareText(a.reason, b.reason) ||
    compareText(a.message, b.message)
  );
}
