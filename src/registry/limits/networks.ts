import { BlockList, isIP, isIPv6 } from 'node:net';

/** A set of networks, in CIDR notation. */
export class Networks {
  readonly #blocks = new BlockList();
  readonly #some: boolean;

  constructor(networks: readonly string[]) {
    this.#some = networks.length > 0;
    for (const network of networks) {
      const [address, bits] = network.split('/') as [string, string];
      this.#blocks.addSubnet(address, Number(bits), family(address));
    }
  }

  include(address: string): boolean {
    return this.#some && isIP(address) !== 0 && this.#blocks.check(address, family(address));
  }
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4';
}
