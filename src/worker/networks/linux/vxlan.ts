import { addressBytes, numberToAddress } from '../ip/address.ts';
import type { RemoteStation } from '../network-driver.ts';
import { linkBody, macBytes, newLink } from './links.ts';
import { attribute, decodeAttributes, type NetlinkMessage } from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

/** VXLAN devices, and whom they know: the forwarding database and neighbours (rtnetlink). */

const NEW_LINK = 16;
const GET_LINK = 18;
const NEW_NEIGHBOUR = 28;
const DELETE_NEIGHBOUR = 29;
const GET_NEIGHBOUR = 30;
const CREATE = 0x400;
const REPLACE = 0x100;

const IFLA = {
  IFNAME: 3,
  MTU: 4,
  MASTER: 10,
  LINKINFO: 18,
  INFO_KIND: 1,
  INFO_DATA: 2,
  INFO_SLAVE_KIND: 4,
  INFO_SLAVE_DATA: 5,
  PORT_LEARNING: 8,
  PORT_UNICAST_FLOOD: 9,
} as const;
const VXLAN = { ID: 1, LOCAL: 4, TTL: 5, LEARNING: 7, PROXY: 11, PORT: 15, LOCAL6: 17 } as const;
const NDA = { DESTINATION: 1, LINK_ADDRESS: 2 } as const;

const AF_INET = 2;
const AF_BRIDGE = 7;
const NO_ARP = 0x40;
const PERMANENT = 0x80;
/** The device's own table, or that of the bridge that it is a port of. */
const SELF = 0x02;
const OF_MASTER = 0x04;
const TTL = 64;

export interface VxlanDevice {
  readonly name: string;
  /** Index of the bridge that it is a port of. */
  readonly master: number;
  readonly vni: number;
  /** This end, of either family; so are the other ends. */
  readonly local: string;
  readonly port: number;
  readonly mtu: number;
}

/** The device of a name; undefined when there is none of that kind. */
export async function findVxlan(
  socket: NetlinkSocket,
  name: string,
): Promise<(Omit<VxlanDevice, 'mtu'> & { readonly index: number }) | undefined> {
  const answer = await socket.get({
    type: GET_LINK,
    flags: 0,
    body: linkBody({}, attribute(IFLA.IFNAME, name)),
  });
  if (!answer) return undefined;
  const attributes = decodeAttributes(answer.body.subarray(16));
  const info = decodeAttributes(attributes.get(IFLA.LINKINFO) ?? Buffer.alloc(0));
  const data = decodeAttributes(info.get(IFLA.INFO_DATA) ?? Buffer.alloc(0));
  const local = data.get(VXLAN.LOCAL) ?? data.get(VXLAN.LOCAL6);
  return {
    name,
    index: answer.body.readInt32LE(4),
    master: attributes.get(IFLA.MASTER)?.readUInt32LE(0) ?? 0,
    vni: data.get(VXLAN.ID)?.readUInt32LE(0) ?? 0,
    local: local ? addressOf(local) : '',
    port: data.get(VXLAN.PORT)?.readUInt16BE(0) ?? 0,
  };
}

/** Learns nothing and floods nothing: it answers ARP for stations that it was told of, and sends only to those. */
export function createVxlan(device: VxlanDevice): NetlinkMessage {
  const port = Buffer.alloc(2);
  port.writeUInt16BE(device.port);
  const data = [
    attribute(VXLAN.ID, device.vni),
    attribute(device.local.includes(':') ? VXLAN.LOCAL6 : VXLAN.LOCAL, addressBytes(device.local)),
    attribute(VXLAN.TTL, Uint8Array.of(TTL)),
    attribute(VXLAN.LEARNING, Uint8Array.of(0)),
    attribute(VXLAN.PROXY, Uint8Array.of(1)),
    attribute(VXLAN.PORT, port),
  ];
  return newLink(
    linkBody(
      { up: true },
      attribute(IFLA.IFNAME, device.name),
      attribute(IFLA.MTU, device.mtu),
      attribute(IFLA.MASTER, device.master),
      attribute(IFLA.LINKINFO, [attribute(IFLA.INFO_KIND, 'vxlan'), attribute(IFLA.INFO_DATA, data)]),
    ),
  );
}

/** The bridge, too, knows by what it is told who is behind this port. */
export function tameBridgePort(name: string): NetlinkMessage {
  const off = (type: number) => attribute(type, Uint8Array.of(0));
  const mode = [
    attribute(IFLA.INFO_SLAVE_KIND, 'bridge'),
    attribute(IFLA.INFO_SLAVE_DATA, [off(IFLA.PORT_LEARNING), off(IFLA.PORT_UNICAST_FLOOD)]),
  ];
  const body = linkBody({}, attribute(IFLA.IFNAME, name), attribute(IFLA.LINKINFO, mode));
  return { type: NEW_LINK, flags: 0, body };
}

/** Makes a station known to the device and its bridge, or moves one that is. */
export function addStation(device: number, station: RemoteStation): NetlinkMessage[] {
  const mac = attribute(NDA.LINK_ADDRESS, macBytes(station.macAddress));
  const destination = attribute(NDA.DESTINATION, addressBytes(station.destination));
  const flags = CREATE | REPLACE;
  return [
    { type: NEW_NEIGHBOUR, flags, body: body(AF_BRIDGE, device, NO_ARP | PERMANENT, SELF, mac, destination) },
    { type: NEW_NEIGHBOUR, flags, body: body(AF_BRIDGE, device, NO_ARP, OF_MASTER, mac) },
    {
      type: NEW_NEIGHBOUR,
      flags,
      body: body(
        AF_INET,
        device,
        PERMANENT,
        0,
        attribute(NDA.DESTINATION, addressBytes(station.ipv4Address)),
        mac,
      ),
    },
  ];
}

export function removeStation(device: number, station: Omit<RemoteStation, 'destination'>): NetlinkMessage[] {
  const mac = attribute(NDA.LINK_ADDRESS, macBytes(station.macAddress));
  return [
    { type: DELETE_NEIGHBOUR, flags: 0, body: body(AF_BRIDGE, device, 0, SELF, mac) },
    { type: DELETE_NEIGHBOUR, flags: 0, body: body(AF_BRIDGE, device, 0, OF_MASTER, mac) },
    {
      type: DELETE_NEIGHBOUR,
      flags: 0,
      body: body(AF_INET, device, 0, 0, attribute(NDA.DESTINATION, addressBytes(station.ipv4Address))),
    },
  ];
}

/** Those that the kernel answers for. */
export async function listStations(
  socket: NetlinkSocket,
  device: number,
): Promise<Omit<RemoteStation, 'destination'>[]> {
  const entries = await socket.dump({ type: GET_NEIGHBOUR, flags: 0, body: body(AF_INET, 0, 0, 0) });
  return entries
    .filter((entry) => entry.body.readInt32LE(4) === device && (entry.body.readUInt16LE(8) & PERMANENT) !== 0)
    .flatMap((entry) => {
      const attributes = decodeAttributes(entry.body.subarray(12));
      const [address, mac] = [attributes.get(NDA.DESTINATION), attributes.get(NDA.LINK_ADDRESS)];
      if (address?.length !== 4 || mac?.length !== 6) return [];
      return [
        { ipv4Address: [...address].join('.'), macAddress: mac.toString('hex').replace(/..(?!$)/g, '$&:') },
      ];
    });
}

function addressOf(bytes: Buffer): string {
  return numberToAddress(BigInt(`0x${bytes.toString('hex')}`), bytes.length === 4 ? 4 : 6);
}

/** struct ndmsg, then attributes. */
function body(
  family: number,
  device: number,
  state: number,
  flags: number,
  ...attributes: readonly Buffer[]
): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(family, 0);
  header.writeInt32LE(device, 4);
  header.writeUInt16LE(state, 8);
  header.writeUInt8(flags, 10);
  return Buffer.concat([header, ...attributes]);
}
