// What a failed request means for the stream: whether to list again, what to tell, and when to come back.
import { AccessError } from "../../../kube-api/access.ts";
import { ApiError } from "../../../kube-api/errors.ts";
import { UnreadableAnswer } from "./page.ts";

export interface Failure {
  /** One CamelCase word, for diagnostics. */
  readonly reason: FailureReason;
  /** What was found. */
  readonly message: string;
  /** What is known may be behind in a way that a watch does not catch up. */
  readonly isListNeeded: boolean;
  /** Else told only when it happens again: connections break, and servers restart, every day. */
  readonly isToldAtOnce: boolean;
  /** Another stream that gets through shows that this one would, too. */
  readonly isNetwork: boolean;
  /** The server's own wish; -1: none. */
  readonly retryAfterMs: number;
}

export const failureReasons = [
  "Expired",
  "Forbidden",
  "Unauthorized",
  "ApiRefused",
  "ApiUnreachable",
  "UnreadableAnswer",
] as const;
export type FailureReason = (typeof failureReasons)[number];

export function judgeFailure(cause: unknown): Failure {
  const message = cause instanceof Error ? cause.message : String(cause);
  const plain = { message, isListNeeded: false, isToldAtOnce: true, isNetwork: false, retryAfterMs: -1 };
  if (cause instanceof UnreadableAnswer) return { ...plain, reason: "UnreadableAnswer", isListNeeded: true };
  if (cause instanceof AccessError) return { ...plain, reason: "Unauthorized" };
  if (!(cause instanceof ApiError)) {
    return { ...plain, reason: "ApiUnreachable", isToldAtOnce: false, isNetwork: true };
  }
  const answered = { ...plain, message: `the API server: ${message}`, retryAfterMs: cause.retryAfterMs };
  // 410: the history has been compacted, or a list took longer than its continuation lives.
  if (cause.status === 410 || cause.reason === "Expired" || cause.reason === "Gone") {
    return { ...answered, reason: "Expired", isListNeeded: true, isToldAtOnce: false };
  }
  if (cause.status === 401) return { ...answered, reason: "Unauthorized" };
  if (cause.status === 403) return { ...answered, reason: "Forbidden" };
  const isPassing = cause.status === 429 || cause.status >= 500;
  // Whatever else it does not like about where we watch from, a list begins anew.
  return { ...answered, reason: "ApiRefused", isListNeeded: !isPassing, isToldAtOnce: !isPassing };
}
