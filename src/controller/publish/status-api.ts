// The one write to an Ingress: its `status.loadBalancer.ingress`, by a JSON merge patch of the subresource. A patch says
// just that one field, so it cannot undo what others write meanwhile, needs no read before it, and replaces the whole
// list whoever wrote it before; server-side apply would leave the addresses of a former controller as a co-owner's, which
// removal could not take away. Where roles made for ingress-nginx allow `update` and not `patch`, the object is read and
// replaced instead, under its resourceVersion.
import { ApiError } from "../../kube-api/errors.ts";
import type { ApiReader } from "../sources/kubernetes/reflector.ts";
import type { ObjectKey } from "../objects.ts";
import { fieldsOf, type Addresses } from "./addresses.ts";

/** In `metadata.managedFields`. */
export const fieldManager = "fairway";
const timeoutMs = 10_000;

export class StatusApi {
  readonly #client: Pick<ApiReader, "call">;
  #isPatchRefused = false;

  constructor(client: Pick<ApiReader, "call">) {
    this.#client = client;
  }

  /** The object as it is then. Refused when the Ingress is not the one with this uid any more. */
  async write(key: ObjectKey, uid: string, addresses: Addresses): Promise<unknown> {
    try {
      return await this.#writeBy(this.#isPatchRefused, key, uid, addresses);
    } catch (cause) {
      if (!(cause instanceof ApiError) || cause.status !== 403) throw cause;
      // Roles change: what was refused once may be what is allowed now.
      const written = await this.#writeBy(!this.#isPatchRefused, key, uid, addresses);
      this.#isPatchRefused = !this.#isPatchRefused;
      return written;
    }
  }

  #writeBy(isReplacing: boolean, key: ObjectKey, uid: string, addresses: Addresses): Promise<unknown> {
    return isReplacing ? this.#replace(key, uid, addresses) : this.#patch(key, uid, addresses);
  }

  async #patch(key: ObjectKey, uid: string, addresses: Addresses): Promise<unknown> {
    return await this.#client.call({
      method: "PATCH",
      path: `${pathOf(key)}/status`,
      query: { fieldManager },
      contentType: "application/merge-patch+json",
      body: { metadata: { uid }, status: { loadBalancer: { ingress: listOf(addresses) } } },
      signal: AbortSignal.timeout(timeoutMs),
    });
  }

  async #replace(key: ObjectKey, uid: string, addresses: Addresses): Promise<unknown> {
    const signal = AbortSignal.timeout(timeoutMs);
    const found = fieldsOf(await this.#client.call({ path: pathOf(key), signal }));
    if (fieldsOf(found["metadata"])["uid"] !== uid) throw new ApiError(409, "Conflict", "it was made anew");
    const { status } = found;
    return await this.#client.call({
      method: "PUT",
      path: `${pathOf(key)}/status`,
      query: { fieldManager },
      body: { ...found, status: { ...fieldsOf(status), loadBalancer: { ingress: listOf(addresses) } } },
      signal,
    });
  }
}

function listOf(addresses: Addresses): readonly unknown[] {
  return addresses.map(({ ip, hostname }) => ({
    ...(ip === "" ? {} : { ip }),
    ...(hostname === "" ? {} : { hostname }),
  }));
}

function pathOf(key: ObjectKey): string {
  const slash = key.indexOf("/");
  return `/apis/networking.k8s.io/v1/namespaces/${key.slice(0, slash)}/ingresses/${key.slice(slash + 1)}`;
}
