// What is sent to prove who we are: kept for a while, and read again when it is old or refused.
import { readFile } from "node:fs/promises";
import type { Clock } from "../util/clock.ts";
import { AccessError, type Access, type Credentials, type Material } from "./access.ts";

/** A token that is replaced is used at the latest after this long; one that is refused, at once. */
export const credentialsMaxAgeMs = 60_000;

export class CredentialsReader {
  readonly #access: Access;
  readonly #clock: Clock;
  #last: { readonly value: Credentials; readonly atMs: number } | null = null;
  #reading: Promise<Credentials> | null = null;

  constructor(access: Access, clock: Clock) {
    this.#access = access;
    this.#clock = clock;
  }

  /** `isRefused`: what the last call gave was not accepted. */
  async read(isRefused: boolean): Promise<Credentials> {
    const last = this.#last;
    const isRecent = last !== null && this.#clock.nowMs() - last.atMs < credentialsMaxAgeMs;
    if (isRecent && !isRefused) return last.value;
    this.#reading ??= this.#readAll(isRefused).finally(() => {
      this.#reading = null;
    });
    return this.#reading;
  }

  async #readAll(isRefused: boolean): Promise<Credentials> {
    const { token, certificateAuthority, kubeconfig } = this.#access;
    const [ca, bearer, given] = await Promise.all([
      readMaterial(certificateAuthority),
      readMaterial(token),
      kubeconfig === null ? none : kubeconfig.read(isRefused),
    ]);
    const headers = { ...given.headers };
    if (bearer !== null && bearer.trim() !== "") headers["authorization"] = `Bearer ${bearer.trim()}`;
    const value = { ...given, headers, ca: ca ?? given.ca };
    this.#last = { value, atMs: this.#clock.nowMs() };
    return value;
  }
}

const none: Credentials = { headers: {}, ca: null, certificate: null, key: null, agent: null };

async function readMaterial(material: Material | null): Promise<string | null> {
  if (material === null) return null;
  if ("text" in material) return material.text;
  try {
    return await readFile(material.file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new AccessError(`cannot read ${material.file} (${code})`, { cause });
  }
}
