// Typed reads of one untyped object. Every wrong value becomes a finding that names the field, what was found and what
// was expected; nothing is coerced, and one wrong item never takes its neighbours along.
import type { ObjectRef } from "../../ir/object-ref.ts";
import { quote } from "../annotations.ts";
import type { Finding } from "../finding.ts";
import { suggestion } from "../suggest.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/** Absent in the sense of the API server: not there, or null. */
export function isAbsent(value: unknown): value is null | undefined {
  return value === undefined || value === null;
}

export class FieldReader {
  readonly findings: Finding[] = [];
  readonly #object: ObjectRef;
  readonly #isSecret: boolean;

  constructor(object: ObjectRef) {
    this.#object = object;
    this.#isSecret = object.kind === "Secret";
  }

  /** A value the API server would not have taken. */
  refuse(field: string, reason: string, message: string, consequence: string): void {
    this.#add({ severity: "error", isRefusal: true, reason, message, consequence, field });
  }

  /** A value that is valid but that does not do what was meant. */
  note(
    severity: "error" | "warning" | "info",
    field: string,
    reason: string,
    text: readonly [string, string],
  ): void {
    this.#add({ severity, isRefusal: false, reason, message: text[0], consequence: text[1], field });
  }

  /** `found X, expected Y`. Values of Secrets are described, never shown. */
  unexpected(field: string, value: unknown, expected: string, consequence: string): void {
    const reason = isAbsent(value) ? "MissingField" : "InvalidField";
    this.refuse(field, reason, `found ${this.describe(value)}, expected ${expected}`, consequence);
  }

  describe(value: unknown): string {
    if (isAbsent(value)) return "nothing";
    if (Array.isArray(value)) return "a list";
    if (value instanceof Date) return "a date";
    if (typeof value === "object") return "a map";
    if (this.#isSecret) return `a ${typeof value}`;
    return typeof value === "string" ? quote(value) : `the ${typeof value} ${plainText(value)}`;
  }

  /** A map; null when absent or wrong, which is a finding only when wrong. */
  fields(value: unknown, field: string, consequence: string): Fields | null {
    if (isAbsent(value)) return null;
    if (isFields(value)) return value;
    this.unexpected(field, value, "a map", consequence);
    return null;
  }

  /** The maps of a list, each with its field. Absent: empty. Items that are no maps are left out. */
  items(
    value: unknown,
    field: string,
    noun: string,
  ): readonly { readonly fields: Fields; readonly field: string }[] {
    if (isAbsent(value)) return [];
    if (!Array.isArray(value)) {
      this.unexpected(field, value, `a list of ${noun}s`, "it is left out");
      return [];
    }
    return value.flatMap((item: unknown, index) => {
      const itemField = `${field}[${index}]`;
      if (isFields(item)) return [{ fields: item, field: itemField }];
      this.unexpected(itemField, item, `a ${noun}, a map`, `the ${noun} is left out`);
      return [];
    });
  }

  /** A text; null when absent or wrong, which is a finding only when wrong. */
  text(value: unknown, field: string, consequence: string): string | null {
    if (isAbsent(value)) return null;
    if (typeof value === "string") return value;
    this.unexpected(field, value, this.#stringExpectation(value), consequence);
    return null;
  }

  /** The strings of a list. */
  texts(value: unknown, field: string): readonly { readonly text: string; readonly field: string }[] {
    if (isAbsent(value)) return [];
    if (!Array.isArray(value)) {
      this.unexpected(field, value, "a list of strings", "it is left out");
      return [];
    }
    return value.flatMap((item: unknown, index) => {
      const itemField = `${field}[${index}]`;
      const text = this.text(item, itemField, "the item is left out");
      if (text === null && isAbsent(item))
        this.unexpected(itemField, item, "a string", "the item is left out");
      return text === null ? [] : [{ text, field: itemField }];
    });
  }

  boolean(value: unknown, field: string): boolean | null {
    if (isAbsent(value)) return null;
    if (typeof value === "boolean") return value;
    this.unexpected(field, value, "true or false without quotes", "it counts as absent");
    return null;
  }

  /**
   * Strings by key. A number or a boolean without quotes is refused by the API server; without one it is read as its
   * text, since dropping it could drop the annotation that protects a route.
   */
  map(
    value: unknown,
    field: string,
    fieldOf: (key: string) => string = (key) => `${field}[${key}]`,
  ): ReadonlyMap<string, string> {
    const fields = this.fields(value, field, "it is left out");
    const result = new Map<string, string>();
    for (const [key, item] of Object.entries(fields ?? {})) {
      if (typeof item === "string") {
        result.set(key, item);
        continue;
      }
      const text = plainText(item);
      if (item !== null) {
        const consequence = `it is read as ${quote(text)}`;
        this.unexpected(fieldOf(key), item, this.#stringExpectation(item), consequence);
      }
      result.set(key, text);
    }
    return result;
  }

  /** Names a field nobody reads, most often a typing mistake. */
  unknownFields(fields: Fields, field: string, known: readonly string[]): void {
    for (const key of Object.keys(fields)) {
      if (known.includes(key)) continue;
      const message = `there is no such field${suggestion(key, known)}`;
      this.note("warning", `${field}.${key}`, "UnknownField", [message, "it is ignored"]);
    }
  }

  #stringExpectation(value: unknown): string {
    if (this.#isSecret || typeof value === "object") return "a string";
    return `a string (write ${quote(plainText(value))} in quotes)`;
  }

  #add(finding: Omit<Finding, "object">): void {
    this.findings.push({ ...finding, object: this.#object });
  }
}

/** Maps and lists as JSON, so that no reader of annotations takes them for an absent value. Null is Go's empty string. */
function plainText(value: unknown): string {
  if (value === null) return "";
  if (typeof value === "string") return value;
  try {
    return JSON.stringify(value) ?? "(not plain data)";
  } catch {
    // An anchor of YAML that holds itself, or a number that JSON does not have.
    return "(not plain data)";
  }
}
