// Who uses which upstream, over all hosts, and what follows for its settings.
import type { Diagnostic } from "../../ir/diagnostic.ts";
import { compareSeniority } from "../../ir/order.ts";
import type { FeatureIr, UpstreamId, UpstreamIr } from "../../ir/routing.ts";
import { objectKey, type ObjectKey } from "../objects.ts";
import { TranslateContext, type IngressPlan } from "./context.ts";
import type { HostUpstreams, SessionSharing, UpstreamName } from "./services.ts";
import { chooseFeatures } from "./upstream-features.ts";

/** What one host, or the controller itself, has of an upstream. */
interface Share {
  readonly plans: Set<IngressPlan>;
  readonly sharings: SessionSharing[];
}

interface Entry {
  readonly name: UpstreamName;
  readonly shares: Map<string, Share>;
  /** The upstream whose clients it shares as a canary. */
  primary: UpstreamId | null;
  ir: UpstreamIr | null;
  diagnostics: readonly Diagnostic[];
}

/** Stands for a host where the controller's default backend is concerned; no host is called so. */
const controllerShare = " ";

export class Upstreams {
  readonly #entries = new Map<UpstreamId, Entry>();
  readonly #byService = new Map<ObjectKey, Set<UpstreamId>>();
  /** Those that have a primary. */
  readonly #canaries = new Set<Entry>();
  /** Those whose users have changed since they were made. */
  readonly #due = new Set<UpstreamId>();

  /** Replaces what a host uses. */
  setHost(host: string, before: HostUpstreams | null, after: HostUpstreams | null): void {
    for (const { upstream } of before?.uses ?? []) this.#entries.get(upstream.id)?.shares.delete(host);
    for (const { upstream, plan } of after?.uses ?? []) this.#share(upstream, host).plans.add(plan);
    for (const sharing of after?.sharings ?? []) {
      this.#entries.get(sharing.canary)?.shares.get(host)?.sharings.push(sharing);
    }
    for (const { upstream } of [...(before?.uses ?? []), ...(after?.uses ?? [])]) this.#due.add(upstream.id);
  }

  setDefault(before: UpstreamName | null, after: UpstreamName | null): void {
    if (before !== null) this.#entries.get(before.id)?.shares.delete(controllerShare);
    if (after !== null) this.#share(after, controllerShare);
    for (const name of [before, after]) if (name !== null) this.#due.add(name.id);
  }

  /** Makes anew what is due. `defaults`: features of an upstream that no Ingress names. */
  make(
    context: TranslateContext,
    defaults: readonly FeatureIr[],
  ): { readonly changed: readonly UpstreamIr[]; readonly removed: readonly UpstreamIr[] } {
    const changed: UpstreamIr[] = [];
    const removed: UpstreamIr[] = [];
    for (const id of this.#due) this.#choosePrimary(this.#entries.get(id));
    this.#addCanaries();
    for (const id of this.#due) {
      const entry = this.#entries.get(id);
      if (entry === undefined) continue;
      if (entry.shares.size === 0) {
        this.#forget(entry);
        if (entry.ir !== null) removed.push(entry.ir);
      } else changed.push(this.#make(context, entry, defaults));
    }
    this.#due.clear();
    return { changed, removed };
  }

  /** Sorted by id. */
  ofService(service: ObjectKey): readonly UpstreamIr[] {
    const ids = [...(this.#byService.get(service) ?? [])].sort();
    return ids.flatMap((id) => this.#entries.get(id)?.ir ?? []);
  }

  services(): Iterable<ObjectKey> {
    return this.#byService.keys();
  }

  hasService(service: ObjectKey): boolean {
    return this.#byService.has(service);
  }

  diagnostics(): readonly Diagnostic[] {
    return [...this.#entries.values()].flatMap((entry) => entry.diagnostics);
  }

  #share(name: UpstreamName, host: string): Share {
    let entry = this.#entries.get(name.id);
    if (entry === undefined) {
      entry = { name, shares: new Map(), primary: null, ir: null, diagnostics: [] };
      this.#entries.set(name.id, entry);
      const service = objectKey(name.namespace, name.service);
      const siblings = this.#byService.get(service);
      if (siblings === undefined) this.#byService.set(service, new Set([name.id]));
      else siblings.add(name.id);
    }
    let share = entry.shares.get(host);
    if (share === undefined) {
      share = { plans: new Set(), sharings: [] };
      entry.shares.set(host, share);
    }
    return share;
  }

  #forget({ name }: Entry): void {
    this.#entries.delete(name.id);
    const service = objectKey(name.namespace, name.service);
    const siblings = this.#byService.get(service);
    siblings?.delete(name.id);
    if (siblings?.size === 0) this.#byService.delete(service);
  }

  /** The primary of the oldest canary Ingress, and of its first path: one set of settings is all that there can be. */
  #choosePrimary(entry: Entry | undefined): void {
    if (entry === undefined) return;
    const [first] = [...entry.shares.values()]
      .flatMap((share) => share.sharings)
      .sort((a, b) => compareSeniority(a.plan.object.meta, b.plan.object.meta) || a.order - b.order);
    entry.primary = first?.primary ?? null;
    if (entry.primary === null) this.#canaries.delete(entry);
    else this.#canaries.add(entry);
  }

  /** Settings of sessions follow from the primary's users. */
  #addCanaries(): void {
    for (const { name, primary } of this.#canaries) {
      if (primary !== null && this.#due.has(primary)) this.#due.add(name.id);
    }
  }

  #make(context: TranslateContext, entry: Entry, defaults: readonly FeatureIr[]): UpstreamIr {
    const { name, primary } = entry;
    const own = new TranslateContext(context.index, context.options);
    const primaryEntry = primary === null ? undefined : this.#entries.get(primary);
    const draft = { name, users: usersOf(entry), primaryUsers: usersOf(primaryEntry) };
    const features = chooseFeatures(own, draft, defaults);
    const ir: UpstreamIr = { ...name, ...(features.length === 0 ? {} : { features }) };
    entry.ir = ir;
    entry.diagnostics = own.diagnostics;
    return ir;
  }
}

function usersOf(entry: Entry | undefined): ReadonlySet<IngressPlan> {
  return new Set([...(entry?.shares.values() ?? [])].flatMap(({ plans }) => [...plans]));
}
