// A kubeconfig, read by the official client: contexts, certificates, tokens and their files, programs that print
// credentials (exec), auth providers, impersonation, proxies. It takes 90 MB of memory, so it is loaded only here, where a
// kubeconfig is named; a pod has a service account and does without.
import { readFileSync } from "node:fs";
import type { RequestOptions } from "node:https";
import { dirname } from "node:path";
import type { KubeConfig } from "@kubernetes/client-node";
import type { Clock } from "../util/clock.ts";
import {
  AccessError,
  noAccess,
  serverOf,
  type Access,
  type Credentials,
  type CredentialsSource,
} from "./access.ts";

/** Between two readings because of a refusal: a program that prints credentials may ask a person. */
export const rereadPauseMs = 10_000;

/** Rejects with an `AccessError` that names the file and quotes nothing of it. */
export async function loadKubeconfig(path: string, clock: Clock): Promise<Access> {
  const { KubeConfig: Loader } = await import("@kubernetes/client-node");
  const load = (): KubeConfig => read(new Loader(), path);
  const config = load();
  const cluster = config.getCurrentCluster();
  if (cluster === null) throw new AccessError(`${path}: the current context names no cluster that is there`);
  return {
    ...noAccess,
    server: serverOf(cluster.server, `${path}: server`),
    isInsecure: cluster.skipTLSVerify ?? false,
    serverName: cluster.tlsServerName ?? "",
    kubeconfig: new KubeconfigCredentials(path, load, { config, clock }),
  };
}

function read(config: KubeConfig, path: string): KubeConfig {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new AccessError(`cannot read --kubeconfig ${path} (${code})`, { cause });
  }
  try {
    config.loadFromString(text);
    config.makePathsAbsolute(dirname(path));
  } catch {
    // The cause is left out: it may quote a token.
    throw new AccessError(
      `${path} is not a kubeconfig: expected clusters, users, contexts and a current-context`,
    );
  }
  if (config.getCurrentContext() === "" || config.getContextObject(config.getCurrentContext()) === null) {
    throw new AccessError(`${path}: current-context names no context that is there`);
  }
  return config;
}

class KubeconfigCredentials implements CredentialsSource {
  readonly #path: string;
  readonly #load: () => KubeConfig;
  readonly #clock: Clock;
  #config: KubeConfig;
  #loadedAtMs: number;

  constructor(
    path: string,
    load: () => KubeConfig,
    { config, clock }: { readonly config: KubeConfig; readonly clock: Clock },
  ) {
    this.#path = path;
    this.#load = load;
    this.#config = config;
    this.#clock = clock;
    this.#loadedAtMs = clock.nowMs();
  }

  async read(isRefused: boolean): Promise<Credentials> {
    const nowMs = this.#clock.nowMs();
    if (isRefused && nowMs - this.#loadedAtMs >= rereadPauseMs) {
      // A new one remembers no token that a program printed.
      this.#config = this.#load();
      this.#loadedAtMs = nowMs;
    }
    const options: RequestOptions = {};
    try {
      await this.#config.applyToHTTPSOptions(options);
    } catch {
      // What a program printed may hold a token, so only the failure is told.
      throw new AccessError(`${this.#path}: the credentials of the current user cannot be read`);
    }
    const hasProxy = (this.#config.getCurrentCluster()?.proxyUrl ?? "") !== "";
    return {
      headers: headersOf(options),
      ca: textOf(options.ca),
      certificate: textOf(options.cert),
      key: textOf(options.key),
      agent: hasProxy && typeof options.agent === "object" ? options.agent : null,
    };
  }
}

function headersOf({ headers, auth }: RequestOptions): Record<string, string> {
  const result: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (typeof value === "string") result[name.toLowerCase()] = value;
  }
  if (typeof auth === "string") result["authorization"] ??= `Basic ${Buffer.from(auth).toString("base64")}`;
  return result;
}

function textOf(value: unknown): string | null {
  if (typeof value === "string") return value;
  return value instanceof Buffer ? value.toString("utf8") : null;
}
