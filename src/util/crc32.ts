// CRC-32 (ISO-HDLC), the hash of nginx's consistent hashing. Over text whose characters are bytes, which node:zlib would
// first turn into UTF-8.

const table = Int32Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** Of `text`, one byte for each character; `before`: of what comes before it. An unsigned number. */
export function crc32(text: string, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < text.length; i += 1) {
    crc = (table[(crc ^ text.charCodeAt(i)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}

/** Of the four bytes of `value`, lowest first, after what `before` is the CRC of. */
export function crc32OfUint32(value: number, before: number): number {
  let crc = ~before;
  for (let shift = 0; shift < 32; shift += 8) {
    crc = (table[(crc ^ (value >>> shift)) & 0xff] ?? 0) ^ (crc >>> 8);
  }
  return ~crc >>> 0;
}
