// A cluster in memory, and what admission says of an Ingress that is to come into it.
import { RebuildLoop } from "../../../src/controller/rebuild.ts";
import { judge, type PathConflicts } from "../../../src/controller/admission/judge.ts";
import { readReview, type Verdict } from "../../../src/controller/admission/review.ts";
import { defaultTranslateOptions, type TranslateOptions } from "../../../src/controller/translate/options.ts";
import { features } from "../../../src/features/registry.ts";
import { ManualClock } from "../../../src/util/clock.ts";
import { FakeSource } from "../fake-source.ts";

export type Value = Record<string, unknown>;

export interface TestCluster {
  readonly loop: RebuildLoop;
  /** The objects arrive, and are built. */
  apply(...objects: readonly Value[]): void;
  judge(candidate: Value, how?: How): Verdict;
}

interface How {
  readonly old?: Value;
  readonly request?: Value;
  readonly pathConflicts?: PathConflicts;
  readonly isWatched?: (namespace: string) => boolean;
}

export const nginxClass: Value = {
  apiVersion: "networking.k8s.io/v1",
  kind: "IngressClass",
  metadata: { name: "nginx" },
  spec: { controller: "k8s.io/ingress-nginx" },
};

export async function clusterOf(
  objects: readonly Value[],
  options: Partial<TranslateOptions> = {},
): Promise<TestCluster> {
  const source = new FakeSource();
  const clock = new ManualClock();
  const loop = new RebuildLoop({
    sources: [source],
    translate: { ...defaultTranslateOptions, parsers: features, ...options },
    publisher: { publishTable: () => undefined, publishEndpoints: () => undefined },
    clock,
    onFailure: (cause) => {
      throw cause;
    },
  });
  const started = loop.start();
  for (const object of [nginxClass, ...objects]) source.upsert(object);
  source.synced();
  await started;
  return {
    loop,
    apply(...added) {
      for (const object of added) source.upsert(object);
      clock.advanceMs(1_000);
    },
    judge(candidate, how = {}) {
      const { pathConflicts = "refuse", isWatched = () => true } = how;
      return judge(readReview(review(candidate, how)), {
        pathConflicts,
        isWatched,
        tryOut: (object, old) => {
          const result = loop.tryOut(object, old);
          if (result === null) throw new Error("not ready");
          return result;
        },
      });
    },
  };
}

export function review(candidate: Value, { old, request }: How = {}): Value {
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: "705ab4f5-6393-11e8-b7cc-42010a800002",
      kind: { group: "networking.k8s.io", version: "v1", kind: "Ingress" },
      operation: old === undefined ? "CREATE" : "UPDATE",
      namespace: namespaceOf(candidate),
      object: candidate,
      ...(old === undefined ? {} : { oldObject: old }),
      ...request,
    },
  };
}

function namespaceOf(value: Value): string {
  const { namespace = "default" } = value["metadata"] as { readonly namespace?: string };
  return namespace;
}

/** The same in another namespace, or of another age. */
export function withMeta(object: Value, meta: Value): Value {
  return { ...object, metadata: { ...(object["metadata"] as Value), ...meta } };
}
