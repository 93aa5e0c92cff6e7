import { conflict, invalid, unavailable } from '#errors/errors.ts';
import { addressToNumber, numberToAddress } from './address.ts';
import { contains, formatSubnet, lastAddress, type Subnet } from './subnet.ts';

/**
 * Who holds which address of one subnet. Addresses are handed out round robin, so that one that was just given
 * back rests as long as possible: neighbours and the dying interface forget it meanwhile.
 */
export class AddressLeases {
  readonly #subnet: Subnet;
  readonly #from: bigint;
  readonly #to: bigint;
  readonly #taken = new Set<bigint>();
  #next: bigint;

  /** `reserved` are the gateway's and others that nobody gets. `range` narrows what is handed out unasked. */
  constructor(subnet: Subnet, reserved: readonly string[], range: Subnet = subnet) {
    this.#subnet = subnet;
    const edge = subnet.prefixLength >= (subnet.family === 4 ? 31 : 127) ? 0n : 1n;
    this.#from = max(range.first, subnet.first + edge);
    this.#to = min(lastAddress(range), lastAddress(subnet) - (subnet.family === 4 ? edge : 0n));
    this.#next = this.#from;
    for (const address of reserved) this.#taken.add(addressToNumber(address));
  }

  /** Any free address. Throws `unavailable` when there is none. */
  take(): string {
    const size = this.#to - this.#from + 1n;
    for (let tried = 0n; tried < size && tried <= BigInt(this.#taken.size); tried++) {
      const candidate = this.#next;
      this.#next = candidate >= this.#to ? this.#from : candidate + 1n;
      if (this.#taken.has(candidate)) continue;
      this.#taken.add(candidate);
      return numberToAddress(candidate, this.#subnet.family);
    }
    throw unavailable(
      `no available addresses on this network's address pools: ${formatSubnet(this.#subnet)}`,
    );
  }

  /** This very address. Throws `invalid` outside the subnet, `conflict` when somebody has it. */
  takeExactly(address: string): string {
    const number = contains(this.#subnet, address) ? addressToNumber(address) : undefined;
    if (number === undefined || number === this.#subnet.first) {
      throw invalid(`invalid address ${address}: It does not belong to any of this network's subnets`);
    }
    if (this.#taken.has(number)) throw conflict('Address already in use');
    this.#taken.add(number);
    return address;
  }

  /** Marks an address as held by an endpoint of an earlier process. */
  restore(address: string): void {
    const number = addressToNumber(address);
    this.#taken.add(number);
    if (number >= this.#next && number < this.#to) this.#next = number + 1n;
  }

  release(address: string): void {
    this.#taken.delete(addressToNumber(address));
  }
}

const max = (a: bigint, b: bigint) => (a > b ? a : b);
const min = (a: bigint, b: bigint) => (a < b ? a : b);
