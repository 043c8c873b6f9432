// Regular expressions that users write, matched in time linear in the input (RE2 semantics, by re2js).
// JavaScript's own engine backtracks: one `(a+)+$` in one tenant's annotation would stall the proxy for all.
import { RE2JS } from "re2js";

export interface LinearRegex {
  /** True when the expression matches anywhere in `text`. */
  test(text: string): boolean;
}

/** Longest accepted expression, in characters. */
export const patternMaxLength = 1024;

/** Returns the reason as a string when the expression is not valid, too long, or uses look-around or back-references. */
export function compileLinearRegex(pattern: string): LinearRegex | string {
  if (pattern.length > patternMaxLength) return `longer than ${patternMaxLength} characters`;
  try {
    const compiled = RE2JS.compile(pattern);
    return { test: (text) => compiled.matcher(text).find() };
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
