// Annotations of an Ingress to configurations of features, by the parsers that were handed in.
import type { Diagnostic, Severity } from "../../ir/diagnostic.ts";
import type { FeatureIr } from "../../ir/routing.ts";
import {
  AnnotationReader,
  fieldOf,
  ownPrefix,
  type AnyFeatureParser,
  type ValueSource,
} from "../annotations.ts";
import { refOf, type IngressObject } from "../objects.ts";
import { suggestion } from "../suggest.ts";
import type { IngressPlan, TranslateContext } from "./context.ts";
import { isProtective, knownAnnotations } from "./known-annotations.ts";
import { byKey, type Settings } from "./settings.ts";

const canaryFeature = "canary";
const canaryAffinity = "affinity-canary-behavior";

/** What a list of parsers made of one object. */
export interface ParsedFeatures {
  readonly features: readonly FeatureIr[];
  readonly upstreamFeatures: readonly FeatureIr[];
}

/** Everything a plan depends on besides its Ingress. */
interface Basis {
  readonly parsers: readonly AnyFeatureParser[];
  readonly prefix: string;
  readonly settings: string;
}

export interface PlannedIngress {
  readonly plan: IngressPlan;
  readonly diagnostics: readonly Diagnostic[];
}

interface Remembered extends PlannedIngress {
  readonly basis: Basis;
}

/**
 * An edit changes one Ingress of many, and objects never change: plans of the others are as they were, the very same
 * objects, which makes it cheap to see that their routes are the same too.
 */
const remembered = new WeakMap<IngressObject, Remembered>();

/** Runs every parser, and speaks of every annotation under our prefix that none of them reads. */
export class FeatureTranslator {
  readonly #context: TranslateContext;
  readonly #settings: Settings;
  readonly #basis: Basis;
  readonly #supported: ReadonlySet<string>;

  constructor(context: TranslateContext, settings: Settings) {
    const { parsers, annotationsPrefix } = context.options;
    this.#context = context;
    this.#settings = settings;
    this.#basis = { parsers, prefix: `${annotationsPrefix}/`, settings: JSON.stringify(settings) };
    this.#supported = new Set(parsers.flatMap((parser) => Object.keys(parser.annotations)));
  }

  plan(ingress: IngressObject): PlannedIngress {
    let known = remembered.get(ingress);
    if (known === undefined || !isSameBasis(known.basis, this.#basis)) {
      const diagnostics: Diagnostic[] = [];
      known = { basis: this.#basis, plan: this.#make(ingress, diagnostics), diagnostics };
      remembered.set(ingress, known);
    }
    return known;
  }

  /** What a route and an upstream without Ingress get: the controller's defaults. */
  defaults(): ParsedFeatures {
    const object = { kind: "Ingress", namespace: "", name: "" };
    const source: ValueSource = { object, fieldPrefix: "", values: new Map() };
    return this.#parseAll(source, this.#basis.parsers, this.#context.diagnostics);
  }

  #make(ingress: IngressObject, diagnostics: Diagnostic[]): IngressPlan {
    const source = this.#source(ingress);
    const ref = source.object;
    if (new AnnotationReader(source, [], "").boolean(canaryFeature) === true) {
      // Only what selects requests, and what its own upstream does with them, has an effect; the rest comes from the
      // route that the canary joins.
      const parsers = this.#basis.parsers.filter(
        (parser) => parser.name === canaryFeature || parser.scope === "upstream",
      );
      const { features, upstreamFeatures } = this.#parseAll(source, parsers, diagnostics);
      const reader = new AnnotationReader(source, diagnostics, "it counts as sticky");
      const keepsSessions = reader.oneOf(canaryAffinity, ["sticky", "legacy"]) !== "legacy";
      this.#reportWithoutEffect(source, parsers, diagnostics);
      return {
        object: ingress,
        ref,
        isCanary: true,
        features,
        upstreamFeatures,
        keepsSessions,
        denied: null,
      };
    }
    const unsupported = [...this.#reportUnread(source, diagnostics)];
    const { features, upstreamFeatures, denials } = this.#parseAll(source, this.#basis.parsers, diagnostics);
    const all = [...unsupported, ...denials];
    if (this.#settings.denied !== null) all.push(this.#settings.denied);
    return {
      object: ingress,
      ref,
      isCanary: false,
      features,
      upstreamFeatures,
      keepsSessions: false,
      denied: all.length === 0 ? null : all.join("; "),
    };
  }

  #parseAll(
    source: ValueSource,
    parsers: readonly AnyFeatureParser[],
    diagnostics: Diagnostic[],
  ): ParsedFeatures & { readonly denials: readonly string[] } {
    const features: FeatureIr[] = [];
    const upstreamFeatures: FeatureIr[] = [];
    const denials: string[] = [];
    for (const parser of parsers) {
      const isDenying = parser.onInvalid === "deny";
      const consequence = isDenying ? "its routes answer 503 until it is mended" : "it counts as absent";
      const own: Diagnostic[] = [];
      const reader = new AnnotationReader(source, own, consequence);
      const config = parser.parse(reader, this.#settings.byParser[this.#basis.parsers.indexOf(parser)]);
      diagnostics.push(...own);
      const list = (parser.scope ?? "route") === "route" ? features : upstreamFeatures;
      if (config !== undefined) list.push({ feature: parser.name, config });
      if (!isDenying || !reader.hasErrors) continue;
      const fields = new Set(own.filter((each) => each.severity === "error").map((each) => each.field));
      denials.push(`${[...fields].join(", ")} is invalid`);
    }
    return { features, upstreamFeatures, denials };
  }

  /** The reasons to deny: annotations that protect and that we do not support. */
  *#reportUnread(source: ValueSource, diagnostics: Diagnostic[]): Iterable<string> {
    for (const [key, value] of source.values) {
      if (this.#supported.has(key)) continue;
      if (!knownAnnotations.has(key)) this.#reportUnknown(source, key, diagnostics);
      else if (isProtective(key, value)) {
        const message =
          "Fairway does not support this annotation, and without it the routes would be open; they answer 503 until it is removed";
        diagnostics.push(about(source, key, "error", { reason: "UnsupportedAnnotation", message }));
        yield `${fieldOf(source, key)} is not supported`;
      } else {
        const message = "Fairway does not support this annotation of ingress-nginx; it has no effect";
        diagnostics.push(about(source, key, "warning", { reason: "UnsupportedAnnotation", message }));
      }
    }
  }

  #reportWithoutEffect(
    source: ValueSource,
    effective: readonly AnyFeatureParser[],
    diagnostics: Diagnostic[],
  ): void {
    const read = new Set(effective.flatMap((parser) => Object.keys(parser.annotations)));
    read.add(canaryAffinity);
    const message = "a canary takes this from the Ingress whose routes it joins; it has no effect here";
    for (const key of source.values.keys()) {
      if (read.has(key)) continue;
      if (!this.#supported.has(key) && !knownAnnotations.has(key))
        this.#reportUnknown(source, key, diagnostics);
      else diagnostics.push(about(source, key, "info", { reason: "NoEffectOnCanary", message }));
    }
  }

  #reportUnknown(source: ValueSource, key: string, diagnostics: Diagnostic[]): void {
    const hint = suggestion(key, [...this.#supported, ...knownAnnotations]);
    const message = `there is no such annotation${hint}; it has no effect`;
    diagnostics.push(about(source, key, "warning", { reason: "UnknownAnnotation", message }));
  }

  #source(ingress: IngressObject): ValueSource {
    const fieldPrefix = this.#basis.prefix;
    const values = new Map<string, string>();
    // Sorted, so that the reasons to deny do not depend on how the manifest was written.
    for (const [key, value] of [...ingress.meta.annotations].sort(byKey)) {
      if (key.startsWith(ownPrefix)) values.set(key, value);
      else if (key.startsWith(fieldPrefix)) values.set(key.slice(fieldPrefix.length), value);
    }
    return { object: refOf(ingress), fieldPrefix, values };
  }
}

function isSameBasis(a: Basis, b: Basis): boolean {
  return a.parsers === b.parsers && a.prefix === b.prefix && a.settings === b.settings;
}

function about(
  source: ValueSource,
  key: string,
  severity: Severity,
  text: { readonly reason: string; readonly message: string },
): Diagnostic {
  return { severity, object: source.object, field: fieldOf(source, key), ...text };
}
