// A listener for sources that tests can wait on.
import type { Diagnostic } from "../../../src/ir/diagnostic.ts";
import { refKey } from "../../../src/ir/object-ref.ts";
import { refOf, type KubeObject } from "../../../src/controller/objects.ts";
import type { ObjectEvent } from "../../../src/controller/sources/source.ts";

export class EventLog {
  readonly events: ObjectEvent[] = [];
  readonly objects = new Map<string, KubeObject>();
  readonly reports = new Map<string, readonly Diagnostic[]>();
  /** In short: `+Service/default/web`, `-Service/default/web`, `synced`. */
  readonly summary: string[] = [];
  #check: () => void = () => {};

  readonly listener = (event: ObjectEvent): void => {
    this.events.push(event);
    if (event.kind === "upsert") {
      this.objects.set(refKey(refOf(event.object)), event.object);
      this.summary.push(`+${refKey(refOf(event.object))}`);
    } else if (event.kind === "delete") {
      this.objects.delete(refKey(event.ref));
      this.summary.push(`-${refKey(event.ref)}`);
    } else if (event.kind === "report") this.reports.set(event.origin, event.diagnostics);
    else this.summary.push("synced");
    this.#check();
  };

  /** Resolves when `condition` holds, at once or after some event. */
  until(condition: () => boolean): Promise<void> {
    return new Promise((resolve) => {
      this.#check = () => {
        if (!condition()) return;
        this.#check = () => {};
        resolve();
      };
      this.#check();
    });
  }

  has(key: string): boolean {
    return this.objects.has(key);
  }

  reasons(): readonly string[] {
    return [...this.reports.values()]
      .flat()
      .map((each) => `${each.object.name} ${each.field} ${each.reason}`);
  }
}

/** The text of a small Service; `port` tells versions of it apart. */
export function service(name: string, port = 80): string {
  return `apiVersion: v1\nkind: Service\nmetadata:\n  name: ${name}\nspec:\n  ports:\n    - port: ${port}\n`;
}

export function portOf(object: KubeObject | undefined): number | undefined {
  return object?.kind === "Service" ? object.ports[0]?.port : undefined;
}
