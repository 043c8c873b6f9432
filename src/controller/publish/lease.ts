// The Lease of the election, in the API of Kubernetes (coordination.k8s.io/v1).
import { ApiError } from "../../kube-api/errors.ts";
import type { ApiClient } from "../../kube-api/client.ts";
import type { LeaseApi, LeaseRecord, VersionedLease } from "./leader.ts";

export class KubernetesLease implements LeaseApi {
  readonly #client: ApiClient;
  readonly #namespace: string;
  readonly #name: string;

  constructor(client: ApiClient, namespace: string, name: string) {
    this.#client = client;
    this.#namespace = namespace;
    this.#name = name;
  }

  async read(timeoutMs: number): Promise<VersionedLease | null> {
    return unless(404, async () =>
      parseLease(await this.#client.call({ path: this.#path(), ...within(timeoutMs) })),
    );
  }

  async create(record: LeaseRecord, timeoutMs: number): Promise<VersionedLease | null> {
    const path = this.#path().slice(0, -this.#name.length - 1);
    return unless(409, async () =>
      parseLease(
        await this.#client.call({ method: "POST", path, body: this.#body(record, ""), ...within(timeoutMs) }),
      ),
    );
  }

  async update(record: LeaseRecord, version: string, timeoutMs: number): Promise<VersionedLease | null> {
    const body = this.#body(record, version);
    // Gone: the next look finds that out.
    return unless(404, () =>
      unless(409, async () =>
        parseLease(
          await this.#client.call({ method: "PUT", path: this.#path(), body, ...within(timeoutMs) }),
        ),
      ),
    );
  }

  #path(): string {
    return `/apis/coordination.k8s.io/v1/namespaces/${this.#namespace}/leases/${this.#name}`;
  }

  #body(record: LeaseRecord, version: string): unknown {
    return {
      apiVersion: "coordination.k8s.io/v1",
      kind: "Lease",
      metadata: {
        name: this.#name,
        namespace: this.#namespace,
        ...(version === "" ? {} : { resourceVersion: version }),
      },
      spec: {
        holderIdentity: record.holder,
        leaseDurationSeconds: Math.max(1, Math.round(record.durationMs / 1000)),
        leaseTransitions: record.transitions,
        acquireTime: microTime(record.acquiredAt),
        renewTime: microTime(record.renewedAt),
      },
    };
  }
}

function within(timeoutMs: number): { readonly signal: AbortSignal } {
  return { signal: AbortSignal.timeout(timeoutMs) };
}

async function unless<T>(status: number, call: () => Promise<T>): Promise<T | null> {
  try {
    return await call();
  } catch (cause) {
    if (cause instanceof ApiError && cause.status === status) return null;
    throw cause;
  }
}

/** MicroTime has six digits, and the API server takes no other number of them. */
function microTime(iso: string): string {
  return iso.replace(
    /(?:\.(\d{1,6})\d*)?Z$/,
    (_, digits: string | undefined) => `.${(digits ?? "").padEnd(6, "0")}Z`,
  );
}

/** What is missing or of another type counts as absent: another program may have written it. */
export function parseLease(value: unknown): VersionedLease {
  const { metadata, spec } = fields(value);
  const { resourceVersion } = fields(metadata);
  const { holderIdentity, leaseDurationSeconds, leaseTransitions, acquireTime, renewTime } = fields(spec);
  return {
    version: text(resourceVersion),
    holder: text(holderIdentity),
    durationMs: number(leaseDurationSeconds) * 1000,
    transitions: number(leaseTransitions),
    acquiredAt: text(acquireTime),
    renewedAt: text(renewTime),
  };
}

function fields(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown): number {
  return typeof value === "number" && Number.isFinite(value) ? value : 0;
}
