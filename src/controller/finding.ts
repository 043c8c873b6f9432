// What decoding found wrong in an object. Kept apart from its consequence, because that depends on whether an older
// good version of the object is there to serve on: the store knows, the decoder does not.
import type { Diagnostic, Severity } from "../ir/diagnostic.ts";
import type { ObjectRef } from "../ir/object-ref.ts";

export interface Finding {
  readonly severity: Severity;
  /** The API server would not have taken the object, so an older good version of it is to serve on. */
  readonly isRefusal: boolean;
  readonly reason: string;
  /** What was found and what was expected. */
  readonly message: string;
  /** What the object loses when it is used nevertheless: `the rule is left out`. */
  readonly consequence: string;
  readonly object: ObjectRef;
  readonly field: string;
}

export function findingDiagnostic(finding: Finding, consequence = finding.consequence): Diagnostic {
  const { severity, reason, object, field } = finding;
  const message = consequence === "" ? finding.message : `${finding.message}; ${consequence}`;
  return { severity, reason, message, object, field };
}
