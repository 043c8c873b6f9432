// Whether an Ingress may be created or changed. It is refused for what is wrong in itself, which no other object could
// mend, and for paths that others have; what it lacks of others is a warning, since they may come later.
import { formatDiagnostic, type Diagnostic } from "../../ir/diagnostic.ts";
import { formatRef, refKey, type ObjectRef } from "../../ir/object-ref.ts";
import { quote } from "../annotations.ts";
import { decodeObject } from "../decode/decode.ts";
import { isAbsent, isFields } from "../decode/reader.ts";
import { findingDiagnostic } from "../finding.ts";
import { refOf, type IngressObject } from "../objects.ts";
import { describeHost } from "../translate/host.ts";
import type { PathClash, TrialResult } from "../translate/trial.ts";
import { joinReasons, ReviewError, type AdmissionRequest, type Verdict } from "./review.ts";

/** What becomes of a path that another Ingress has. */
export type PathConflicts = "refuse" | "refuse-other-namespace" | "warn";

export interface JudgeOptions {
  readonly pathConflicts: PathConflicts;
  /** The flags leave no namespace out, or not this one. */
  readonly isWatched: (namespace: string) => boolean;
  readonly tryOut: (candidate: IngressObject, old: IngressObject | null) => TrialResult;
}

/** Warnings about an Ingress that has no effect at all. */
const refusedReasons: ReadonlySet<string> = new Set(["CatchAllDisabled"]);

const ingressKind = "networking.k8s.io/v1 Ingress";

const skipped: Verdict = { isAllowed: true, message: "", warnings: [], outcome: "skipped" };
const foreign: Verdict = { ...skipped, outcome: "foreign" };

/** Throws a `ReviewError` when the object is not what the request says. */
export function judge(request: AdmissionRequest, options: JudgeOptions): Verdict {
  const { kind, operation, subResource, namespace } = request;
  const isJudged = operation === "CREATE" || operation === "UPDATE";
  if (kind !== ingressKind || subResource !== "" || !isJudged) return skipped;
  const { object: candidate, diagnostics } = decode(request.object, "object", namespace);
  // What is being deleted must lose its finalizers, whatever else is in it.
  if (isBeingDeleted(request.object)) return skipped;
  if (!options.isWatched(namespace)) return foreign;
  const before = operation === "UPDATE" ? decode(request.oldObject, "oldObject", namespace) : null;
  const old = before?.object ?? null;
  if (old !== null && refKey(refOf(old)) !== refKey(refOf(candidate))) {
    throw new ReviewError("request: object and oldObject have different names");
  }
  const trial = options.tryOut(candidate, old);
  if (trial.foreignBecause !== null) return foreign;
  const known = new Set([...(before?.diagnostics ?? []), ...trial.ownBefore].map(keyOf));
  return weigh(refOf(candidate), options.pathConflicts, {
    own: [...diagnostics, ...trial.own],
    known,
    trial,
  });
}

function decode(
  value: unknown,
  name: string,
  namespace: string,
): { readonly object: IngressObject; readonly diagnostics: readonly Diagnostic[] } {
  const { object, findings } = decodeObject(value);
  if (object === null || object.kind !== "Ingress")
    throw new ReviewError(`request.${name}: expected an Ingress`);
  if (object.meta.namespace !== namespace) {
    throw new ReviewError(`request.${name}: its namespace is not that of the request`);
  }
  return { object, diagnostics: findings.map((finding) => findingDiagnostic(finding)) };
}

function isBeingDeleted(value: unknown): boolean {
  const metadata = isFields(value) ? value["metadata"] : null;
  return isFields(metadata) && !isAbsent(metadata["deletionTimestamp"]);
}

/** `known`: what was wrong before the change; it must not keep the rest of an Ingress from being changed. */
function weigh(
  ref: ObjectRef,
  pathConflicts: PathConflicts,
  {
    own,
    known,
    trial,
  }: {
    readonly own: readonly Diagnostic[];
    readonly known: ReadonlySet<string>;
    readonly trial: TrialResult;
  },
): Verdict {
  const refusals: string[] = [];
  const warnings: string[] = [];
  for (const each of own) {
    if (each.severity === "info") continue;
    const isRefused =
      (each.severity === "error" || refusedReasons.has(each.reason)) && !known.has(keyOf(each));
    (isRefused ? refusals : warnings).push(describe(each));
  }
  const refusedFields = new Set<string>();
  for (const clash of trial.clashes) {
    // Otherwise whoever loses the path has a diagnostic among the news.
    if (!refusesClash(clash, ref, pathConflicts)) continue;
    refusals.push(describeClash(clash));
    refusedFields.add(clash.field);
  }
  for (const each of trial.news) {
    const isOwn = refKey(each.object) === refKey(ref);
    if (each.severity === "info" || (isOwn && refusedFields.has(each.field))) continue;
    warnings.push(isOwn ? describe(each) : formatDiagnostic(each));
  }
  if (refusals.length > 0) {
    return { isAllowed: false, message: joinReasons(refusals), warnings, outcome: "refused" };
  }
  return { isAllowed: true, message: "", warnings, outcome: warnings.length === 0 ? "allowed" : "warned" };
}

function refusesClash({ other }: PathClash, ref: ObjectRef, pathConflicts: PathConflicts): boolean {
  if (pathConflicts === "refuse-other-namespace") return other.namespace !== ref.namespace;
  return pathConflicts === "refuse";
}

function describeClash({ field, host, path, pathType, other, isLost }: PathClash): string {
  const claim = `${pathType} path ${quote(path)} of ${describeHost(host)}`;
  const consequence = isLost ? "" : ", which is younger and would lose it";
  return `${field}: PathConflict: ${claim} is already declared by ${formatRef(other)}${consequence}`;
}

function describe({ field, reason, message }: Diagnostic): string {
  return `${field === "" ? "" : `${field}: `}${reason}: ${message}`;
}

function keyOf({ field, reason, message }: Diagnostic): string {
  return JSON.stringify([field, reason, message]);
}
