// What a failed write says about the writes after it.
import { ApiError } from "../../kube-api/errors.ts";

export interface WriteFailure {
  /** The server cannot be reached, or wants to be left alone: it is not about one object. */
  readonly isGeneral: boolean;
  /** The server's own wish; -1: none. */
  readonly retryAfterMs: number;
  /** One word for many failures of the same kind. */
  readonly kind: string;
  readonly message: string;
}

export function judgeWrite(cause: unknown): WriteFailure {
  const message = cause instanceof Error ? cause.message : String(cause);
  if (!(cause instanceof ApiError))
    return { isGeneral: true, retryAfterMs: -1, kind: "Unreachable", message };
  const { status, reason, retryAfterMs } = cause;
  // A webhook that fails is a 500, and about this object as far as we know.
  const isGeneral = status === 429 || status === 503;
  return { isGeneral, retryAfterMs, kind: reason === "" ? String(status) : reason, message };
}
