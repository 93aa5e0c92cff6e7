import { BlockList, isIP, isIPv6 } from 'node:net';

/** How many addresses are remembered, inside or not: the same few ask again and again. */
const MAX_KNOWN = 4096;

/** A set of networks, in CIDR notation. */
export class Networks {
  readonly #blocks = new BlockList();
  readonly #some: boolean;
  readonly #known = new Map<string, boolean>();

  constructor(networks: readonly string[]) {
    this.#some = networks.length > 0;
    for (const network of networks) {
      const [address, bits] = network.split('/') as [string, string];
      this.#blocks.addSubnet(address, Number(bits), family(address));
    }
  }

  include(address: string): boolean {
    return this.#some && (this.#known.get(address) ?? this.#check(address));
  }

  #check(address: string): boolean {
    const included = isIP(address) !== 0 && this.#blocks.check(address, family(address));
    if (this.#known.size >= MAX_KNOWN) this.#known.clear();
    this.#known.set(address, included);
    return included;
  }
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
