import { unavailable } from '#errors/errors.ts';
import type {
  Attachment,
  BridgeSpec,
  NetworkDriver,
  RemoteStation,
  VxlanSpec,
} from '#worker/networks/network-driver.ts';

/** A network driver without a kernel: it remembers what hangs where. */
export class MemoryNetworkDriver implements NetworkDriver {
  readonly bridges = new Map<string, BridgeSpec>();
  readonly namespaces = new Set<string>();
  /** By host end. */
  readonly attachments = new Map<string, Attachment & { namespace: string }>();
  readonly gateways = new Map<string, readonly string[]>();
  readonly vxlans = new Map<string, VxlanSpec>();
  readonly stations = new Map<string, readonly RemoteStation[]>();
  /** Subnets that the host reaches by other interfaces. */
  routes: { subnet: string; interfaceName: string }[] = [];

  async ensureBridge(bridge: BridgeSpec): Promise<void> {
    this.bridges.set(bridge.name, bridge);
  }

  async hasInterface(name: string): Promise<boolean> {
    return this.bridges.has(name) || this.attachments.has(name);
  }

  async removeBridge(name: string): Promise<void> {
    this.bridges.delete(name);
  }

  async bridgePorts(name: string): Promise<string[]> {
    if (!this.bridges.has(name)) return [];
    return [...this.attachments.values()]
      .filter(({ bridge }) => bridge === name)
      .map((port) => port.hostInterface);
  }

  async ensureVxlan(vxlan: VxlanSpec): Promise<void> {
    if (!this.bridges.has(vxlan.bridge)) throw unavailable('the bridge is gone', { code: 'ENODEV' });
    this.vxlans.set(vxlan.name, vxlan);
  }

  async setStations(vxlan: string, stations: readonly RemoteStation[]): Promise<void> {
    if (!this.vxlans.has(vxlan)) throw unavailable('the device is gone', { code: 'ENODEV' });
    this.stations.set(vxlan, stations);
  }

  async createWireguard(): Promise<boolean> {
    return false;
  }

  async furnish(): Promise<void> {}

  createNamespace(path: string): void {
    if (this.namespaces.has(path)) throw unavailable(`${path} is there already`, { code: 'EEXIST' });
    this.namespaces.add(path);
  }

  removeNamespace(path: string): void {
    this.namespaces.delete(path);
    for (const [name, { namespace }] of this.attachments)
      if (namespace === path) this.attachments.delete(name);
  }

  async join(namespace: string, attachment: Attachment): Promise<void> {
    if (!this.bridges.has(attachment.bridge)) throw unavailable('the bridge is gone', { code: 'ENODEV' });
    this.attachments.set(attachment.hostInterface, { ...attachment, namespace });
    if (attachment.gateways.length > 0) this.gateways.set(namespace, attachment.gateways);
  }

  async leave(hostInterface: string): Promise<void> {
    this.attachments.delete(hostInterface);
    this.vxlans.delete(hostInterface);
  }

  async setGateways(namespace: string, gateways: readonly string[]): Promise<void> {
    this.gateways.set(namespace, gateways);
  }

  async forgetUdpFlows(): Promise<void> {}

  async hostRoutes(): Promise<{ subnet: string; interfaceName: string }[]> {
    const own = [...this.bridges.values()].flatMap(({ name, addresses }) =>
      addresses
        .filter(({ address }) => !address.includes(':'))
        .map(({ address, prefixLength }) => ({ subnet: `${address}/${prefixLength}`, interfaceName: name })),
    );
    return [...this.routes, ...own];
  }

  async hostMtu(): Promise<number> {
    return 1500;
  }
}
