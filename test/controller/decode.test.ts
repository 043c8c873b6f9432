import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { decodeObject } from "../../src/controller/decode/decode.ts";
import type { KubeObject } from "../../src/controller/objects.ts";
import { defaultTranslateOptions } from "../../src/controller/translate/options.ts";
import { translate } from "../../src/controller/translate/translate.ts";
import { features } from "../../src/features/registry.ts";
import { expectWellFormed, shuffled } from "./support.ts";

const golden = join(import.meta.dirname, "../golden");
/** Real objects to break. */
const samples: readonly unknown[] = readdirSync(golden, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && entry.name !== "bad-yaml")
  .flatMap((entry) => parseAllDocuments(readFileSync(join(golden, entry.name, "in.yaml"), "utf8")))
  .map((document) => document.toJS() as unknown);

const junk = fc.oneof(
  fc.anything({
    withDate: true,
    withNullPrototype: true,
    withSparseArray: true,
    withBigInt: true,
    maxDepth: 2,
  }),
  fc.constantFrom<unknown>(
    "",
    "/",
    "..",
    "a.example",
    "nginx",
    "*.",
    -1,
    0,
    1e9,
    Number.NaN,
    "__proto__",
    [null],
    {},
  ),
);

/** A copy with one value somewhere in it replaced or removed, chosen by `path`. */
function broken(value: unknown, path: readonly number[], replacement: unknown): unknown {
  if (typeof value !== "object" || value === null || value instanceof Date || path.length === 0)
    return replacement;
  const keys = Object.keys(value);
  if (keys.length === 0) return replacement;
  const key = keys[(path[0] ?? 0) % keys.length] ?? "";
  const copy: Record<string, unknown> | unknown[] = Array.isArray(value) ? [...value] : { ...value };
  const fields = copy as Record<string, unknown>;
  fields[key] = broken(fields[key], path.slice(1), replacement);
  return copy;
}

test("anything at all decodes to an object or to none, and never throws", () => {
  fc.assert(
    fc.property(fc.anything({ withDate: true, withBigInt: true, withNullPrototype: true }), (value) => {
      const { object, findings } = decodeObject(value);
      expect(object).toBeNull();
      expect(findings.length).toBeGreaterThan(0);
    }),
    { numRuns: 1_000 },
  );
});

test("real objects with something broken in them translate, and the IR keeps every promise", () => {
  const options = {
    ...defaultTranslateOptions,
    parsers: features,
    offline: true,
    configMap: "default/fairway",
  };
  const breakage = fc.record({
    index: fc.nat(),
    path: fc.array(fc.nat({ max: 20 }), { minLength: 1, maxLength: 9 }),
    replacement: junk,
  });
  fc.assert(
    fc.property(fc.array(breakage, { minLength: 1, maxLength: 8 }), fc.nat(), (breakages, seed) => {
      const values = shuffled(samples, seed + 1).slice(0, 40);
      for (const { index, path, replacement } of breakages) {
        const at = index % values.length;
        values[at] = broken(values[at], path, replacement);
      }
      const objects = new Map<string, KubeObject>();
      for (const value of values) {
        const { object, findings } = decodeObject(value);
        for (const finding of findings) expect(finding.message.length).toBeLessThan(1_000);
        if (object !== null)
          objects.set(`${object.kind} ${object.meta.namespace}/${object.meta.name}`, object);
      }
      const { ir, diagnostics } = translate([...objects.values()], options);
      expectWellFormed(ir);
      for (const each of diagnostics) expect(each.reason).toMatch(/^[A-Z][A-Za-z0-9]+$/);
      const again = translate(shuffled([...objects.values()], seed + 2), options);
      expect(again).toEqual({ ir, diagnostics });
    }),
    { numRuns: 300 },
  );
});

test("an annotation that is no string is read as text, so that nothing that protects is dropped", () => {
  const annotations = { number: 5, boolean: true, list: ["a"], map: { a: 1 }, null: null, text: "x" };
  const { object, findings } = decodeObject({
    apiVersion: "networking.k8s.io/v1",
    kind: "Ingress",
    metadata: { name: "a", annotations },
  });
  expect(Object.fromEntries(object!.meta.annotations)).toEqual({
    number: "5",
    boolean: "true",
    list: '["a"]',
    map: '{"a":1}',
    null: "",
    text: "x",
  });
  expect(findings.map((finding) => finding.field)).toEqual(["number", "boolean", "list", "map"]);
});

test.each([
  ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z"],
  ["2026-01-01T01:00:00+01:00", "2026-01-01T00:00:00.000Z"],
  [new Date("2026-01-01T00:00:00Z"), "2026-01-01T00:00:00.000Z"],
  [null, ""],
  ["yesterday", ""],
  ["2026-01-01T00:00:00", ""],
  ["2026-13-01T00:00:00Z", ""],
  [1, ""],
])("the creation time %s is read as %j", (creationTimestamp, expected) => {
  const { object } = decodeObject({
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "a", creationTimestamp },
  });
  expect(object?.meta.createdAt).toBe(expected);
});

test("a value of a Secret never appears in a finding", () => {
  const { findings } = decodeObject({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "a" },
    data: { a: "hunter2!", b: 1234567, c: ["hunter2"], d: { x: "hunter2" } },
    stringData: { e: 7654321 },
  });
  expect(findings.length).toBe(5);
  expect(JSON.stringify(findings)).not.toMatch(/hunter2|1234567|7654321/);
});

test("stringData comes over data, as the API server merges them", () => {
  const { object } = decodeObject({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: "a" },
    data: { a: "b2xk", b: "a2\nVw dA==" },
    stringData: { a: "new" },
  });
  expect(object?.kind === "Secret" && Object.fromEntries(object.data)).toEqual({ a: "new", b: "kept" });
});
