// IP addresses as text: parsing, one spelling for each address, and which of them an endpoint may not have.

/** 4 or 16 bytes; null when `text` is no IPv4 or IPv6 address. */
export function parseAddress(text: string): Uint8Array | null {
  return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
}

/** The spelling of RFC 5952, so that two spellings of one address are one endpoint. */
export function formatAddress(bytes: Uint8Array): string {
  return bytes.length === 4 ? bytes.join(".") : formatIpv6(bytes);
}

export type AddressClass = "unspecified" | "loopback" | "link-local" | "multicast" | "ordinary";

/**
 * What kind of address this is. IPv4 inside IPv6 (`::ffff:127.0.0.1`) counts as what it reaches. A backend on the
 * controller's own loopback, or on the link-local address of a cloud's metadata service, is an attack (SSRF), not a Pod.
 */
export function classifyAddress(bytes: Uint8Array): AddressClass {
  if (bytes.length === 4) return classifyIpv4(bytes);
  if (bytes.subarray(0, 15).every((byte) => byte === 0)) {
    if (bytes[15] === 0) return "unspecified";
    if (bytes[15] === 1) return "loopback";
  }
  if (embedsIpv4(bytes)) return classifyIpv4(bytes.subarray(12));
  if (awsMetadata.every((byte, index) => bytes[index] === byte)) return "link-local";
  if (bytes[0] === 0xfe && ((bytes[1] ?? 0) & 0xc0) === 0x80) return "link-local";
  return bytes[0] === 0xff ? "multicast" : "ordinary";
}

/** fd00:ec2::254: a unique local address by its form, a metadata service by its use. */
const awsMetadata = [0xfd, 0x00, 0x0e, 0xc2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x02, 0x54];

/** `::ffff:a.b.c.d` (mapped), `::a.b.c.d` (compatible), and `64:ff9b::a.b.c.d` (NAT64, RFC 6052). */
function embedsIpv4(bytes: Uint8Array): boolean {
  const isZero = (start: number, end: number): boolean =>
    bytes.subarray(start, end).every((byte) => byte === 0);
  if (isZero(0, 10)) return (bytes[10] === 0xff && bytes[11] === 0xff) || isZero(10, 12);
  return bytes[0] === 0 && bytes[1] === 0x64 && bytes[2] === 0xff && bytes[3] === 0x9b && isZero(4, 12);
}

function classifyIpv4(bytes: Uint8Array): AddressClass {
  const first = bytes[0] ?? 0;
  if (first === 0) return "unspecified";
  if (first === 127) return "loopback";
  if (first === 169 && bytes[1] === 254) return "link-local";
  // Reserved addresses and the limited broadcast (240.0.0.0/4) reach no Pod either.
  return first >= 224 ? "multicast" : "ordinary";
}

/** Four decimal numbers. Leading zeros are refused: some readers take them for octal. */
function parseIpv4(text: string): Uint8Array | null {
  const parts = text.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    return null;
  }
  return Uint8Array.from(parts, Number);
}

/** RFC 4291, 2.2, without zone. */
function parseIpv6(text: string): Uint8Array | null {
  const halves = text.split("::");
  if (halves.length > 2) return null;
  const head = groups(halves[0] ?? "", halves.length === 1);
  const tail = groups(halves[1] ?? "", true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (halves.length === 1 ? missing !== 0 : missing < 1) return null;
  const all = [...head, ...Array.from({ length: missing }, () => 0), ...tail];
  return Uint8Array.from(all.flatMap((group) => [group >> 8, group & 0xff]));
}

/** The 16-bit groups of one side of `::`; an IPv4 address may stand for the last two. */
function groups(text: string, isLast: boolean): number[] | null {
  if (text === "") return [];
  const parts = text.split(":");
  const result: number[] = [];
  for (const [index, part] of parts.entries()) {
    if (/^[0-9a-f]{1,4}$/i.test(part)) {
      result.push(Number.parseInt(part, 16));
      continue;
    }
    const ipv4 = isLast && index === parts.length - 1 ? parseIpv4(part) : null;
    if (ipv4 === null) return null;
    result.push(((ipv4[0] ?? 0) << 8) | (ipv4[1] ?? 0), ((ipv4[2] ?? 0) << 8) | (ipv4[3] ?? 0));
  }
  return result;
}

/** Lower case, the longest run of two or more zero groups as `::`, the first one when several are as long. */
function formatIpv6(bytes: Uint8Array): string {
  const parts = Array.from({ length: 8 }, (_, i) => ((bytes[2 * i] ?? 0) << 8) | (bytes[2 * i + 1] ?? 0));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start += 1) {
    let length = 0;
    while (start + length < 8 && parts[start + length] === 0) length += 1;
    if (length > best.length) best = { start, length };
  }
  const hex = parts.map((part) => part.toString(16));
  if (best.start < 0) return hex.join(":");
  return `${hex.slice(0, best.start).join(":")}::${hex.slice(best.start + best.length).join(":")}`;
}
