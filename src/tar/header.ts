import { Buffer } from 'node:buffer';
import { invalid } from '#errors/errors.ts';
import { decodeText, encodeText } from './byte-text.ts';
import { BLOCK_SIZE } from './entry.ts';

/** The fields of one 512-byte header block, undigested (POSIX.1-2001 ustar, and GNU's base-256 numbers). */
export interface RawHeader {
  readonly path: string;
  readonly typeFlag: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly mtime: number;
  readonly linkPath: string;
  readonly userName: string;
  readonly groupName: string;
  readonly deviceMajor: number;
  readonly deviceMinor: number;
}

const CHECKSUM_OFFSET = 148;
const CHECKSUM_LENGTH = 8;

/** Reads a block whose checksum is right; `undefined` for a block of zeros. Throws `invalid`. */
export function decodeHeader(block: Buffer): RawHeader | undefined {
  const sum = checksum(block);
  // A block of zeros sums to the eight blanks that the checksum field counts as.
  if (sum === CHECKSUM_LENGTH * 0x20 && block.every((byte) => byte === 0)) return undefined;
  if (number(block, CHECKSUM_OFFSET, CHECKSUM_LENGTH) !== sum) {
    throw invalid('invalid tar header: the checksum is wrong');
  }
  // "ustar\0" is POSIX and has a path prefix; "ustar " is GNU and keeps other things there.
  const posix = block.toString('latin1', 257, 263) === 'ustar\0';
  const ustar = posix || block.toString('latin1', 257, 263) === 'ustar ';
  const name = text(block, 0, 100);
  const prefix = posix ? text(block, 345, 155) : '';
  return {
    path: prefix ? `${prefix}/${name}` : name,
    typeFlag: block[156] === 0 ? '0' : String.fromCharCode(block[156]!),
    mode: number(block, 100, 8) & 0o7777,
    uid: number(block, 108, 8),
    gid: number(block, 116, 8),
    size: number(block, 124, 12),
    mtime: number(block, 136, 12),
    linkPath: text(block, 157, 100),
    userName: ustar ? text(block, 265, 32) : '',
    groupName: ustar ? text(block, 297, 32) : '',
    deviceMajor: ustar ? number(block, 329, 8) : 0,
    deviceMinor: ustar ? number(block, 337, 8) : 0,
  };
}

/** Writes a ustar header. Every value must fit its field: the caller moves what does not into PAX records. */
export function encodeHeader(header: RawHeader & { readonly prefix?: string }): Buffer {
  const block = Buffer.alloc(BLOCK_SIZE);
  put(block, header.path, 0, 100);
  octal(block, header.mode & 0o7777, 100, 8);
  octal(block, header.uid, 108, 8);
  octal(block, header.gid, 116, 8);
  octal(block, header.size, 124, 12);
  octal(block, header.mtime, 136, 12);
  block.write(header.typeFlag, 156, 1, 'latin1');
  put(block, header.linkPath, 157, 100);
  block.write('ustar\u000000', 257, 8, 'latin1');
  block.write(header.userName, 265, 32, 'utf8');
  block.write(header.groupName, 297, 32, 'utf8');
  octal(block, header.deviceMajor, 329, 8);
  octal(block, header.deviceMinor, 337, 8);
  if (header.prefix) put(block, header.prefix, 345, 155);
  block.write(`${checksum(block).toString(8).padStart(6, '0')}\0 `, CHECKSUM_OFFSET, 8, 'latin1');
  return block;
}

function put(block: Buffer, value: string, offset: number, length: number): void {
  encodeText(value).copy(block, offset, 0, length);
}

/** Sum of all bytes, with the checksum field itself counted as blanks. */
function checksum(block: Buffer): number {
  let sum = CHECKSUM_LENGTH * 0x20;
  for (let i = 0; i < CHECKSUM_OFFSET; i++) sum += block[i]!;
  for (let i = CHECKSUM_OFFSET + CHECKSUM_LENGTH; i < BLOCK_SIZE; i++) sum += block[i]!;
  return sum;
}

function text(block: Buffer, offset: number, length: number): string {
  let end = offset;
  while (end < offset + length && block[end] !== 0) end++;
  return decodeText(block.subarray(offset, end));
}

function number(block: Buffer, offset: number, length: number): number {
  const first = block[offset]!;
  if (first & 0x80) return base256(block, offset, length);
  let value = 0;
  let i = offset;
  const end = offset + length;
  while (i < end && (block[i] === 0x20 || block[i] === 0)) i++;
  for (; i < end; i++) {
    const byte = block[i]!;
    if (byte === 0 || byte === 0x20) break;
    if (byte < 0x30 || byte > 0x37) throw invalid('invalid tar header: a number is not octal');
    value = value * 8 + (byte - 0x30);
  }
  return value;
}

/** GNU: the top bit marks a big-endian two's complement number. */
function base256(block: Buffer, offset: number, length: number): number {
  const negative = (block[offset]! & 0x40) !== 0;
  let value = BigInt(block[offset]! & 0x7f);
  for (let i = offset + 1; i < offset + length; i++) value = (value << 8n) | BigInt(block[i]!);
  if (negative) value -= 1n << BigInt(length * 8 - 1);
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw invalid('invalid tar header: a number is too large');
  return result;
}

function octal(block: Buffer, value: number, offset: number, length: number): void {
  block.write(value.toString(8).padStart(length - 1, '0'), offset, length - 1, 'latin1');
}
