/** Encoding and decoding of netlink messages (RFC 3549), in the little-endian order of the machines we run on. */

export interface NetlinkMessage {
  readonly type: number;
  readonly flags: number;
  /** Family header and attributes. */
  readonly body: Buffer;
}

const HEADER = 16;
const NESTED = 0x8000;

export function encodeMessage(message: NetlinkMessage, sequence: number): Buffer {
  const header = Buffer.alloc(HEADER);
  header.writeUInt32LE(HEADER + message.body.length, 0);
  header.writeUInt16LE(message.type, 4);
  header.writeUInt16LE(message.flags, 6);
  header.writeUInt32LE(sequence, 8);
  return padded(Buffer.concat([header, message.body]));
}

/** The messages of one datagram, with their sequence numbers. */
export function* decodeMessages(bytes: Buffer): Generator<NetlinkMessage & { sequence: number }> {
  for (let offset = 0; offset + HEADER <= bytes.length; ) {
    const length = bytes.readUInt32LE(offset);
    if (length < HEADER || offset + length > bytes.length) return;
    yield {
      type: bytes.readUInt16LE(offset + 4),
      flags: bytes.readUInt16LE(offset + 6),
      sequence: bytes.readUInt32LE(offset + 8),
      body: bytes.subarray(offset + HEADER, offset + length),
    };
    offset += align(length);
  }
}

/** One attribute: a number is 32 bits wide, a string ends in NUL, an array nests. */
export function attribute(type: number, value: number | string | Uint8Array | readonly Buffer[]): Buffer {
  const payload = payloadOf(value);
  const header = Buffer.alloc(4);
  header.writeUInt16LE(4 + payload.length, 0);
  header.writeUInt16LE(Array.isArray(value) ? type | NESTED : type, 2);
  return padded(Buffer.concat([header, payload]));
}

/** Attributes by type; the last one of a type wins. */
export function decodeAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let offset = 0; offset + 4 <= bytes.length; ) {
    const length = bytes.readUInt16LE(offset);
    if (length < 4 || offset + length > bytes.length) break;
    attributes.set(bytes.readUInt16LE(offset + 2) & 0x3fff, bytes.subarray(offset + 4, offset + length));
    offset += align(length);
  }
  return attributes;
}

function payloadOf(value: number | string | Uint8Array | readonly Buffer[]): Buffer {
  if (typeof value === 'number') {
    const word = Buffer.alloc(4);
    word.writeUInt32LE(value >>> 0);
    return word;
  }
  if (typeof value === 'string') return Buffer.from(`${value}\0`);
  return value instanceof Uint8Array ? Buffer.from(value) : Buffer.concat(value);
}

function padded(bytes: Buffer): Buffer {
  const missing = align(bytes.length) - bytes.length;
  return missing === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(missing)]);
}

const align = (length: number) => (length + 3) & ~3;
