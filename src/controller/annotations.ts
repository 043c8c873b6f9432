// Typed reads of annotations and ConfigMap values. Every wrong value becomes a diagnostic that names the object, the
// key, what was found and what was expected; nothing is coerced. Also the parser half of the feature contract.
import type { Diagnostic, Severity } from "../ir/diagnostic.ts";
import type { ObjectRef } from "../ir/object-ref.ts";

/** The values Go's ParseBool accepts, which is what ingress-nginx accepts. */
const booleans: ReadonlyMap<string, boolean> = new Map([
  ...["1", "t", "T", "TRUE", "true", "True"].map((text) => [text, true] as const),
  ...["0", "f", "F", "FALSE", "false", "False"].map((text) => [text, false] as const),
]);

/** Annotations that ingress-nginx does not have. Their keys keep this prefix. */
export const ownPrefix = "fairway.dev/";

/** Strings by key: the annotations of an object under our prefix (prefix cut off), or the data of a ConfigMap. */
export interface ValueSource {
  readonly object: ObjectRef;
  /** Put before the key where a diagnostic names the field: `nginx.ingress.kubernetes.io/`, or `data.`. */
  readonly fieldPrefix: string;
  readonly values: ReadonlyMap<string, string>;
}

/**
 * Reads one object's values for one feature. A read returns undefined when the key is absent, empty or wrong;
 * `hasErrors` tells the last case, in which the feature's `onInvalid` decides.
 */
export class AnnotationReader {
  readonly #source: ValueSource;
  readonly #diagnostics: Diagnostic[];
  readonly #consequence: string;
  #hasErrors = false;

  /** `consequence` ends every message: what happens because the value is wrong. */
  constructor(source: ValueSource, diagnostics: Diagnostic[], consequence: string) {
    this.#source = source;
    this.#diagnostics = diagnostics;
    this.#consequence = consequence;
  }

  get hasErrors(): boolean {
    return this.#hasErrors;
  }

  has(key: string): boolean {
    return this.#source.values.has(key);
  }

  /** The text with every line trimmed; undefined when absent or empty. */
  text(key: string): string | undefined {
    const raw = this.#source.values.get(key);
    if (raw === undefined) return undefined;
    const text = raw
      .split("\n")
      .map((line) => line.trim())
      .join("\n");
    return text === "" ? undefined : text;
  }

  boolean(key: string): boolean | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = booleans.get(text);
    if (value === undefined) this.invalid(key, "InvalidBoolean", `"true" or "false"`);
    return value;
  }

  /** A decimal integer without unit. */
  integer(key: string, range: { readonly min: number; readonly max: number }): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const value = /^[+-]?\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
    if (Number.isNaN(value) || value < range.min || value > range.max) {
      this.invalid(key, "InvalidInteger", `an integer from ${range.min} to ${range.max} without unit`);
      return undefined;
    }
    return value;
  }

  /** Bytes as nginx writes them: digits, then nothing, `k`, `m` or `g` in either case. */
  size(key: string): number | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const match = /^(\d{1,12})([kmg]?)$/i.exec(text);
    if (match === null) {
      this.invalid(key, "InvalidSize", `a number of bytes such as "8k", "1m" or "0"`);
      return undefined;
    }
    const unit = { "": 1, k: 1024, m: 1024 ** 2, g: 1024 ** 3 }[(match[2] ?? "").toLowerCase()] ?? 1;
    return Number(match[1]) * unit;
  }

  oneOf<const T extends string>(key: string, allowed: readonly T[]): T | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    const found = allowed.find((each) => each === text);
    if (found === undefined) this.invalid(key, "InvalidValue", `one of ${allowed.map(quote).join(", ")}`);
    return found;
  }

  /** Text that `pattern` (anchored) accepts. `expected` says it in words. */
  matching(key: string, pattern: RegExp, expected: string): string | undefined {
    const text = this.text(key);
    if (text === undefined) return undefined;
    if (!pattern.test(text) || /[\r\n\0\u2028\u2029]/.test(text)) {
      this.invalid(key, "InvalidValue", expected);
      return undefined;
    }
    return text;
  }

  /** Records that the value of `key` is not what was expected. */
  invalid(key: string, reason: string, expected: string): void {
    this.#hasErrors = true;
    const found = this.#source.values.get(key) ?? "";
    this.report("error", key, reason, `${quote(found)} is not ${expected}; ${this.#consequence}`);
  }

  /** Records anything else worth telling about `key`. */
  report(severity: Severity, key: string, reason: string, message: string): void {
    const field = fieldOf(this.#source, key);
    this.#diagnostics.push({ severity, reason, message, object: this.#source.object, field });
  }
}

/** A key as diagnostics name it. */
export function fieldOf({ fieldPrefix }: Pick<ValueSource, "fieldPrefix">, key: string): string {
  return key.startsWith(ownPrefix) ? key : fieldPrefix + key;
}

/** `"text"`, shortened and with control characters escaped, safe to print. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
}

/** The parser half of a feature: strings in; plain config or diagnostics out. */
export interface FeatureParser<Config, Settings> {
  /** Kebab-case; the key in the IR. */
  readonly name: string;
  /**
   * What a wrong value does. `ignore`: the value counts as absent, the feature's other values stay.
   * `deny`: the route answers 503 until the value is mended; for everything that protects.
   */
  readonly onInvalid: "ignore" | "deny";
  /**
   * What the config is about. Default `route`: the routes of the Ingress. `upstream`: the upstreams of its backends;
   * where several Ingresses share one, the oldest decides, also by saying nothing. `session`: the same, but one that
   * says nothing leaves the decision to the next, and a canary's upstream takes over what its primary has.
   */
  readonly scope?: "route" | "upstream" | "session";
  /** Every annotation it reads, without prefix, with one sentence for users each. */
  readonly annotations: Readonly<Record<string, string>>;
  /** Every key of the controller's ConfigMap it reads, with one sentence for users each. */
  readonly settings: Readonly<Record<string, string>>;
  /** Reads the controller's ConfigMap, once for each change of it. */
  readonly parseSettings: (reader: AnnotationReader) => Settings;
  /** Reads one Ingress. Undefined: the feature does nothing there. The result is JSON. */
  readonly parse: (reader: AnnotationReader, settings: Settings) => Config | undefined;
}

export type AnyFeatureParser = FeatureParser<unknown, unknown>;
