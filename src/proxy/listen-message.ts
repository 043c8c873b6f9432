// What a person is told when a port cannot be bound: where, why, and by which flag to choose another.

export function listenMessage(
  flag: string,
  address: string | undefined,
  port: number,
  cause: unknown,
): string {
  const code = cause instanceof Error && "code" in cause ? cause.code : undefined;
  const where = address === undefined ? `port ${port}` : `${address} port ${port}`;
  if (code === "EADDRINUSE") return `${where} is in use by another program; choose another with ${flag}`;
  if (code === "EACCES") return `${where} needs privileges; choose one above 1023 with ${flag}`;
  const detail = cause instanceof Error ? cause.message : String(cause);
  return `cannot listen on ${where} (${flag}): ${detail}`;
}
