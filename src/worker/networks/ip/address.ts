import { isIPv4, isIPv6 } from 'node:net';
import { invalid } from '#errors/errors.ts';

/** Throws `invalid` for what is no address. */
export function familyOf(address: string): 4 | 6 {
  if (isIPv4(address)) return 4;
  if (isIPv6(address)) return 6;
  throw invalid(`invalid IP address: ${address}`);
}

/** As an unsigned number, so that addresses of both families are counted alike. */
export function addressToNumber(address: string): bigint {
  return addressBytes(address).reduce((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

export function numberToAddress(number: bigint, family: 4 | 6): string {
  if (family === 4) return [24n, 16n, 8n, 0n].map((shift) => (number >> shift) & 0xffn).join('.');
  const groups = Array.from({ length: 8 }, (_, i) => (number >> BigInt(16 * (7 - i))) & 0xffffn);
  return compressed(groups.map((group) => group.toString(16)));
}

/** In network order. */
export function addressBytes(address: string): Uint8Array {
  if (familyOf(address) === 4) return Uint8Array.from(address.split('.'), Number);
  const [head = '', tail] = withoutDottedTail(address).split('::');
  const before = head ? head.split(':') : [];
  const after = tail ? tail.split(':') : [];
  const middle = Array<string>(8 - before.length - after.length).fill('0');
  const groups = [...before, ...middle, ...after].map((group) => Number.parseInt(group, 16));
  return Uint8Array.from(groups.flatMap((group) => [group >> 8, group & 0xff]));
}

function withoutDottedTail(address: string): string {
  const dotted = /(\d+)\.(\d+)\.(\d+)\.(\d+)$/.exec(address);
  if (!dotted) return address;
  const [a, b, c, d] = dotted.slice(1).map(Number) as [number, number, number, number];
  return `${address.slice(0, dotted.index)}${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
}

/** RFC 5952: the longest run of zeros becomes `::`. */
function compressed(groups: readonly string[]): string {
  let best = { start: 0, length: 0 };
  for (let start = 0; start < groups.length; start++) {
    let length = 0;
    while (groups[start + length] === '0') length++;
    if (length > best.length) best = { start, length };
  }
  if (best.length < 2) return groups.join(':');
  return `${groups.slice(0, best.start).join(':')}::${groups.slice(best.start + best.length).join(':')}`;
}
