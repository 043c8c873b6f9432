// Annotations of an Ingress to configurations of features, by the parsers that were handed in.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import type { ObjectRef } from "../../ir/object-ref.ts";
import type { FeatureIr } from "../../ir/routing.ts";
import { AnnotationReader, type AnyFeatureParser, type ValueSource } from "../annotations.ts";
import { refOf, type IngressObject } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { isProtective, knownAnnotations } from "./known-annotations.ts";
import { byKey, type Settings } from "./settings.ts";

const canaryFeature = "canary";

/** Runs every parser, and speaks of every annotation under our prefix that none of them reads. */
export class FeatureTranslator {
  readonly #context: TranslateContext;
  readonly #settings: Settings;
  readonly #supported: ReadonlySet<string>;

  constructor(context: TranslateContext, settings: Settings) {
    this.#context = context;
    this.#settings = settings;
    this.#supported = new Set(context.options.parsers.flatMap((parser) => Object.keys(parser.annotations)));
  }

  isCanary(ingress: IngressObject): boolean {
    const source = this.#source(ingress);
    return new AnnotationReader(source, [], "").boolean(canaryFeature) === true;
  }

  /** Of an Ingress that makes routes. */
  plan(ingress: IngressObject): IngressPlan {
    const source = this.#source(ingress);
    const denials = [...this.#reportUnread(source)];
    if (this.#settings.denied !== null) denials.push(this.#settings.denied);
    const features: FeatureIr[] = [];
    for (const [position, parser] of this.#context.options.parsers.entries()) {
      const denial = this.#parse(position, parser, source, features);
      if (denial !== null) denials.push(denial);
    }
    const denied = denials.length === 0 ? null : denials.join("; ");
    return { object: ingress, ref: source.object, features, denied };
  }

  /** Of a canary: only the feature that selects requests has an effect. */
  planCanary(ingress: IngressObject): IngressPlan {
    const source = this.#source(ingress);
    const features: FeatureIr[] = [];
    const effective = new Set<string>();
    for (const [position, parser] of this.#context.options.parsers.entries()) {
      if (parser.name !== canaryFeature) continue;
      this.#parse(position, parser, source, features);
      for (const key of Object.keys(parser.annotations)) effective.add(key);
    }
    for (const key of source.values.keys()) {
      if (effective.has(key)) continue;
      if (!this.#supported.has(key) && !knownAnnotations.has(key)) this.#reportUnknown(source, key);
      else {
        this.#context.report("info", source.object, source.fieldPrefix + key, {
          reason: "NoEffectOnCanary",
          message: "a canary takes this from the Ingress whose routes it joins; it has no effect here",
        });
      }
    }
    return { object: ingress, ref: source.object, features, denied: null };
  }

  /** What a route without Ingress gets: the controller's defaults. */
  defaults(): readonly FeatureIr[] {
    const object: ObjectRef = { kind: "Ingress", namespace: "", name: "" };
    const source: ValueSource = { object, fieldPrefix: "", values: new Map() };
    const features: FeatureIr[] = [];
    for (const [position, parser] of this.#context.options.parsers.entries()) {
      this.#parse(position, parser, source, features);
    }
    return features;
  }

  /** Why the routes are denied, or null. */
  #parse(position: number, parser: AnyFeatureParser, source: ValueSource, into: FeatureIr[]): string | null {
    const isDenying = parser.onInvalid === "deny";
    const consequence = isDenying ? "its routes answer 503 until it is mended" : "it counts as absent";
    const diagnostics: Diagnostic[] = [];
    const reader = new AnnotationReader(source, diagnostics, consequence);
    const config = parser.parse(reader, this.#settings.byParser[position]);
    this.#context.diagnostics.push(...diagnostics);
    if (config !== undefined) into.push({ feature: parser.name, config });
    if (!isDenying || !reader.hasErrors) return null;
    const fields = new Set(diagnostics.filter((each) => each.severity === "error").map((each) => each.field));
    return `${[...fields].join(", ")} is invalid`;
  }

  /** The reasons to deny: annotations that protect and that we do not support. */
  *#reportUnread(source: ValueSource): Iterable<string> {
    for (const [key, value] of source.values) {
      if (this.#supported.has(key)) continue;
      const field = source.fieldPrefix + key;
      if (!knownAnnotations.has(key)) this.#reportUnknown(source, key);
      else if (isProtective(key, value)) {
        this.#context.report("error", source.object, field, {
          reason: "UnsupportedAnnotation",
          message:
            "Fairway does not support this annotation, and without it the routes would be open; they answer 503 until it is removed",
        });
        yield `${field} is not supported`;
      } else {
        this.#context.report("warning", source.object, field, {
          reason: "UnsupportedAnnotation",
          message: "Fairway does not support this annotation of ingress-nginx; it has no effect",
        });
      }
    }
  }

  #reportUnknown(source: ValueSource, key: string): void {
    const hint = suggestion(key, [...this.#supported, ...knownAnnotations]);
    this.#context.report("warning", source.object, source.fieldPrefix + key, {
      reason: "UnknownAnnotation",
      message: `there is no such annotation${hint}; it has no effect`,
    });
  }

  #source(ingress: IngressObject): ValueSource {
    const fieldPrefix = `${this.#context.options.annotationsPrefix}/`;
    const values = new Map<string, string>();
    // Sorted, so that the reasons to deny do not depend on how the manifest was written.
    for (const [key, value] of [...ingress.meta.annotations].sort(byKey)) {
      if (key.startsWith(fieldPrefix)) values.set(key.slice(fieldPrefix.length), value);
    }
    return { object: refOf(ingress), fieldPrefix, values };
  }
}
