// Waits for what other processes bring about and do not tell. Looked at again and again, with an end.
import { setTimeout as delay } from "node:timers/promises";

const pauseMs = 25;

export interface EventuallyOptions {
  /** Ends the sentence `gave up waiting for ...`. */
  readonly what: string | (() => string);
  /** Default 20 s. */
  readonly timeoutMs?: number;
}

/** Resolves with the first value of `look` that is neither false, null nor undefined. A throw is passed on at once. */
export async function eventually<Value>(
  look: () => Promise<Value | false | null | undefined> | Value | false | null | undefined,
  { what, timeoutMs = 20_000 }: EventuallyOptions,
): Promise<Value> {
  const end = performance.now() + timeoutMs;
  for (;;) {
    const value = await look();
    if (value !== false && value !== null && value !== undefined) return value;
    if (performance.now() > end) {
      throw new Error(`gave up waiting for ${typeof what === "string" ? what : what()}`);
    }
    await delay(pauseMs);
  }
}
