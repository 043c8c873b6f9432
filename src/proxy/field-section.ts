// A field section as one latin1 text of lines plus offsets into it: fields that are only forwarded are never decoded.
// Wire formats other than HTTP/1.1 write their decoded fields in the same form.

/** Names the data path treats specially. The number is the id; 0 stands for every other name. */
export const FieldId = {
  Other: 0,
  Host: 1,
  Connection: 2,
  KeepAlive: 3,
  ProxyConnection: 4,
  Te: 5,
  TransferEncoding: 6,
  Upgrade: 7,
  ContentLength: 8,
  Expect: 9,
  Trailer: 10,
  ProxyAuthenticate: 11,
  ProxyAuthorization: 12,
  Proxy: 13,
  XForwardedFor: 14,
  XForwardedHost: 15,
  XForwardedPort: 16,
  XForwardedProto: 17,
  XForwardedScheme: 18,
  XForwardedPrefix: 19,
  XForwardedServer: 20,
  XRealIp: 21,
  XScheme: 22,
  XRequestId: 23,
  Forwarded: 24,
  XOriginalForwardedFor: 25,
  XOriginalForwardedHost: 26,
  XOriginalUri: 27,
  XOriginalUrl: 28,
  XOriginalMethod: 29,
  Cookie: 30,
  Server: 31,
  Date: 32,
  HttpTwoSettings: 33,
  /** `X-Accel-*`, `ssl-client-*`, `X-Original-*` and names with an underscore: recognised by shape, not by the table. */
  XAccel: 34,
  SslClient: 35,
  Underscore: 36,
  Authorization: 37,
  /** Every other `X-Original-*`. */
  XOriginal: 38,
  XForwardedSsl: 39,
} as const;
export type FieldId = (typeof FieldId)[keyof typeof FieldId];

const names: ReadonlyArray<readonly [string, FieldId]> = [
  ["host", FieldId.Host],
  ["connection", FieldId.Connection],
  ["keep-alive", FieldId.KeepAlive],
  ["proxy-connection", FieldId.ProxyConnection],
  ["te", FieldId.Te],
  ["transfer-encoding", FieldId.TransferEncoding],
  ["upgrade", FieldId.Upgrade],
  ["content-length", FieldId.ContentLength],
  ["expect", FieldId.Expect],
  ["trailer", FieldId.Trailer],
  ["proxy-authenticate", FieldId.ProxyAuthenticate],
  ["proxy-authorization", FieldId.ProxyAuthorization],
  ["proxy", FieldId.Proxy],
  ["x-forwarded-for", FieldId.XForwardedFor],
  ["x-forwarded-host", FieldId.XForwardedHost],
  ["x-forwarded-port", FieldId.XForwardedPort],
  ["x-forwarded-proto", FieldId.XForwardedProto],
  ["x-forwarded-scheme", FieldId.XForwardedScheme],
  ["x-forwarded-prefix", FieldId.XForwardedPrefix],
  ["x-forwarded-server", FieldId.XForwardedServer],
  ["x-forwarded-ssl", FieldId.XForwardedSsl],
  ["x-real-ip", FieldId.XRealIp],
  ["x-scheme", FieldId.XScheme],
  ["x-request-id", FieldId.XRequestId],
  ["forwarded", FieldId.Forwarded],
  ["x-original-forwarded-for", FieldId.XOriginalForwardedFor],
  ["x-original-forwarded-host", FieldId.XOriginalForwardedHost],
  ["x-original-uri", FieldId.XOriginalUri],
  ["x-original-url", FieldId.XOriginalUrl],
  ["x-original-method", FieldId.XOriginalMethod],
  ["cookie", FieldId.Cookie],
  ["server", FieldId.Server],
  ["date", FieldId.Date],
  ["http2-settings", FieldId.HttpTwoSettings],
  ["authorization", FieldId.Authorization],
];

export const fieldIdsByName: ReadonlyMap<string, FieldId> = new Map(names);

/** By character code: the lower-case code of a token character (RFC 9110, 5.6.2), 0 for anything else. */
export const tokenLower = new Uint8Array(256);
for (let code = 0; code < 256; code += 1) {
  const char = String.fromCharCode(code);
  if (/[!#$%&'*+\-.^_`|~0-9A-Za-z]/.test(char)) tokenLower[code] = char.toLowerCase().charCodeAt(0);
}

/** One step of the hash of a name; starts at 0, takes lower-case codes. */
export function mixNameHash(hash: number, lower: number): number {
  return Math.imul(hash, 33) ^ lower;
}

function hashName(name: string): number {
  let hash = 0;
  for (let i = 0; i < name.length; i += 1) hash = mixNameHash(hash, name.charCodeAt(i));
  return hash;
}

const slotCount = 1024;
const noName = new Uint8Array(0);
const slotNames: Uint8Array[] = Array.from({ length: slotCount }, () => noName);
const slotIds = new Uint8Array(slotCount);
for (const [name, id] of names) {
  let slot = hashName(name) & (slotCount - 1);
  while (slotIds[slot] !== 0) slot = (slot + 1) & (slotCount - 1);
  slotNames[slot] = Buffer.from(name, "latin1");
  slotIds[slot] = id;
}

const xAccel = Buffer.from("x-accel-", "latin1");
const xOriginal = Buffer.from("x-original-", "latin1");
const sslClient = Buffer.from("ssl-client-", "latin1");

/** Checks that `text[start, end)` is a token and returns its id; -1 when it is not one. */
export function readFieldName(text: string, start: number, end: number): number {
  if (end <= start) return -1;
  let hash = 0;
  for (let i = start; i < end; i += 1) {
    const lower = tokenLower[text.charCodeAt(i)] ?? 0;
    if (lower === 0) return -1;
    hash = mixNameHash(hash, lower);
  }
  return findFieldId(Buffer.from(text.slice(start, end), "latin1"), 0, end - start, hash);
}

/** The id of the token in `bytes[start, end)`, for a caller that has hashed it while checking it. */
export function findFieldId(bytes: Uint8Array, start: number, end: number, hash: number): number {
  let slot = hash & (slotCount - 1);
  for (;;) {
    const id = slotIds[slot] ?? 0;
    if (id === 0) break;
    const name = slotNames[slot] ?? noName;
    if (name.length === end - start && startsWithBytes(bytes, start, name)) return id;
    slot = (slot + 1) & (slotCount - 1);
  }
  for (let i = start; i < end; i += 1) if (bytes[i] === 95) return FieldId.Underscore;
  if (end - start > xAccel.length && startsWithBytes(bytes, start, xAccel)) return FieldId.XAccel;
  if (end - start > sslClient.length && startsWithBytes(bytes, start, sslClient)) return FieldId.SslClient;
  if (end - start > xOriginal.length && startsWithBytes(bytes, start, xOriginal)) return FieldId.XOriginal;
  return FieldId.Other;
}

/** `lower` is not longer than what `bytes` holds from `start` on. */
function startsWithBytes(bytes: Uint8Array, start: number, lower: Uint8Array): boolean {
  for (let i = 0; i < lower.length; i += 1) {
    if (tokenLower[bytes[start + i] ?? 0] !== lower[i]) return false;
  }
  return true;
}

/** `text[start, end)`, lower-cased, equals `lower`. */
export function equalsLower(text: string, start: number, end: number, lower: string): boolean {
  if (end - start !== lower.length) return false;
  for (let i = 0; i < lower.length; i += 1) {
    if (tokenLower[text.charCodeAt(start + i)] !== lower.charCodeAt(i)) return false;
  }
  return true;
}

/** Numbers kept for each field: line start, name end, value start, value end, line end, id. */
const stride = 6;
const fieldsAtFirst = 24;
const noNumbers = new Uint16Array(0);

/**
 * Memory of sections that have no fields at present. A typed array costs a microsecond to make, and more when it is
 * collected, and most connections are idle: so they borrow one for a request.
 */
const freeNumbers: Uint16Array[] = [];
const freeNumbersMax = 256;

/** Fields of one head. Reused for the next head of the same connection. */
export class FieldSection {
  /** The head, latin1; all offsets are into it. */
  text = "";
  count = 0;
  #numbers: Uint16Array = noNumbers;

  reset(): void {
    this.text = "";
    this.count = 0;
    const numbers = this.#numbers;
    if (numbers === noNumbers) return;
    this.#numbers = noNumbers;
    if (numbers.length === stride * fieldsAtFirst && freeNumbers.length < freeNumbersMax) {
      freeNumbers.push(numbers);
    }
  }

  /** Offsets are relative to the head, which must stay below 64 KiB. */
  add(
    id: number,
    lineStart: number,
    nameEnd: number,
    valueStart: number,
    valueEnd: number,
    lineEnd: number,
  ): void {
    const at = this.count * stride;
    if (at === this.#numbers.length) this.#grow();
    const numbers = this.#numbers;
    numbers[at] = lineStart;
    numbers[at + 1] = nameEnd;
    numbers[at + 2] = valueStart;
    numbers[at + 3] = valueEnd;
    numbers[at + 4] = lineEnd;
    numbers[at + 5] = id;
    this.count += 1;
  }

  id(index: number): number {
    return this.#numbers[index * stride + 5] ?? 0;
  }

  lineStart(index: number): number {
    return this.#numbers[index * stride] ?? 0;
  }

  lineEnd(index: number): number {
    return this.#numbers[index * stride + 4] ?? 0;
  }

  /** As sent. */
  name(index: number): string {
    return this.text.slice(this.#numbers[index * stride], this.#numbers[index * stride + 1]);
  }

  nameEquals(index: number, lower: string): boolean {
    const at = index * stride;
    return equalsLower(this.text, this.#numbers[at] ?? 0, this.#numbers[at + 1] ?? 0, lower);
  }

  value(index: number): string {
    return this.text.slice(this.#numbers[index * stride + 2], this.#numbers[index * stride + 3]);
  }

  /** Index of the first field with that id; -1 when there is none. */
  find(id: FieldId): number {
    for (let i = 0; i < this.count; i += 1) if (this.id(i) === id) return i;
    return -1;
  }

  /** The value by lower-case name; repeated fields joined with `, ` (cookies with `; `); undefined when absent. */
  get(lower: string): string | undefined {
    const separator = lower === "cookie" ? "; " : ", ";
    let joined: string | undefined;
    for (let i = 0; i < this.count; i += 1) {
      if (!this.nameEquals(i, lower)) continue;
      joined = joined === undefined ? this.value(i) : joined + separator + this.value(i);
    }
    return joined;
  }

  #grow(): void {
    const old = this.#numbers;
    if (old.length === 0) {
      this.#numbers = freeNumbers.pop() ?? new Uint16Array(stride * fieldsAtFirst);
    } else {
      this.#numbers = new Uint16Array(old.length * 2);
      this.#numbers.set(old);
    }
  }
}
