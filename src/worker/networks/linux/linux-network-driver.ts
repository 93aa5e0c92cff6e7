import { randomBytes } from 'node:crypto';
import { conflict, isKind, type SlipwayError, systemCode, unavailable } from '#errors/errors.ts';
import type {
  Attachment,
  BridgeSpec,
  InterfaceAddress,
  NetworkDriver,
  RemoteStation,
  VxlanSpec,
} from '../network-driver.ts';
import { addAddress, deleteDefaultRoute, listRoutes, setDefaultRoute } from './addresses.ts';
import { forgetUdpFlows } from './conntrack.ts';
import { interfaceIndex } from './libc.ts';
import {
  createBridge,
  createOfKind,
  createVeth,
  deleteLink,
  findLink,
  listLinks,
  setMtu,
  setUp,
} from './links.ts';
import { createNamespace, insideNamespace, removeNamespace, writeSysctl } from './namespace.ts';
import type { NetlinkMessage } from './netlink-message.ts';
import { NETLINK_NETFILTER, NetlinkSocket } from './netlink-socket.ts';
import { addStation, createVxlan, findVxlan, listStations, removeStation, tameBridgePort } from './vxlan.ts';

const LOOPBACK = 1;
/** Whose answers fit into a socket's buffer. */
const MESSAGES_AT_ONCE = 96;

/** The kernel's own bridges and veth pairs, over netlink: a container is on its network within 3 ms. */
export class LinuxNetworkDriver implements NetworkDriver {
  /** Interface indices of the bridges that this process made or found. */
  readonly #bridges = new Map<string, number>();
  /** By VXLAN device: what the kernel was told. */
  readonly #stations = new Map<string, ReadonlyMap<string, RemoteStation>>();

  async ensureBridge(bridge: BridgeSpec): Promise<void> {
    using host = NetlinkSocket.open();
    const mac = `02:42:${randomBytes(4).toString('hex').match(/../g)?.join(':')}`;
    await host.request(createBridge(bridge.name, mac, bridge.mtu)).catch(unless('EEXIST'));
    const link = await findLink(host, bridge.name);
    if (!link) throw bridgeGone(bridge.name);
    this.#bridges.set(bridge.name, link.index);
    const hasIpv6 = bridge.addresses.some(({ address }) => address.includes(':'));
    writeSysctl(`net/ipv6/conf/${bridge.name}/disable_ipv6`, hasIpv6 ? '0' : '1');
    const addresses = bridge.addresses.map(({ address, prefixLength }) =>
      addAddress(link.index, address, prefixLength),
    );
    await host.request(setUp(link.index), ...addresses);
    writeSysctl('net/ipv4/ip_forward', '1');
    // So that 127.0.0.1:PORT of the host can be sent on to a container; the firewall keeps the way back shut.
    writeSysctl(`net/ipv4/conf/${bridge.name}/route_localnet`, '1');
  }

  async hasInterface(name: string): Promise<boolean> {
    using host = NetlinkSocket.open();
    return (await findLink(host, name)) !== undefined;
  }

  async removeBridge(name: string): Promise<void> {
    this.#bridges.delete(name);
    await this.leave(name);
  }

  async bridgePorts(name: string): Promise<string[]> {
    using host = NetlinkSocket.open();
    const bridge = await findLink(host, name);
    if (!bridge) return [];
    return (await listLinks(host)).filter((link) => link.master === bridge.index).map((link) => link.name);
  }

  async createWireguard(name: string): Promise<boolean> {
    using host = NetlinkSocket.open();
    try {
      await host.request(createOfKind(name, 'wireguard')).catch(unless('EEXIST'));
      return true;
    } catch (error) {
      if (['EOPNOTSUPP', 'ENOTSUP'].some((code) => hasCode(error, code))) return false;
      throw error;
    }
  }

  async furnish(
    name: string,
    { mtu, addresses }: { mtu: number; addresses: readonly InterfaceAddress[] },
  ): Promise<void> {
    using host = NetlinkSocket.open();
    const link = await findLink(host, name);
    if (!link) throw unavailable(`the interface ${name} is gone`, { code: 'ENODEV' });
    const hasIpv6 = addresses.some(({ address }) => address.includes(':'));
    if (hasIpv6) writeSysctl(`net/ipv6/conf/${name}/disable_ipv6`, '0');
    await host.request(
      setMtu(link.index, mtu),
      setUp(link.index),
      ...addresses.map(({ address, prefixLength }) => addAddress(link.index, address, prefixLength)),
    );
  }

  async ensureVxlan(vxlan: VxlanSpec): Promise<void> {
    using host = NetlinkSocket.open();
    const master = (await findLink(host, vxlan.bridge))?.index;
    if (master === undefined) throw bridgeGone(vxlan.bridge);
    const found = await findVxlan(host, vxlan.name);
    const isSame =
      found?.vni === vxlan.vni &&
      found.local === vxlan.local &&
      found.port === vxlan.port &&
      found.master === master;
    if (isSame) return;
    if (found) await host.request(deleteLink(found.index)).catch(unless('ENODEV'));
    this.#stations.delete(vxlan.name);
    try {
      await host.request(createVxlan({ ...vxlan, master }), tameBridgePort(vxlan.name));
      writeSysctl(`net/ipv6/conf/${vxlan.name}/disable_ipv6`, '1');
    } catch (cause) {
      if (!hasCode(cause, 'EEXIST')) throw cause;
      throw conflict(`VXLAN ID ${vxlan.vni} is in use on this machine`, { cause });
    }
  }

  async setStations(vxlan: string, stations: readonly RemoteStation[]): Promise<void> {
    using host = NetlinkSocket.open();
    const device = await findVxlan(host, vxlan);
    if (!device) throw unavailable(`the device ${vxlan} is gone`, { code: 'ENODEV' });
    const known = this.#stations.get(vxlan);
    const former = known ? [...known.values()] : await listStations(host, device.index);
    const wanted = new Map(stations.map((station) => [stationKey(station), station]));
    const gone = former.filter((station) => !wanted.has(stationKey(station)));
    const changed = stations.filter(
      (station) => known?.get(stationKey(station))?.destination !== station.destination,
    );
    this.#stations.delete(vxlan);
    for (const station of gone) {
      for (const message of removeStation(device.index, station)) {
        await host.request(message).catch(unless('ENOENT'));
      }
    }
    await inPieces(
      changed.flatMap((station) => addStation(device.index, station)),
      (messages) => host.request(...messages),
    );
    this.#stations.set(vxlan, wanted);
  }

  createNamespace(path: string): void {
    createNamespace(path);
  }

  removeNamespace(path: string): void {
    removeNamespace(path);
  }

  async join(namespace: string, attachment: Attachment): Promise<void> {
    using host = NetlinkSocket.open();
    const master = this.#bridges.get(attachment.bridge) ?? (await findLink(host, attachment.bridge))?.index;
    if (master === undefined) throw bridgeGone(attachment.bridge);
    try {
      await createVeth(host, {
        hostName: attachment.hostInterface,
        master,
        namespace,
        peerName: attachment.interfaceName,
        peerMac: attachment.macAddress,
        mtu: attachment.mtu,
      });
      await this.#furnish(namespace, attachment);
    } catch (error) {
      this.#bridges.delete(attachment.bridge);
      await this.leave(attachment.hostInterface);
      if (!(await findLink(host, attachment.bridge))) throw bridgeGone(attachment.bridge);
      throw error;
    }
  }

  async leave(hostInterface: string): Promise<void> {
    using host = NetlinkSocket.open();
    const link = await findLink(host, hostInterface);
    if (link) await host.request(deleteLink(link.index)).catch(unless('ENODEV'));
  }

  async setGateways(
    namespace: string,
    gateways: readonly string[],
    former: readonly string[] = [],
  ): Promise<void> {
    using inside = NetlinkSocket.open(namespace);
    for (const gateway of former) {
      if (!gateways.includes(gateway))
        await inside.request(deleteDefaultRoute(gateway)).catch(unless('ESRCH'));
    }
    if (gateways.length > 0) await inside.request(...gateways.map(setDefaultRoute));
  }

  async forgetUdpFlows(port: number): Promise<void> {
    using host = NetlinkSocket.open(undefined, NETLINK_NETFILTER);
    await host.request(forgetUdpFlows(port)).catch(unless('ENOENT'));
  }

  async hostRoutes(): Promise<{ subnet: string; interfaceName: string }[]> {
    using host = NetlinkSocket.open();
    const names = new Map((await listLinks(host)).map((link) => [link.index, link.name]));
    const routes = (await listRoutes(host)).filter((route) => route.prefixLength > 0);
    return routes.map((route) => ({
      subnet: `${route.destination}/${route.prefixLength}`,
      interfaceName: names.get(route.link) ?? '',
    }));
  }

  async hostMtu(): Promise<number> {
    using host = NetlinkSocket.open();
    const route = (await listRoutes(host)).find(({ prefixLength }) => prefixLength === 0);
    return (await listLinks(host)).find((link) => link.index === route?.link)?.mtu ?? 1500;
  }

  async #furnish(namespace: string, attachment: Attachment): Promise<void> {
    if (attachment.addresses.some(({ address }) => address.includes(':'))) {
      const key = `net/ipv6/conf/${attachment.interfaceName}/disable_ipv6`;
      insideNamespace(namespace, () => writeSysctl(key, '0'));
    }
    const [socket, index] = insideNamespace(
      namespace,
      () => [NetlinkSocket.open(), interfaceIndex(attachment.interfaceName)] as const,
    );
    using inside = socket;
    const addresses = attachment.addresses.map(({ address, prefixLength }) =>
      addAddress(index, address, prefixLength),
    );
    const routes = attachment.gateways.map(setDefaultRoute);
    await inside.request(setUp(LOOPBACK), setUp(index), ...addresses, ...routes);
  }
}

const bridgeGone = (name: string) => unavailable(`the bridge ${name} is gone`, { code: 'ENODEV' });

/** For `catch`: lets one error code of the kernel pass. */
const unless = (code: string) => (error: unknown) => {
  if (!hasCode(error, code)) throw error;
};

function hasCode(error: unknown, code: string): boolean {
  return (
    (isKind(error, 'unavailable') && (error as SlipwayError).code === code) || systemCode(error) === code
  );
}

const stationKey = ({ ipv4Address, macAddress }: Pick<RemoteStation, 'ipv4Address' | 'macAddress'>) =>
  `${ipv4Address} ${macAddress}`;

async function inPieces(
  messages: readonly NetlinkMessage[],
  send: (some: readonly NetlinkMessage[]) => Promise<void>,
): Promise<void> {
  for (let at = 0; at < messages.length; at += MESSAGES_AT_ONCE) {
    await send(messages.slice(at, at + MESSAGES_AT_ONCE));
  }
}
