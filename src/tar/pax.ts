import { Buffer } from 'node:buffer';
import { invalid } from '#errors/errors.ts';
import { encodeText } from './byte-text.ts';

/** PAX extended header records (POSIX.1-2001, pax, "extended header"): values are bytes, for xattrs have any. */
export type PaxRecords = Map<string, Buffer>;

const SPACE = 0x20;
const EQUALS = 0x3d;
const NEWLINE = 0x0a;

/** Reads `length key=value\n` records into `into`; later ones win, an empty value deletes. Throws `invalid`. */
export function decodePax(bytes: Buffer, into: PaxRecords = new Map()): PaxRecords {
  let offset = 0;
  while (offset < bytes.length && bytes[offset] !== 0) {
    const space = bytes.indexOf(SPACE, offset);
    const digits = space < 0 ? '' : bytes.toString('latin1', offset, space);
    if (!/^[0-9]{1,10}$/.test(digits)) throw malformed();
    const end = offset + Number(digits);
    const equals = bytes.indexOf(EQUALS, space + 1);
    if (end > bytes.length || equals < 0 || equals >= end || bytes[end - 1] !== NEWLINE) throw malformed();
    const key = bytes.toString('utf8', space + 1, equals);
    const value = Buffer.from(bytes.subarray(equals + 1, end - 1));
    if (key === '') throw malformed();
    if (value.length === 0 && !key.startsWith(XATTR_PREFIX)) into.delete(key);
    else into.set(key, value);
    offset = end;
  }
  return into;
}

export const XATTR_PREFIX = 'SCHILY.xattr.';

/** In the order of the map. */
export function encodePax(records: ReadonlyMap<string, Uint8Array | string>): Buffer {
  const parts: Buffer[] = [];
  for (const [key, value] of records) {
    const body = Buffer.concat([
      Buffer.from(` ${key}=`),
      typeof value === 'string' ? encodeText(value) : value,
      Buffer.from('\n'),
    ]);
    parts.push(Buffer.from(String(recordLength(body.length))), body);
  }
  return Buffer.concat(parts);
}

/** A record's length counts its own digits. */
function recordLength(bodyLength: number): number {
  let length = bodyLength + String(bodyLength).length;
  if (bodyLength + String(length).length > length) length = bodyLength + String(length).length;
  return length;
}

/** `1700000000.123456789` as whole seconds and nanoseconds. */
export function parsePaxTime(text: string): { seconds: number; nanoseconds: number } {
  const match = /^(-?)(\d{1,15})(?:\.(\d*))?$/.exec(text);
  if (!match) throw invalid(`invalid tar: ${JSON.stringify(text.slice(0, 40))} is not a time`);
  const [, sign, whole, fraction = ''] = match;
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, '0'));
  const seconds = Number(whole);
  if (sign !== '-') return { seconds, nanoseconds };
  return nanoseconds === 0
    ? { seconds: -seconds, nanoseconds: 0 }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

/** The inverse of `parsePaxTime`. */
export function formatPaxTime(seconds: number, nanoseconds: number): string {
  const negative = seconds < 0 && nanoseconds > 0;
  const whole = negative ? seconds + 1 : seconds;
  const fraction = negative ? 1e9 - nanoseconds : nanoseconds;
  const text = `${negative && whole === 0 ? '-0' : whole}`;
  return fraction === 0 ? text : `${text}.${String(fraction).padStart(9, '0').replace(/0+$/, '')}`;
}

export function parsePaxInteger(text: string, key: string): number {
  if (!/^\d{1,16}$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw invalid(`invalid tar: ${key} is not a number`);
  }
  return Number(text);
}

function malformed() {
  return invalid('invalid tar: malformed PAX header');
}
