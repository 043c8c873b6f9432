// What is sent to prove who we are: read from files and programs, kept for a while, and read again when asked to.
import { execFile } from "node:child_process";
import { readFile } from "node:fs/promises";
import { promisify } from "node:util";
import type { Clock } from "../util/clock.ts";
import { AccessError, type Access, type ExecPlugin, type Material } from "./access.ts";

export interface Credentials {
  /** The field of the request; empty: none. */
  readonly authorization: string;
  readonly ca: string | null;
  readonly certificate: string | null;
  readonly key: string | null;
}

/** A token that is replaced is used at the latest after this long; one that is refused, at once. */
export const credentialsMaxAgeMs = 60_000;
const execTimeoutMs = 30_000;
/** Between two runs of a program whose credentials were refused: it may ask a person, or a rate-limited service. */
const execPauseMs = 10_000;

const run = promisify(execFile);

export class CredentialsReader {
  readonly #access: Access;
  readonly #clock: Clock;
  #last: { readonly value: Credentials; readonly atMs: number } | null = null;
  #reading: Promise<Credentials> | null = null;
  #exec: { readonly value: ExecCredential; readonly atMs: number } | null = null;

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
    const { token, basic, certificateAuthority, clientCertificate, clientKey, exec } = this.#access;
    const [ca, certificate, key, bearer] = await Promise.all([
      read(certificateAuthority),
      read(clientCertificate),
      read(clientKey),
      read(token),
    ]);
    const given = exec === null ? null : await this.#execCredential(exec, isRefused);
    const value = {
      authorization: authorizationOf(given?.token || (bearer ?? ""), basic),
      ca,
      certificate: given?.certificate || certificate,
      key: given?.key || key,
    };
    this.#last = { value, atMs: this.#clock.nowMs() };
    return value;
  }

  async #execCredential(plugin: ExecPlugin, isRefused: boolean): Promise<ExecCredential> {
    const now = this.#clock.nowMs();
    const last = this.#exec;
    const isUsable = last !== null && Date.now() < last.value.expiresAtUnixMs && !isRefused;
    if (last !== null && (isUsable || (isRefused && now - last.atMs < execPauseMs))) return last.value;
    const value = await runPlugin(plugin);
    this.#exec = { value, atMs: now };
    return value;
  }
}

async function read(material: Material | null): Promise<string | null> {
  if (material === null) return null;
  if ("text" in material) return material.text;
  try {
    return await readFile(material.file, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : String(cause);
    throw new AccessError(`cannot read ${material.file} (${code})`, { cause });
  }
}

function authorizationOf(token: string, basic: Access["basic"]): string {
  if (token.trim() !== "") return `Bearer ${token.trim()}`;
  if (basic === null) return "";
  return `Basic ${Buffer.from(`${basic.user}:${basic.password}`).toString("base64")}`;
}

interface ExecCredential {
  readonly token: string;
  readonly certificate: string;
  readonly key: string;
  readonly expiresAtUnixMs: number;
}

async function runPlugin({
  apiVersion,
  command,
  args,
  env,
  installHint,
}: ExecPlugin): Promise<ExecCredential> {
  const spec = { apiVersion, kind: "ExecCredential", spec: { interactive: false } };
  const info = { KUBERNETES_EXEC_INFO: JSON.stringify(spec) };
  let printed: string;
  try {
    const options = { env: { ...process.env, ...env, ...info }, timeout: execTimeoutMs };
    printed = (await run(command, [...args], options)).stdout;
  } catch (cause) {
    // What the program printed may hold a token, so only its failure is told.
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "failed";
    throw new AccessError(
      `the credentials program ${command} failed (${code})${installHint && `: ${installHint}`}`,
    );
  }
  const status = statusOf(printed);
  if (status === null) throw new AccessError(`the credentials program ${command} printed no ExecCredential`);
  const text = (key: string): string => {
    const value = status[key];
    return typeof value === "string" ? value : "";
  };
  const expires = Date.parse(text("expirationTimestamp"));
  return {
    token: text("token"),
    certificate: text("clientCertificateData"),
    key: text("clientKeyData"),
    expiresAtUnixMs: Number.isNaN(expires) ? Number.POSITIVE_INFINITY : expires,
  };
}

function statusOf(printed: string): Readonly<Record<string, unknown>> | null {
  try {
    const value: unknown = JSON.parse(printed);
    if (typeof value !== "object" || value === null || !("status" in value)) return null;
    const { status } = value;
    return typeof status === "object" && status !== null ? { ...status } : null;
  } catch {
    return null;
  }
}
