import { SingleFlight } from '#async/single-flight.ts';
import { bridgeOptions } from './bridge-options.ts';
import type { FirewallNetwork } from './firewall/firewall.ts';
import { parseSubnet } from './ip/subnet.ts';
import { type Network, subnetOf } from './network.ts';
import type { InterfaceAddress, NetworkDriver } from './network-driver.ts';

/** Which networks have their bridge on the host now. */
export class Bridges {
  readonly #driver: NetworkDriver;
  readonly #up = new Map<string, { readonly network: Network; readonly mtu: number }>();
  readonly #making = new SingleFlight<void>();

  constructor(driver: NetworkDriver) {
    this.#driver = driver;
  }

  /** Makes the bridge if it is not there; `changed` runs when it was made, before anybody may use it. */
  ensure(network: Network, changed: () => Promise<void>): Promise<void> {
    if (this.#up.has(network.id)) return Promise.resolve();
    return this.#making.run(network.id, async () => {
      if (this.#up.has(network.id)) return;
      const mtu = await this.#chooseMtu(network);
      await this.#driver.ensureBridge({ name: network.bridge, mtu, addresses: hostAddresses(network) });
      this.#up.set(network.id, { network, mtu });
      try {
        await changed();
      } catch (error) {
        this.#up.delete(network.id);
        throw error;
      }
    });
  }

  /** What is up may have been taken down by somebody else: look again at the next `ensure`. */
  doubt(network: Network): void {
    this.#up.delete(network.id);
  }

  async remove(network: Network): Promise<void> {
    await this.#driver.removeBridge(network.bridge);
    this.#up.delete(network.id);
  }

  up(): Network[] {
    return [...this.#up.values()].map(({ network }) => network);
  }

  mtuOf(network: Network): number {
    return this.#up.get(network.id)?.mtu ?? 1500;
  }

  /** An option, or what the host's own way out can carry; never more than Ethernet's. */
  async #chooseMtu(network: Network): Promise<number> {
    const wish = network.name === 'bridge' ? undefined : bridgeOptions(network).mtu;
    return wish ?? Math.min(1500, await this.#driver.hostMtu());
  }
}

/** The gateways' addresses are the host's on the bridge. */
function hostAddresses(network: Network): InterfaceAddress[] {
  return ([4, 6] as const).flatMap((family) => {
    const config = subnetOf(network, family);
    if (!config?.gateway) return [];
    return [{ address: config.gateway, prefixLength: parseSubnet(config.subnet).prefixLength }];
  });
}

/** What the packet filter has to know of a network. */
export function firewallNetwork(network: Network): FirewallNetwork {
  const { masquerade, interContainer } = bridgeOptions(network);
  const subnet = subnetOf(network, 4)?.subnet ?? '';
  return { bridge: network.bridge, subnet, internal: network.internal, masquerade, interContainer };
}
