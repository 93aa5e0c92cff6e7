import { closeSync, openSync } from 'node:fs';
import { attribute, decodeAttributes, type NetlinkMessage } from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

/** Network interfaces (rtnetlink's links): bridges and veth pairs. */

const NEW_LINK = 16;
const DELETE_LINK = 17;
const GET_LINK = 18;
const CREATE = 0x400;
const EXCLUSIVE = 0x200;
const UP = 1;

const IFLA = {
  ADDRESS: 1,
  IFNAME: 3,
  MTU: 4,
  MASTER: 10,
  LINKINFO: 18,
  NET_NS_FD: 28,
  INFO_KIND: 1,
  INFO_DATA: 2,
  INFO_SLAVE_KIND: 4,
  INFO_SLAVE_DATA: 5,
  VETH_PEER: 1,
  BRPORT_MODE: 4,
} as const;

export interface Link {
  readonly index: number;
  readonly name: string;
  readonly mtu: number;
  /** `bridge`, `veth` …; empty for hardware. */
  readonly kind: string;
  /** Index of the bridge that it is a port of, 0 when of none. */
  readonly master: number;
}

export interface VethPair {
  /** This end stays in the socket's namespace, as a port of the bridge with that index. */
  readonly hostName: string;
  readonly master: number;
  /** The other end, inside the namespace at a path. */
  readonly namespace: string;
  readonly peerName: string;
  readonly peerMac: string;
  readonly mtu: number;
}

export async function findLink(socket: NetlinkSocket, name: string): Promise<Link | undefined> {
  const answer = await socket.get({
    type: GET_LINK,
    flags: 0,
    body: linkBody({}, attribute(IFLA.IFNAME, name)),
  });
  return answer && toLink(answer);
}

export async function listLinks(socket: NetlinkSocket): Promise<Link[]> {
  return (await socket.dump({ type: GET_LINK, flags: 0, body: linkBody({}) })).map(toLink);
}

export const createBridge = (name: string, mac: string, mtu: number): NetlinkMessage =>
  newLink(
    linkBody(
      { up: true },
      attribute(IFLA.IFNAME, name),
      attribute(IFLA.ADDRESS, macBytes(mac)),
      attribute(IFLA.MTU, mtu),
      attribute(IFLA.LINKINFO, [attribute(IFLA.INFO_KIND, 'bridge')]),
    ),
  );

/** Makes both ends at once, the far one already in its namespace under its final name; it is not up yet. */
export async function createVeth(socket: NetlinkSocket, pair: VethPair): Promise<void> {
  const namespace = openSync(pair.namespace, 'r');
  try {
    const peer = linkBody(
      {},
      attribute(IFLA.IFNAME, pair.peerName),
      attribute(IFLA.ADDRESS, macBytes(pair.peerMac)),
      attribute(IFLA.MTU, pair.mtu),
      attribute(IFLA.NET_NS_FD, namespace),
    );
    const veth = [
      attribute(IFLA.INFO_KIND, 'veth'),
      attribute(IFLA.INFO_DATA, [attribute(IFLA.VETH_PEER, peer)]),
    ];
    const body = linkBody(
      { up: true },
      attribute(IFLA.IFNAME, pair.hostName),
      attribute(IFLA.MTU, pair.mtu),
      attribute(IFLA.MASTER, pair.master),
      attribute(IFLA.LINKINFO, veth),
    );
    await socket.request(newLink(body), hairpin(pair.hostName));
  } finally {
    closeSync(namespace);
  }
}

/** Lets a container reach itself by a port that it published, also where bridged packets pass the packet filter. */
function hairpin(port: string): NetlinkMessage {
  const mode = [
    attribute(IFLA.INFO_SLAVE_KIND, 'bridge'),
    attribute(IFLA.INFO_SLAVE_DATA, [attribute(IFLA.BRPORT_MODE, Uint8Array.of(1))]),
  ];
  const body = linkBody({}, attribute(IFLA.IFNAME, port), attribute(IFLA.LINKINFO, mode));
  return { type: NEW_LINK, flags: 0, body };
}

/** Of a kind that needs no settings. */
export const createOfKind = (name: string, kind: string): NetlinkMessage =>
  newLink(
    linkBody({}, attribute(IFLA.IFNAME, name), attribute(IFLA.LINKINFO, [attribute(IFLA.INFO_KIND, kind)])),
  );

export const setMtu = (index: number, mtu: number): NetlinkMessage => ({
  type: NEW_LINK,
  flags: 0,
  body: linkBody({ index }, attribute(IFLA.MTU, mtu)),
});

export const setUp = (index: number): NetlinkMessage => ({
  type: NEW_LINK,
  flags: 0,
  body: linkBody({ index, up: true }),
});

export const deleteLink = (index: number): NetlinkMessage => ({
  type: DELETE_LINK,
  flags: 0,
  body: linkBody({ index }),
});

export function newLink(body: Buffer): NetlinkMessage {
  return { type: NEW_LINK, flags: CREATE | EXCLUSIVE, body };
}

/** struct ifinfomsg, then attributes. */
export function linkBody(link: { index?: number; up?: boolean }, ...attributes: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(16);
  header.writeInt32LE(link.index ?? 0, 4);
  header.writeUInt32LE(link.up ? UP : 0, 8);
  header.writeUInt32LE(link.up ? UP : 0, 12);
  return Buffer.concat([header, ...attributes]);
}

function toLink(message: NetlinkMessage): Link {
  const attributes = decodeAttributes(message.body.subarray(16));
  const info = decodeAttributes(attributes.get(IFLA.LINKINFO) ?? Buffer.alloc(0));
  return {
    index: message.body.readInt32LE(4),
    name: text(attributes.get(IFLA.IFNAME)),
    mtu: attributes.get(IFLA.MTU)?.readUInt32LE(0) ?? 1500,
    kind: text(info.get(IFLA.INFO_KIND)),
    master: attributes.get(IFLA.MASTER)?.readUInt32LE(0) ?? 0,
  };
}

const text = (bytes: Buffer | undefined) => bytes?.toString().replace(/\0.*$/s, '') ?? '';

export const macBytes = (mac: string) => Buffer.from(mac.replaceAll(':', ''), 'hex');
