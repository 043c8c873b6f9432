// Checks of our own assumptions. A failure is a bug in Fairway, never the fault of a user or a peer.

export class AssertionError extends Error {
  override name = "AssertionError";
}

export function assert(condition: boolean, message = "assertion failed"): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** Ends a switch over a union: a forgotten member is a type error here, and an assertion at run time. */
export function assertNever(value: never): never {
  throw new AssertionError(`unexpected value ${JSON.stringify(value)}`);
}
