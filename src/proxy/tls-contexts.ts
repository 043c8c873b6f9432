// TLS for clients: which certificate a handshake gets. Contexts are made when a table is published, never in a
// handshake, and swapped for later handshakes only. A connection's certificate is chosen by server name (SNI); the
// routing table says which certificates a name has.
import { constants, createPrivateKey, randomBytes, X509Certificate } from "node:crypto";
import tls from "node:tls";
import { LRUCache } from "lru-cache";
import { formatRef, refKey } from "../ir/object-ref.ts";
import type { CertificateId, CertificateIr } from "../ir/routing.ts";
import type { Cancel, Clock } from "../util/clock.ts";
import { certificatesFor } from "./routing/certificates.ts";
import type { RoutingTable } from "./routing/snapshot.ts";

/** A certificate chain and its private key, PEM. */
export type KeyPair = Pick<CertificateIr, "chain" | "key">;

/** Contexts kept at a time, at about 35 KiB each. With more certificates, rarely used ones are made in the handshake. */
export const contextsMax = 4096;

/** The default of ingress-nginx, and the suites of TLS 1.3. No CBC, no static RSA (RFC 9113, 9.2.2). */
export const cipherList = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
  "DHE-RSA-AES256-GCM-SHA384",
  "DHE-RSA-AES128-GCM-SHA256",
].join(":");

/** How long sessions are resumed with the same keys. A client of the hour of the change does one full handshake. */
export const ticketKeysMaxAgeMs = 12 * 3_600_000;

/** New keys for session tickets. Workers share them, so that each resumes the sessions of all. */
export function makeTicketKeys(): Buffer {
  return randomBytes(48);
}

const protocols = ["http/1.1"];

/** What `new tls.TLSSocket(socket, options)` takes for one accepted connection. */
export interface TlsServerOptions {
  readonly isServer: true;
  readonly secureContext: tls.SecureContext;
  readonly SNICallback?: SniCallback;
  readonly ALPNProtocols: string[];
}

/** What of a connection in its handshake decides between certificates of one host. Node calls it `this`. */
type ClientOffer = Pick<tls.TLSSocket, "getProtocol" | "getSharedSigalgs">;

type SniCallback = (
  this: unknown,
  serverName: string,
  done: (error: Error | null, context?: tls.SecureContext) => void,
) => void;

export class TlsContexts {
  /** By certificate. */
  readonly #contexts = new LRUCache<CertificateId, tls.SecureContext>({ max: contextsMax });
  /** For certificates that cannot be used: the last good context of their Secret; null: there is none. */
  #substitutes = new Map<CertificateId, tls.SecureContext | null>();
  /** The certificate that a Secret holds now. */
  #idsBySecret = new Map<string, CertificateId>();
  readonly #selfSignedPair: KeyPair;
  #selfSigned: tls.SecureContext;
  #defaultContext: tls.SecureContext;
  #table: RoutingTable | null = null;
  #problems: readonly string[] = [];
  #serverOptions: TlsServerOptions;
  #ticketKeys: Buffer;
  readonly #cancelRotation: Cancel | null;

  /**
   * Throws when `selfSigned` is no pair: it is ours. With `ticketKeys` somebody else makes new ones in time and calls
   * `useTicketKeys`.
   */
  constructor(selfSigned: KeyPair, clock: Clock, ticketKeys: Buffer | null = null) {
    this.#ticketKeys = ticketKeys ?? makeTicketKeys();
    this.#selfSignedPair = selfSigned;
    this.#selfSigned = this.#make(selfSigned);
    this.#defaultContext = this.#selfSigned;
    this.#serverOptions = this.#makeServerOptions(false);
    this.#cancelRotation =
      ticketKeys === null ? clock.every(ticketKeysMaxAgeMs, () => this.rotateTicketKeys()) : null;
  }

  /** For the next accepted connection; a new object when certificates have changed. */
  get serverOptions(): TlsServerOptions {
    return this.#serverOptions;
  }

  /**
   * Takes effect with the next handshake; open connections keep what they have. Returns a sentence for each certificate
   * that cannot be used: its hosts go on with the last good one, or else with the default certificate.
   */
  publish(table: RoutingTable): readonly string[] {
    const before = this.#table;
    this.#table = table;
    const { certificates, defaultCertificate } = table;
    const isSame =
      before !== null &&
      before.certificates === certificates &&
      before.defaultCertificate?.id === defaultCertificate?.id;
    if (!isSame) this.#prepare(table);
    return this.#problems;
  }

  #prepare(table: RoutingTable): void {
    const { certificates, defaultCertificate } = table;
    const problems: string[] = [];
    const substitutes = new Map<CertificateId, tls.SecureContext | null>();
    const idsBySecret = new Map<string, CertificateId>();
    const live = new Set<CertificateId>();
    const prepare = (certificate: CertificateIr): void => {
      const { id, secret } = certificate;
      if (live.has(id)) return;
      live.add(id);
      idsBySecret.set(refKey(secret), id);
      if (this.#contexts.has(id) || live.size > contextsMax) return;
      const problem = problemOf(certificate);
      if (problem === null) this.#contexts.set(id, this.#make(certificate));
      else {
        substitutes.set(id, this.#lastGood(certificate));
        problems.push(`${formatRef(secret)} is not used: ${problem}`);
      }
    };
    // The default comes first, so that it has its context whatever the number of certificates.
    if (defaultCertificate !== null) prepare(defaultCertificate);
    for (const each of certificates.values()) prepare(each);
    for (const id of this.#contexts.keys()) if (!live.has(id)) this.#contexts.delete(id);
    this.#substitutes = substitutes;
    this.#idsBySecret = idsBySecret;
    this.#problems = problems;
    const configured = defaultCertificate === null ? null : this.#contextOf(defaultCertificate);
    this.#defaultContext = configured ?? this.#selfSigned;
    const hasOthers = certificates.size > (defaultCertificate === null ? 0 : 1);
    this.#serverOptions = this.#makeServerOptions(hasOthers);
  }

  /** Never throws: whatever goes wrong, there is the default certificate. `serverName` is as the client sent it. */
  contextFor(serverName: string, offer: ClientOffer | null): tls.SecureContext {
    if (this.#table === null) return this.#defaultContext;
    try {
      const certificates = certificatesFor(this.#table, serverName);
      if (certificates.length > 1 && offer !== null) {
        const preferred = this.#contextOfType(preferredKeyType(offer), certificates);
        if (preferred !== null) return preferred;
      }
      for (const certificate of certificates) {
        const context = this.#contextOf(certificate);
        if (context !== null) return context;
      }
    } catch {
      // A certificate that only OpenSSL finds wrong, made in the handshake because there are too many.
    }
    return this.#defaultContext;
  }

  rotateTicketKeys(): void {
    this.useTicketKeys(makeTicketKeys());
  }

  /** Only the keys of the context that a handshake starts with count, so the other contexts keep theirs. */
  useTicketKeys(keys: Buffer): void {
    this.#ticketKeys = keys;
    this.#selfSigned = this.#make(this.#selfSignedPair);
    if (this.#table === null) {
      this.#defaultContext = this.#selfSigned;
      this.#serverOptions = this.#makeServerOptions(false);
      return;
    }
    const { defaultCertificate } = this.#table;
    if (defaultCertificate !== null) this.#contexts.delete(defaultCertificate.id);
    this.#prepare(this.#table);
  }

  close(): void {
    this.#cancelRotation?.();
  }

  #contextOf(certificate: CertificateIr): tls.SecureContext | null {
    const ready = this.#contexts.get(certificate.id);
    if (ready !== undefined) return ready;
    const substitute = this.#substitutes.get(certificate.id);
    if (substitute !== undefined) return substitute;
    const context = this.#make(certificate);
    this.#contexts.set(certificate.id, context);
    return context;
  }

  #contextOfType(keyType: "rsa" | "ec", certificates: readonly CertificateIr[]): tls.SecureContext | null {
    const certificate = certificates.find((each) => each.keyType === keyType);
    return certificate === undefined ? null : this.#contextOf(certificate);
  }

  /** What served the Secret before it broke. */
  #lastGood({ secret }: CertificateIr): tls.SecureContext | null {
    const id = this.#idsBySecret.get(refKey(secret));
    if (id === undefined) return null;
    return this.#contexts.get(id) ?? this.#substitutes.get(id) ?? null;
  }

  #make(pair: KeyPair): tls.SecureContext {
    return tls.createSecureContext({ ...contextOptions(pair), ticketKeys: this.#ticketKeys });
  }

  /** Without hosts that have certificates there is no callback: it costs 60 to 100 microseconds of a handshake. */
  #makeServerOptions(hasHosts: boolean): TlsServerOptions {
    const options = {
      isServer: true,
      secureContext: this.#defaultContext,
      ALPNProtocols: protocols,
    } as const;
    return hasHosts ? { ...options, SNICallback: this.#onServerName } : options;
  }

  readonly #onServerName = serverNameCallback(this);
}

/** A function of its own, because Node calls it with the socket as `this`, which knows what the client offers. */
function serverNameCallback(contexts: TlsContexts): SniCallback {
  return function onServerName(this: unknown, serverName, done) {
    done(null, contexts.contextFor(serverName, this instanceof tls.TLSSocket ? this : null));
  };
}

/**
 * Of RSA and ECDSA. Node gives a handshake one certificate of the context that the callback chose, so the choice that
 * OpenSSL would make is made here. ECDSA is far cheaper to sign and preferred where the client takes it. In TLS 1.2 that
 * depends on its cipher suites too, which cannot be seen here, and practically every client of it takes RSA.
 */
function preferredKeyType(offer: ClientOffer): "rsa" | "ec" {
  const algorithms = offer.getSharedSigalgs();
  const takesEcdsa = algorithms.some((name) => name.startsWith("ECDSA"));
  const takesRsa = algorithms.some((name) => name.startsWith("RSA"));
  return takesEcdsa && (!takesRsa || offer.getProtocol() === "TLSv1.3") ? "ec" : "rsa";
}

function contextOptions({ key, chain }: KeyPair): tls.SecureContextOptions {
  return {
    key,
    cert: chain,
    minVersion: "TLSv1.2",
    ciphers: cipherList,
    secureOptions: constants.SSL_OP_CIPHER_SERVER_PREFERENCE | constants.SSL_OP_NO_RENEGOTIATION,
  };
}

/** OpenSSL takes a key of another type than the certificate's without complaint, and then fails every handshake. */
function problemOf(pair: KeyPair): string | null {
  try {
    const isPair = new X509Certificate(pair.chain).checkPrivateKey(createPrivateKey(pair.key));
    if (!isPair) return "the private key does not belong to the certificate";
    tls.createSecureContext(contextOptions(pair));
    return null;
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause);
  }
}
