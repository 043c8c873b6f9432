// The two messages of grpc.health.v1 in their length-prefixed form. Only what they consist of; nothing else of protobuf.

const prefixBytes = 5;
/** Field 1 of the request, `string service`: number 1, length-delimited. */
const serviceTag = 0x0a;
/** Field 1 of the response, `ServingStatus status`: number 1, varint. */
const statusTag = 0x08;

const statusTexts = ["UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"];

export function encodeHealthRequest(service: string): Buffer {
  const name = Buffer.from(service);
  const message =
    name.length === 0 ? name : Buffer.concat([Buffer.from([serviceTag]), varint(name.length), name]);
  const prefix = Buffer.alloc(prefixBytes);
  prefix.writeUInt32BE(message.length, 1);
  return Buffer.concat([prefix, message]);
}

/** The serving status; null: it is no such message, or a compressed one, which nobody asked for. */
export function readHealthResponse(content: Buffer): number | null {
  if (content.length < prefixBytes || content[0] !== 0) return null;
  const message = content.subarray(prefixBytes);
  if (message.length !== content.readUInt32BE(1)) return null;
  // Zero is not sent.
  if (message.length === 0) return 0;
  const [tag, status = 0x80] = message;
  return message.length === 2 && tag === statusTag && status < 0x80 ? status : null;
}

export function servingStatusText(status: number): string {
  return statusTexts[status] ?? `status ${status}`;
}

/** Of less than 2 MiB. */
function varint(value: number): Buffer {
  const bytes: number[] = [];
  let rest = value;
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80);
  return Buffer.from([...bytes, rest]);
}
