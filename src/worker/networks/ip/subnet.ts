import { invalid } from '#errors/errors.ts';
import { addressToNumber, familyOf, numberToAddress } from './address.ts';

/** A block of addresses, by its first one and the length of its prefix. */
export interface Subnet {
  readonly family: 4 | 6;
  readonly first: bigint;
  readonly prefixLength: number;
}

/** `172.17.0.0/16`; host bits are cut off. Throws `invalid`. */
export function parseSubnet(text: string): Subnet {
  const [address = '', length = '', rest] = text.split('/');
  if (rest !== undefined || !/^\d{1,3}$/.test(length)) throw invalid(`invalid CIDR address: ${text}`);
  const family = familyOf(address);
  const prefixLength = Number(length);
  if (prefixLength > bits(family)) throw invalid(`invalid CIDR address: ${text}`);
  const hostBits = BigInt(bits(family) - prefixLength);
  return { family, first: (addressToNumber(address) >> hostBits) << hostBits, prefixLength };
}

export const formatSubnet = (subnet: Subnet): string =>
  `${numberToAddress(subnet.first, subnet.family)}/${subnet.prefixLength}`;

export const subnetSize = (subnet: Subnet): bigint => 1n << BigInt(bits(subnet.family) - subnet.prefixLength);

export const lastAddress = (subnet: Subnet): bigint => subnet.first + subnetSize(subnet) - 1n;

export function overlaps(a: Subnet, b: Subnet): boolean {
  return a.family === b.family && a.first <= lastAddress(b) && b.first <= lastAddress(a);
}

export function contains(subnet: Subnet, address: string): boolean {
  if (familyOf(address) !== subnet.family) return false;
  const number = addressToNumber(address);
  return number >= subnet.first && number <= lastAddress(subnet);
}

export const addressAt = (subnet: Subnet, offset: bigint): string =>
  numberToAddress(subnet.first + offset, subnet.family);

/** The blocks of a given prefix length within a pool, in order. */
export function* blocks(pool: Subnet, prefixLength: number): Generator<Subnet> {
  const size = 1n << BigInt(bits(pool.family) - prefixLength);
  for (let first = pool.first; first + size - 1n <= lastAddress(pool); first += size) {
    yield { family: pool.family, first, prefixLength };
  }
}

const bits = (family: 4 | 6) => (family === 4 ? 32 : 128);
