// Regular expressions that users write, matched in time linear in the input (RE2 semantics, by re2js).
// JavaScript's own engine backtracks: one `(a+)+$` in one tenant's annotation would stall the proxy for all.
import { RE2JS } from "re2js";

export interface LinearRegex {
  /** True when the expression matches anywhere in `text`; false for texts beyond `inputMaxLength`. */
  test(text: string): boolean;
}

/** Longest accepted expression, in characters. */
export const patternMaxLength = 1024;
/**
 * Instructions of the compiled expression: `(a?){1000}` is ten characters and thousands of them. Linear time is
 * instructions times input, so both have to be bounded: at the maximum of both a match takes about 10 ms.
 */
export const programMaxSize = 250;
/** Longest text that is searched, in characters; a longer one does not match. */
export const inputMaxLength = 1024;

/** Returns the reason as a string when the expression is not valid, too long or large, or uses look-around or back-references. */
export function compileLinearRegex(pattern: string): LinearRegex | string {
  if (pattern.length > patternMaxLength) return `longer than ${patternMaxLength} characters`;
  try {
    const compiled = RE2JS.compile(pattern);
    const size = compiled.programSize();
    if (size > programMaxSize)
      return `too large: ${size} steps once its repeats are written out, of ${programMaxSize}`;
    return { test: (text) => text.length <= inputMaxLength && compiled.matcher(text).find() };
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
