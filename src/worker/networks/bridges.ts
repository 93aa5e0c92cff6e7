import { SingleFlight } from '#async/single-flight.ts';
import { bridgeOptions } from './bridge-options.ts';
import type { FirewallNetwork } from './firewall/firewall.ts';
import { parseSubnet } from './ip/subnet.ts';
import { type Network, subnetOf } from './network.ts';
import type { BridgeSpec, NetworkDriver } from './network-driver.ts';

/** Which networks have their bridge on the host now. */
export class Bridges {
  readonly #driver: NetworkDriver;
  readonly #up = new Map<string, Network>();
  readonly #making = new SingleFlight<void>();

  constructor(driver: NetworkDriver) {
    this.#driver = driver;
  }

  /** Makes the bridge if it is not there; `changed` runs when it was made, before anybody may use it. */
  ensure(network: Network, changed: () => Promise<void>): Promise<void> {
    if (this.#up.has(network.id)) return Promise.resolve();
    return this.#making.run(network.id, async () => {
      if (this.#up.has(network.id)) return;
      await this.#driver.ensureBridge(await this.#spec(network));
      this.#up.set(network.id, network);
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
    return [...this.#up.values()];
  }

  /** An option, or what the host's own way out can carry; never more than Ethernet's. */
  async mtuOf(network: Network): Promise<number> {
    const wish = network.name === 'bridge' ? undefined : bridgeOptions(network).mtu;
    return wish ?? Math.min(1500, await this.#driver.hostMtu());
  }

  async #spec(network: Network): Promise<BridgeSpec> {
    const addresses = ([4, 6] as const).flatMap((family) => {
      const config = subnetOf(network, family);
      if (!config?.gateway) return [];
      return [{ address: config.gateway, prefixLength: parseSubnet(config.subnet).prefixLength }];
    });
    return { name: network.bridge, mtu: await this.mtuOf(network), addresses };
  }
}

/** What the packet filter has to know of a network. */
export function firewallNetwork(network: Network): FirewallNetwork {
  const { masquerade, interContainer } = bridgeOptions(network);
  const subnet = subnetOf(network, 4)?.subnet ?? '';
  return { bridge: network.bridge, subnet, internal: network.internal, masquerade, interContainer };
}
