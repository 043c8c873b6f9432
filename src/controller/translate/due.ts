// What a translator has been told of since its last build, and what follows from that.
import type { ObjectKey } from "../objects.ts";

/** What is to be made anew. */
export class Due {
  everything = true;
  readonly ingresses = new Set<ObjectKey>();
  readonly secrets = new Set<ObjectKey>();
  /** Of them words on Ingresses depend, and the controller's default backend. */
  readonly services = new Set<ObjectKey>();
  /** Services whose endpoints are to be made. */
  readonly endpoints = new Set<ObjectKey>();
  readonly hosts = new Set<string>();
  /** Ingresses that are to be checked again. */
  readonly checks = new Set<ObjectKey>();

  get isNothing(): boolean {
    return (
      !this.everything &&
      [this.ingresses, this.secrets, this.services, this.endpoints].every((s) => s.size === 0)
    );
  }

  clear(): void {
    this.everything = false;
    for (const set of [this.ingresses, this.secrets, this.services, this.endpoints, this.hosts, this.checks])
      set.clear();
  }
}
