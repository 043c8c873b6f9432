import { expect, test } from "vitest";
import { equalJson } from "../../src/util/equal-json.ts";

const map = (...entries: [string, unknown][]): Map<string, unknown> => new Map(entries);

test.each<[string, unknown, unknown, boolean]>([
  ["objects in another order", { a: 1, b: [2] }, { b: [2], a: 1 }, true],
  ["one property more", { a: 1 }, { a: 1, b: 1 }, false],
  ["one property less", { a: 1, b: 1 }, { a: 1 }, false],
  ["nothing and one property", {}, { a: 1 }, false],
  ["undefined and no property", { a: undefined }, {}, false],
  ["an array and an object", [], {}, false],
  ["arrays of another length", [1], [1, 2], false],
  ["null and an object", null, {}, false],
  ["Maps in another order", map(["a", 1], ["b", 2]), map(["b", 2], ["a", 1]), true],
  ["Maps with another value", map(["a", 1]), map(["a", 2]), false],
  ["Maps with another key", map(["a", undefined]), map(["b", undefined]), false],
  ["Maps of another size", map(), map(["a", 1]), false],
  ["Maps inside", { m: { n: map(["a", { b: 1 }]) } }, { m: { n: map(["a", { b: 2 }]) } }, false],
  ["an empty Map and an empty object", map(), {}, false],
  ["an empty object and a Map", {}, map(["a", 1]), false],
])("%s", (_, a, b, equal) => {
  expect(equalJson(a, b)).toBe(equal);
  expect(equalJson(b, a)).toBe(equal);
});
