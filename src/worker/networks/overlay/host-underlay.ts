import { unavailable } from '#errors/errors.ts';
import type { Network } from '../network.ts';
import type { NetworkDriver } from '../network-driver.ts';
import type { OverlayPeer } from './overlay-link.ts';
import { overlayOptions } from './overlay-options.ts';
import type { TunnelEnd, Underlay } from './underlay.ts';
import { tunnelAddress, type WireguardTunnel } from './wireguard-tunnel.ts';

/** What VXLAN puts before a packet: Ethernet, its own header, UDP, and IPv4 or IPv6. */
const OVERHEAD = 50;
const OVERHEAD_IPV6 = 70;
const ETHERNET = 1_500;

/** Which port VXLAN over WireGuard has, besides the one of VXLAN. */
export const encryptedPort = (port: number) => port + 1;

/** VXLAN over the machines' network, and over WireGuard, at the port after it, for networks that are to be encrypted. */
export class HostUnderlay implements Underlay {
  readonly #driver: NetworkDriver;
  readonly #tunnel: WireguardTunnel;
  readonly #address: () => Promise<string | undefined>;
  readonly #port: number;

  /** `address`: where other workers reach this one, IPv4. */
  constructor(
    ports: { driver: NetworkDriver; tunnel: WireguardTunnel },
    options: { address: () => Promise<string | undefined>; port: number },
  ) {
    this.#driver = ports.driver;
    this.#tunnel = ports.tunnel;
    this.#address = options.address;
    this.#port = options.port;
  }

  async endOf(network: Network): Promise<TunnelEnd> {
    const outer = Math.min(ETHERNET, await this.#driver.hostMtu());
    if (!overlayOptions(network).encrypted) {
      return { address: await this.#ownAddress(), port: this.#port, mtu: outer - OVERHEAD };
    }
    const { address, mtu } = await this.#tunnel.ensure({ outer, port: encryptedPort(this.#port) });
    return { address, port: encryptedPort(this.#port), mtu: mtu - OVERHEAD_IPV6 };
  }

  addressOf(peer: OverlayPeer, network: Network): string | undefined {
    if (!overlayOptions(network).encrypted) return peer.address;
    return peer.publicKey === null ? undefined : tunnelAddress(peer.publicKey);
  }

  usePeers(peers: readonly OverlayPeer[]): Promise<void> {
    return this.#tunnel.usePeers(peers);
  }

  async self(): Promise<Omit<OverlayPeer, 'worker'>> {
    const publicKey = await this.#tunnel.publicKey();
    return { address: await this.#ownAddress(), publicKey, wireguardPort: this.#tunnel.port };
  }

  remove(): Promise<void> {
    return this.#tunnel.remove();
  }

  async #ownAddress(): Promise<string> {
    const address = await this.#address();
    if (address) return address;
    throw unavailable('worker.overlay.address has to say where other workers reach this one');
  }
}
