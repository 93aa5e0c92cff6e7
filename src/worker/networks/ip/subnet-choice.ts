import { unavailable } from '#errors/errors.ts';
import { blocks, overlaps, parseSubnet, type Subnet } from './subnet.ts';

/** Networks that name no subnet of their own get a block of `size` bits of prefix out of `base`. */
export interface AddressPool {
  readonly base: string;
  readonly size: number;
}

/** What Docker takes from: fifteen big blocks, then the small ones of 192.168. */
export const DEFAULT_ADDRESS_POOLS: readonly AddressPool[] = [
  ...Array.from({ length: 14 }, (_, i) => ({ base: `172.${18 + i}.0.0/16`, size: 16 })),
  { base: '192.168.0.0/16', size: 20 },
];

/** The first block of the pools that none of the taken subnets overlaps. Throws `unavailable` when all are used up. */
export function chooseSubnet(pools: readonly AddressPool[], taken: readonly Subnet[]): Subnet {
  for (const pool of pools) {
    for (const block of blocks(parseSubnet(pool.base), pool.size)) {
      if (!taken.some((subnet) => overlaps(subnet, block))) return block;
    }
  }
  throw unavailable('all predefined address pools have been fully subnetted');
}
