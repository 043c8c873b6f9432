// AdmissionReview (admission.k8s.io/v1): what the API server asks, and the answer in its form. Whoever asks may be anybody,
// so everything is checked, and everything that is said has a bound.
import { isFields, type Fields } from "../decode/reader.ts";

export interface AdmissionRequest {
  readonly uid: string;
  /** Empty: the object itself. */
  readonly subResource: string;
  /** `networking.k8s.io/v1 Ingress`. */
  readonly kind: string;
  /** `CREATE`, `UPDATE`, `DELETE` or `CONNECT`. */
  readonly operation: string;
  readonly namespace: string;
  readonly object: unknown;
  /** Null: there is none. */
  readonly oldObject: unknown;
}

export interface Verdict {
  readonly isAllowed: boolean;
  /** Why not; empty when it is allowed. */
  readonly message: string;
  readonly warnings: readonly string[];
  /** For the metrics. */
  readonly outcome: AdmissionOutcome;
}

/** `skipped`: another kind, a deletion, a status; `foreign`: another controller's. */
export type AdmissionOutcome = "allowed" | "warned" | "refused" | "foreign" | "skipped";

/** The text of a review that is none. */
export class ReviewError extends Error {}

/** More than the API server ever sends: a UUID has 36. */
const uidMaxLength = 128;
/** The API server shows 4096 characters of all warnings together, and of each 256 for sure. */
const warningsMax = 12;
const warningMaxLength = 256;
const messageMaxLength = 2_048;

/** Throws a `ReviewError`. */
export function readReview(value: unknown): AdmissionRequest {
  if (!isFields(value)) throw new ReviewError("found no map, expected an AdmissionReview");
  if (value["apiVersion"] !== "admission.k8s.io/v1" || value["kind"] !== "AdmissionReview") {
    throw new ReviewError("expected apiVersion admission.k8s.io/v1 and kind AdmissionReview");
  }
  const request = value["request"];
  if (!isFields(request)) throw new ReviewError("request: expected a map");
  const uid = text(request, "uid");
  if (uid === "" || uid.length > uidMaxLength) {
    throw new ReviewError(`request.uid: expected 1 to ${uidMaxLength} characters`);
  }
  const kind = request["kind"];
  if (!isFields(kind)) throw new ReviewError("request.kind: expected a map");
  const [group, version, name] = [text(kind, "group"), text(kind, "version"), text(kind, "kind")];
  const operation = text(request, "operation");
  if (!["CREATE", "UPDATE", "DELETE", "CONNECT"].includes(operation)) {
    throw new ReviewError("request.operation: expected CREATE, UPDATE, DELETE or CONNECT");
  }
  return {
    uid,
    subResource: text(request, "subResource"),
    kind: `${group === "" ? "" : `${group}/`}${version} ${name}`,
    operation,
    namespace: text(request, "namespace"),
    object: request["object"] ?? null,
    oldObject: request["oldObject"] ?? null,
  };
}

function text(fields: Fields, key: string): string {
  const value = fields[key] ?? "";
  if (typeof value !== "string") throw new ReviewError(`request: ${key}: expected a string`);
  return value;
}

/** The object that goes back. */
export function reviewAnswer(uid: string, { isAllowed, message, warnings }: Verdict): unknown {
  const shown = boundedWarnings(warnings);
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    response: {
      uid,
      allowed: isAllowed,
      ...(isAllowed ? {} : { status: { code: 400, reason: "BadRequest", message } }),
      ...(shown.length === 0 ? {} : { warnings: shown }),
    },
  };
}

function boundedWarnings(warnings: readonly string[]): readonly string[] {
  const shown = warnings.slice(0, warningsMax).map((each) => cut(each, warningMaxLength));
  const left = warnings.length - shown.length;
  return left <= 0 ? shown : [...shown, `and ${left} more; the events of the Ingress have them`];
}

/** Several reasons as one text. */
export function joinReasons(reasons: readonly string[]): string {
  let joined = "";
  for (const [index, reason] of reasons.entries()) {
    const next = `${joined}${joined === "" ? "" : "; "}${cut(reason, messageMaxLength / 4)}`;
    if (next.length > messageMaxLength) return `${joined}; and ${reasons.length - index} more`;
    joined = next;
  }
  return joined;
}

/** Control characters of a message could forge lines in a log or on a terminal. In bytes, since a header carries it. */
export function cut(value: string, maxBytes: number): string {
  const plain = value.replaceAll(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g, " ");
  if (Buffer.byteLength(plain) <= maxBytes) return plain;
  // A character that was cut in two comes out as the one that stands for what cannot be read.
  const kept = Buffer.from(plain)
    .subarray(0, maxBytes - 3)
    .toString()
    .replace(/\ufffd+$/, "");
  return `${kept}...`;
}
