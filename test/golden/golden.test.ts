// Each folder here is one case, complete in itself: in.yaml, and beside it the IR and the diagnostics it comes to.
// `options.json` may set options of translate, and `features`, the features whose parsers run (default: canary alone,
// so that a new feature does not change every case). UPDATE_GOLDEN=1 rewrites; review reads the difference.
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { findingDiagnostic } from "../../src/controller/finding.ts";
import { FileState } from "../../src/controller/sources/file-state.ts";
import { defaultTranslateOptions, type TranslateOptions } from "../../src/controller/translate/options.ts";
import { sortDiagnostics, translate } from "../../src/controller/translate/translate.ts";
import { features } from "../../src/features/registry.ts";
import { redactIr } from "../../src/ir/routing.ts";
import { expectWellFormed, shuffled } from "../controller/support.ts";

const root = import.meta.dirname;
const isUpdating = process.env["UPDATE_GOLDEN"] === "1";

interface CaseOptions extends Partial<TranslateOptions> {
  readonly features?: readonly string[];
}

function optionsOf(directory: string): TranslateOptions {
  const path = join(directory, "options.json");
  const { features: names = ["canary"], ...rest } = (
    existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : {}
  ) as CaseOptions;
  const parsers = features.filter((feature) => names.includes(feature.name));
  expect(parsers.map((parser) => parser.name)).toEqual(expect.arrayContaining([...names]));
  return { ...defaultTranslateOptions, offline: true, parsers, ...rest };
}

function read(directory: string): FileState {
  const file = new FileState("in.yaml");
  file.update(readFileSync(join(directory, "in.yaml"), "utf8"));
  return file;
}

function expectFile(path: string, value: unknown): void {
  const text = `${JSON.stringify(value, null, 2)}\n`;
  if (isUpdating) writeFileSync(path, text);
  else expect(text).toBe(readFileSync(path, "utf8"));
}

const cases = readdirSync(root, { withFileTypes: true }).filter((entry) => entry.isDirectory());

describe.each(cases.map((entry) => entry.name))("%s", (name) => {
  const directory = join(root, name);
  const file = read(directory);
  const entries = [...file.entries.values()];
  const options = optionsOf(directory);

  test("comes to its IR and its diagnostics", () => {
    const { ir, diagnostics } = translate(
      entries.map((entry) => entry.object),
      options,
    );
    expectWellFormed(ir);
    const found = entries.flatMap((entry) => entry.findings.map((finding) => findingDiagnostic(finding)));
    const all = sortDiagnostics([...file.diagnostics, ...found, ...diagnostics]);
    expectFile(join(directory, "ir.json"), redactIr(ir));
    expectFile(join(directory, "diagnostics.json"), all);
    expect(JSON.stringify(all)).not.toContain("PRIVATE KEY");
  });

  test("comes to the same in any order, and leaves its input as it was", () => {
    const objects = entries.map((entry) => entry.object);
    const before = structuredClone(objects);
    const expected = translate(objects, options);
    expect(objects).toEqual(before);
    for (const seed of [1, 2, 3]) expect(translate(shuffled(objects, seed), options)).toEqual(expected);
  });
});
