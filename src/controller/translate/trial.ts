// What an Ingress would come to, without touching the translation in use: a small world of it and the Ingresses that share
// hosts or Services with it is translated by the same steps, once with it and once as it is now. Reads no Secrets: of
// those that no Ingress names yet we know nothing, and whoever asks may be anybody.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { refKey, type ObjectRef } from "../../ir/object-ref.ts";
import type { VirtualHostIr } from "../../ir/routing.ts";
import { ObjectIndex } from "../object-index.ts";
import { objectKey, refOf, type IngressObject } from "../objects.ts";
import { TranslateContext } from "./context.ts";
import { foreignBecause } from "./ingress-class.ts";
import { isOurs } from "./members.ts";
import type { TranslateOptions } from "./options.ts";
import { Translator } from "./translator.ts";

/** What the cluster has, and the Ingress that is to come into it. */
export interface TrialInput {
  readonly index: ObjectIndex;
  readonly options: Omit<TranslateOptions, "lastGoodCertificates">;
  readonly candidate: IngressObject;
  /** What it is to take the place of; null: it is new. */
  readonly old: IngressObject | null;
  /** All Ingresses that could matter; whether `candidate` and `old` are among them does not matter. */
  readonly neighbours: readonly IngressObject[];
}

export interface PathClash {
  readonly field: string;
  readonly host: string;
  readonly path: string;
  readonly pathType: "Exact" | "Prefix";
  /** Who has the path, or would lose it. */
  readonly other: ObjectRef;
  readonly isLost: boolean;
}

export interface TrialResult {
  /** Null: it is ours. */
  readonly foreignBecause: string | null;
  /** About the Ingress by itself: what nothing but an edit of it mends. */
  readonly own: readonly Diagnostic[];
  /** `own` of what is there now. */
  readonly ownBefore: readonly Diagnostic[];
  /** What else is to be said of it and of others, and was not so before; nothing of Secrets. */
  readonly news: readonly Diagnostic[];
  /** Paths that it claims as others do, and did not before. */
  readonly clashes: readonly PathClash[];
}

/** They depend on Secrets. */
const aboutSecrets: ReadonlySet<string> = new Set(["SecretNotFound", "TlsHostNotListed", "TlsWithoutEffect"]);

/** Total and pure, as translate is. */
export function tryOut(input: TrialInput): TrialResult {
  const { index, options, candidate, old } = input;
  const context = new TranslateContext(index, { ...options, lastGoodCertificates: new Map() });
  if (!isOurs(candidate, context)) {
    const because = foreignBecause(candidate, index, options) ?? "its namespace is not watched";
    return { foreignBecause: because, own: [], ownBefore: [], news: [], clashes: [] };
  }
  const key = objectKey(candidate.meta.namespace, candidate.meta.name);
  const before = worldWith(input, old);
  const after = worldWith(input, candidate);
  const member = after.translator.memberOf(key);
  const memberBefore = before.translator.memberOf(key);
  const own = member?.diagnostics ?? [];
  const known = new Set([...before.translator.diagnostics(), ...own].map(textOf));
  return {
    foreignBecause: null,
    own,
    ownBefore: memberBefore?.diagnostics ?? [],
    news: after.translator.diagnostics().filter((each) => !known.has(textOf(each)) && !isAboutSecrets(each)),
    // A canary makes no routes: it joins those of others.
    clashes:
      member?.plan?.isCanary === true
        ? []
        : clashesOf(candidate, memberBefore?.plan?.isCanary === true ? null : old, {
            before: before.owners,
            after: after.owners,
          }),
  };
}

interface World {
  readonly translator: Translator;
  readonly owners: Owners;
}

function worldWith(input: TrialInput, ingress: IngressObject | null): World {
  const own = refKey(refOf(input.candidate));
  const index = new ObjectIndex(input.index);
  for (const each of input.neighbours) if (refKey(refOf(each)) !== own) index.add(each);
  if (ingress !== null) index.add(ingress);
  const options = { ...input.options, lastGoodCertificates: new Map() };
  const translator = new Translator(index, options, () => new Set());
  return { translator, owners: ownersOf(translator.build().virtualHosts.changed) };
}

/** Whose the routes are that Ingresses declare, by host, path type and path. */
type Owners = ReadonlyMap<string, ObjectRef>;

function ownersOf(hosts: readonly VirtualHostIr[]): Owners {
  const owners = new Map<string, ObjectRef>();
  for (const { host, routes } of hosts) {
    for (const { path, pathType, ingress, isImplicit } of routes) {
      if (ingress !== null && !isImplicit) owners.set(claimKey(host, pathType, path), ingress);
    }
  }
  return owners;
}

function claimKey(host: string, pathType: string, path: string): string {
  return `${host} ${pathType} ${path}`;
}

function clashesOf(
  candidate: IngressObject,
  old: IngressObject | null,
  { before, after }: { readonly before: Owners; readonly after: Owners },
): readonly PathClash[] {
  const own = refKey(refOf(candidate));
  const claimed = new Set(old === null ? [] : claimsOf(old).map((each) => each.key));
  return claimsOf(candidate).flatMap(({ key, ...claim }): readonly PathClash[] => {
    const winner = after.get(key);
    if (winner === undefined) return [];
    const isOwn = refKey(winner) === own;
    const loser = before.get(key);
    if (!isOwn) return claimed.has(key) ? [] : [{ ...claim, other: winner, isLost: true }];
    return loser === undefined || refKey(loser) === own ? [] : [{ ...claim, other: loser, isLost: false }];
  });
}

function claimsOf({ rules }: IngressObject) {
  return rules.flatMap(({ host, paths }) =>
    paths.map(({ field, path, pathType }) => ({
      key: claimKey(host, pathType, path),
      field,
      host,
      path,
      pathType,
    })),
  );
}

function isAboutSecrets({ reason, object }: Diagnostic): boolean {
  return object.kind === "Secret" || aboutSecrets.has(reason);
}

function textOf({ object, field, reason, message, severity }: Diagnostic): string {
  return JSON.stringify([severity, refKey(object), field, reason, message]);
}
