// The certificate of the webhook from two files, looked at again every few seconds: a Secret that is mounted is replaced
// by the kubelet without a word. A pair that does not fit leaves the last good one in use.
import { readFile } from "node:fs/promises";
import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Cancel, Clock } from "../util/clock.ts";
import type { ServerCertificate } from "./server.ts";

export interface CertificateFilesOptions {
  readonly certificate: string;
  readonly key: string;
  readonly clock: Clock;
  readonly onChange: (pair: ServerCertificate) => void;
  /** Once for each problem. */
  readonly onProblem: (message: string) => void;
}

export const lookEveryMs = 5_000;

export class CertificateFiles {
  readonly #options: CertificateFilesOptions;
  #current: ServerCertificate | null = null;
  #problem = "";
  #cancel: Cancel | null = null;
  #isClosed = false;

  constructor(options: CertificateFilesOptions) {
    this.#options = options;
  }

  /** The first pair; rejects when there is none that can be used. Then looks for others. */
  async start(): Promise<ServerCertificate> {
    this.#current = await this.#read();
    this.#lookLater();
    return this.#current;
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel?.();
  }

  /** Now, instead of in a few seconds. */
  async look(): Promise<void> {
    try {
      const pair = await this.#read();
      const isNew = pair.certificate !== this.#current?.certificate || pair.key !== this.#current.key;
      if (isNew && !this.#isClosed) this.#options.onChange(pair);
      this.#current = pair;
      this.#problem = "";
    } catch (cause) {
      const message = cause instanceof Error ? cause.message : String(cause);
      if (message !== this.#problem) this.#options.onProblem(message);
      this.#problem = message;
    }
  }

  #lookLater(): void {
    if (this.#isClosed) return;
    // It catches everything itself.
    this.#cancel = this.#options.clock.after(
      lookEveryMs,
      () => void this.look().then(() => this.#lookLater()),
    );
  }

  async #read(): Promise<ServerCertificate> {
    const [certificate, key] = await Promise.all([
      readFile(this.#options.certificate, "utf8"),
      readFile(this.#options.key, "utf8"),
    ]);
    checkPair({ certificate, key });
    return { certificate, key };
  }
}

/** Throws in words that show nothing of the key. */
export function checkPair({ certificate, key }: ServerCertificate): void {
  let leaf: X509Certificate;
  try {
    leaf = new X509Certificate(certificate);
  } catch {
    throw new Error("the certificate of the webhook is no PEM certificate");
  }
  let isPair = false;
  try {
    isPair = leaf.checkPrivateKey(createPrivateKey(key));
  } catch {
    throw new Error("the key of the webhook is no PEM private key");
  }
  if (!isPair) throw new Error("the key of the webhook is not that of its certificate");
}
