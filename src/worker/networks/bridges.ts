import { SingleFlight } from '#async/single-flight.ts';
import { unavailable } from '#errors/errors.ts';
import { bridgeOptions } from './bridge-options.ts';
import type { FirewallNetwork } from './firewall/firewall.ts';
import { parseSubnet } from './ip/subnet.ts';
import { type Network, subnetOf } from './network.ts';
import type { InterfaceAddress, NetworkDriver } from './network-driver.ts';
import { overlayOptions, vxlanName } from './overlay/overlay-options.ts';
import type { TunnelEnd, Underlay } from './overlay/underlay.ts';

/** Which networks have their bridge on the host now. */
export class Bridges {
  readonly #driver: NetworkDriver;
  readonly #up = new Map<string, { readonly network: Network; readonly mtu: number }>();
  readonly #making = new SingleFlight<void>();

  readonly #underlay: Underlay | undefined;

  constructor(driver: NetworkDriver, underlay?: Underlay) {
    this.#driver = driver;
    this.#underlay = underlay;
  }

  /** Makes the bridge if it is not there; `changed` runs when it was made, before anybody may use it. */
  ensure(network: Network, changed: () => Promise<void>): Promise<void> {
    if (this.#up.has(network.id)) return Promise.resolve();
    return this.#making.run(network.id, async () => {
      if (this.#up.has(network.id)) return;
      const end = network.driver === 'overlay' ? await this.#endOf(network) : undefined;
      const mtu = end?.mtu ?? (await this.#chooseMtu(network));
      await this.#driver.ensureBridge({ name: network.bridge, mtu, addresses: hostAddresses(network) });
      if (end) {
        const { vni } = overlayOptions(network);
        const { address: local, port } = end;
        await this.#driver.ensureVxlan({
          name: vxlanName(network),
          bridge: network.bridge,
          vni,
          local,
          port,
          mtu,
        });
      }
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
    if (network.driver === 'overlay') await this.#driver.leave(vxlanName(network));
    await this.#driver.removeBridge(network.bridge);
    this.#up.delete(network.id);
  }

  isUp(network: Network): boolean {
    return this.#up.has(network.id);
  }

  up(): Network[] {
    return [...this.#up.values()].map(({ network }) => network);
  }

  mtuOf(network: Network): number {
    return this.#up.get(network.id)?.mtu ?? 1500;
  }

  async #endOf(network: Network): Promise<TunnelEnd> {
    if (!this.#underlay)
      throw unavailable(`network ${network.name} needs a pool, which this worker is not of`);
    const end = await this.#underlay.endOf(network);
    return { ...end, mtu: bridgeOptions(network).mtu ?? end.mtu };
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
