// Writes X.509 certificates (RFC 5280): the structure with node-forge's ASN.1, keys and signatures with node:crypto,
// since forge itself knows no ECDSA and makes RSA keys slowly. Used for the default certificate, tests and the demo.
import { createHash, createPublicKey, generateKeyPair, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { promisify } from "node:util";
import forge from "node-forge";

const { asn1, pki, util } = forge;
const { UNIVERSAL, CONTEXT_SPECIFIC } = asn1.Class;
const { SEQUENCE, SET, INTEGER, BITSTRING, OCTETSTRING, BOOLEAN, OID, NULL, UTF8, UTCTIME, GENERALIZEDTIME } =
  asn1.Type;
type Node = forge.asn1.Asn1;
/** A context-specific tag is any small number; forge's types ask for one of its universal ones. */
const createTagged: (
  tagClass: forge.asn1.Class,
  tag: number,
  isConstructed: boolean,
  value: string | Node[],
) => Node = asn1.create;
/** Not in the type declarations of forge. */
const { bytesFromIP } = util as unknown as { readonly bytesFromIP: (this: void, text: string) => string };

export type KeyType = "rsa" | "ec";

export interface Subject {
  readonly commonName: string;
  readonly organization?: string;
}

/** Who signs: a certificate authority, or the certificate's own key. */
export interface Issuer {
  readonly subject: Subject;
  readonly privateKey: KeyObject;
}

export interface CertificateOptions {
  readonly subject: Subject;
  /** DNS names and IP addresses. */
  readonly names: readonly string[];
  readonly privateKey: KeyObject;
  /** Absent: self-signed. */
  readonly issuer?: Issuer;
  /** It may sign others. Default false. */
  readonly isAuthority?: boolean;
  readonly notBefore: Date;
  readonly notAfter: Date;
}

const generateKeyPairAsync = promisify(generateKeyPair);

/** RSA of 2048 bits, or the curve P-256. */
export async function generateKey(keyType: KeyType): Promise<KeyObject> {
  const { privateKey } =
    keyType === "rsa"
      ? await generateKeyPairAsync("rsa", { modulusLength: 2048 })
      : await generateKeyPairAsync("ec", { namedCurve: "P-256" });
  return privateKey;
}

/** PKCS#8, PEM. */
export function keyPem(privateKey: KeyObject): string {
  return privateKey.export({ type: "pkcs8", format: "pem" });
}

/** Returns the certificate, PEM. */
export function writeCertificate(options: CertificateOptions): string {
  const issuer = options.issuer ?? { subject: options.subject, privateKey: options.privateKey };
  const algorithm = signatureAlgorithm(issuer.privateKey);
  const content = node(SEQUENCE, [
    tagged(0, [leaf(INTEGER, "\x02")]),
    leaf(INTEGER, serialNumber()),
    algorithm,
    distinguishedName(issuer.subject),
    node(SEQUENCE, [time(options.notBefore), time(options.notAfter)]),
    distinguishedName(options.subject),
    asn1.fromDer(util.createBuffer(publicKeyDer(options.privateKey).toString("latin1"))),
    tagged(3, [node(SEQUENCE, extensions(options, issuer))]),
  ]);
  const signature = sign("sha256", der(content), issuer.privateKey);
  const certificate = node(SEQUENCE, [content, algorithm, bits(signature.toString("latin1"))]);
  const lines =
    der(certificate)
      .toString("base64")
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join("\n")}\n-----END CERTIFICATE-----\n`;
}

function extensions(options: CertificateOptions, issuer: Issuer): Node[] {
  const isAuthority = options.isAuthority ?? false;
  const all = [
    extension("basicConstraints", true, node(SEQUENCE, isAuthority ? [leaf(BOOLEAN, "\xff")] : [])),
    // digitalSignature and keyEncipherment; of an authority keyCertSign and cRLSign (RFC 5280, 4.2.1.3).
    extension("keyUsage", true, bits(isAuthority ? "\x06" : "\xa0", isAuthority ? 1 : 5)),
    extension("subjectKeyIdentifier", false, leaf(OCTETSTRING, keyIdentifier(options.privateKey))),
    extension(
      "authorityKeyIdentifier",
      false,
      node(SEQUENCE, [contextLeaf(0, keyIdentifier(issuer.privateKey))]),
    ),
  ];
  if (!isAuthority) all.push(extension("extKeyUsage", false, node(SEQUENCE, [oid("serverAuth")])));
  if (options.names.length > 0) {
    all.push(extension("subjectAltName", false, node(SEQUENCE, options.names.map(generalName))));
  }
  return all;
}

function extension(name: string, isCritical: boolean, value: Node): Node {
  const critical = isCritical ? [leaf(BOOLEAN, "\xff")] : [];
  return node(SEQUENCE, [oid(name), ...critical, leaf(OCTETSTRING, der(value).toString("latin1"))]);
}

function generalName(name: string): Node {
  return isIP(name) === 0 ? contextLeaf(2, name) : contextLeaf(7, bytesFromIP(name));
}

function distinguishedName(subject: Subject): Node {
  const attribute = (name: string, value: string): Node =>
    node(SET, [node(SEQUENCE, [oid(name), leaf(UTF8, util.encodeUtf8(value))])]);
  const organization =
    subject.organization === undefined ? [] : [attribute("organizationName", subject.organization)];
  return node(SEQUENCE, [...organization, attribute("commonName", subject.commonName)]);
}

/** UTCTime until 2049, then GeneralizedTime (RFC 5280, 4.1.2.5). */
function time(date: Date): Node {
  return date.getUTCFullYear() < 2050
    ? leaf(UTCTIME, asn1.dateToUtcTime(date))
    : leaf(GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

function signatureAlgorithm(key: KeyObject): Node {
  return key.asymmetricKeyType === "rsa"
    ? node(SEQUENCE, [oid("sha256WithRSAEncryption"), leaf(NULL, "")])
    : node(SEQUENCE, [oid("ecdsa-with-SHA256")]);
}

function keyIdentifier(privateKey: KeyObject): string {
  return createHash("sha1").update(publicKeyDer(privateKey)).digest("latin1");
}

function publicKeyDer(privateKey: KeyObject): Buffer {
  return createPublicKey(privateKey).export({ type: "spki", format: "der" });
}

/** Positive, and unique among certificates of one issuer by its 127 random bits. */
function serialNumber(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString("latin1");
}

/** forge's table of names has no ECDSA signatures. */
function oid(name: string): Node {
  const known = name === "ecdsa-with-SHA256" ? "1.2.840.10045.4.3.2" : pki.oids[name];
  if (known === undefined) throw new Error(`no object identifier for ${name}`);
  return leaf(OID, asn1.oidToDer(known).getBytes());
}

function node(type: forge.asn1.Type, children: Node[]): Node {
  return asn1.create(UNIVERSAL, type, true, children);
}

function leaf(type: forge.asn1.Type, bytes: string): Node {
  return asn1.create(UNIVERSAL, type, false, bytes);
}

function bits(bytes: string, unused = 0): Node {
  return leaf(BITSTRING, String.fromCharCode(unused) + bytes);
}

function tagged(tag: number, children: Node[]): Node {
  return createTagged(CONTEXT_SPECIFIC, tag, true, children);
}

function contextLeaf(tag: number, bytes: string): Node {
  return createTagged(CONTEXT_SPECIFIC, tag, false, bytes);
}

function der(value: Node): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}
