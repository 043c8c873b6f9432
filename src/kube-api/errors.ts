// What can go wrong with a request to the API server, in the two ways that callers tell apart.

/** The server answered, and it was no success. */
export class ApiError extends Error {
  readonly status: number;
  /** One word of the API: `NotFound`, `Expired`, `Forbidden`. Empty when the answer has none. */
  readonly reason: string;
  /** From `Retry-After`; -1 when there is none. */
  readonly retryAfterMs: number;

  constructor(status: number, reason: string, message: string, retryAfterMs = -1) {
    super(message);
    this.status = status;
    this.reason = reason;
    this.retryAfterMs = retryAfterMs;
  }
}

/** There was no answer, or it broke off: the network, TLS, a time-out. */
export class ApiUnreachable extends Error {}

/** `body` is what came with a status that is no success, or the object of an `ERROR` event: a `Status`, as a rule. */
export function apiError(status: number, body: unknown, retryAfter: string | undefined): ApiError {
  const fields: Readonly<Record<string, unknown>> =
    typeof body === "object" && body !== null ? { ...body } : {};
  const { reason, message, code } = fields;
  return new ApiError(
    status === 0 && typeof code === "number" ? code : status,
    typeof reason === "string" ? reason : "",
    typeof message === "string" && message !== "" ? message : `the API server answered ${status}`,
    retryAfterMs(retryAfter),
  );
}

/** Seconds; the API server sends no dates. */
function retryAfterMs(text: string | undefined): number {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) * 1000 : -1;
}
