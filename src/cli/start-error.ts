// Why a command cannot start, in words for the person who gave it. Printed without a stack; the exit code is 1.

export class StartError extends Error {
  override name = "StartError";
}

/** The text for a port that cannot be bound. Ends in the system's code, for scripts. */
export function listenError(flag: string, host: string, port: number, cause: unknown): StartError {
  const code = systemCode(cause);
  const where = host === "" ? `port ${port}` : `${host} port ${port}`;
  if (code === "EADDRINUSE") {
    return new StartError(`${where} is in use by another program; choose another with ${flag} (${code})`, {
      cause,
    });
  }
  if (code === "EACCES") {
    return new StartError(`${where} needs privileges; choose one above 1023 with ${flag} (${code})`, {
      cause,
    });
  }
  const detail = cause instanceof Error ? cause.message : String(cause);
  return new StartError(`cannot listen on ${where} (${flag}): ${detail}`, { cause });
}

/** `EADDRINUSE`, of the error itself or of the one that caused it; empty when there is none. */
export function systemCode(error: unknown): string {
  if (!(error instanceof Error)) return "";
  return "code" in error ? String(error.code) : systemCode(error.cause);
}
