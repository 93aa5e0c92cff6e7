import { AddressLeases } from './ip/address-leases.ts';
import { parseSubnet } from './ip/subnet.ts';
import { type Network, subnetOf } from './network.ts';

/** Who has which address, on all networks. What it says is also in the database, row by row with the endpoints. */
export class AddressBook {
  readonly #leases = new Map<string, AddressLeases>();

  /** The leases of a network's block of a family; undefined when it has none. */
  of(network: Network, family: 4 | 6): AddressLeases | undefined {
    const config = subnetOf(network, family);
    if (!config) return undefined;
    const key = `${network.id}/${family}/${config.subnet}`;
    let leases = this.#leases.get(key);
    if (!leases) {
      const reserved = [config.gateway, ...Object.values(config.auxiliaryAddresses ?? {})];
      const range = config.ipRange ? parseSubnet(config.ipRange) : undefined;
      leases = new AddressLeases(
        parseSubnet(config.subnet),
        reserved.filter((address) => address !== undefined),
        range,
      );
      this.#leases.set(key, leases);
    }
    return leases;
  }

  /** For a network that is no more, or moved. */
  forget(network: Network): void {
    for (const key of this.#leases.keys()) if (key.startsWith(`${network.id}/`)) this.#leases.delete(key);
  }

  release(network: Network, addresses: { readonly ipv4Address: string; readonly ipv6Address: string }): void {
    if (addresses.ipv4Address) this.of(network, 4)?.release(addresses.ipv4Address);
    if (addresses.ipv6Address) this.of(network, 6)?.release(addresses.ipv6Address);
  }
}
