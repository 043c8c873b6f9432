// What the steps of one translation share.
import type { Diagnostic, Severity } from "../../ir/diagnostic.ts";
import type { ObjectRef } from "../../ir/object-ref.ts";
import type { FeatureIr } from "../../ir/routing.ts";
import type { ObjectIndex } from "../object-index.ts";
import type { IngressObject } from "../objects.ts";
import type { TranslateOptions } from "./options.ts";

/** While a translation is kept up to date, the certificates are those that are in use just then. */
export type ContextOptions = Omit<TranslateOptions, "lastGoodCertificates"> & {
  readonly lastGoodCertificates: Pick<TranslateOptions["lastGoodCertificates"], "get">;
};

export class TranslateContext {
  readonly index: ObjectIndex;
  readonly options: ContextOptions;
  readonly diagnostics: Diagnostic[] = [];

  constructor(index: ObjectIndex, options: ContextOptions) {
    this.index = index;
    this.options = options;
  }

  report(
    severity: Severity,
    object: ObjectRef,
    field: string,
    text: { reason: string; message: string },
  ): void {
    this.diagnostics.push({ severity, object, field, ...text });
  }
}

/** One of our Ingresses with what its annotations came to. */
export interface IngressPlan {
  readonly object: IngressObject;
  readonly ref: ObjectRef;
  /** It makes no routes of its own but joins those of others. */
  readonly isCanary: boolean;
  readonly features: readonly FeatureIr[];
  /** For the upstreams of its backends, as far as other Ingresses do not decide. */
  readonly upstreamFeatures: readonly FeatureIr[];
  /** Of a canary: its upstream takes over the sessions' settings of the primary. */
  readonly keepsSessions: boolean;
  readonly denied: string | null;
}
