import { expect, test } from "vitest";
import { compileLinearRegex, inputMaxLength, patternMaxLength } from "../../src/util/linear-regex.ts";

test.each([
  ["^v[0-9]+$", "v12", true],
  ["^v[0-9]+$", "xv12", false],
  ["b", "abc", true],
  ["(a+)+$", `${"a".repeat(inputMaxLength - 1)}b`, false],
])("%s on %j: %s", (pattern, text, expected) => {
  const regex = compileLinearRegex(pattern);
  expect(typeof regex).not.toBe("string");
  expect(typeof regex === "string" ? null : regex.test(text)).toBe(expected);
});

test("a text that is too long does not match", () => {
  const regex = compileLinearRegex("a");
  expect(typeof regex === "string" ? null : regex.test("a".repeat(inputMaxLength + 1))).toBe(false);
});

test.each([
  ["(?=a)", /look|perl|invalid/i],
  ["(a)\\1", /escape/i],
  ["a".repeat(patternMaxLength + 1), /longer than/],
  // Few characters, thousands of steps for each character of the input.
  ["((.?){1000}(.?){1000}[bc])", /too large/],
])("%s is refused", (pattern, expected) => {
  expect(compileLinearRegex(pattern)).toMatch(expected);
});
