import { addressBytes, familyOf, numberToAddress } from '../ip/address.ts';
import { lastAddress, parseSubnet } from '../ip/subnet.ts';
import { attribute, decodeAttributes, type NetlinkMessage } from './netlink-message.ts';
import type { NetlinkSocket } from './netlink-socket.ts';

/** Addresses and routes of interfaces. */

const NEW_ADDRESS = 20;
const NEW_ROUTE = 24;
const DELETE_ROUTE = 25;
const GET_ROUTE = 26;
const CREATE = 0x400;
const REPLACE = 0x100;
const NO_DUPLICATE_DETECTION = 0x02;
const MAIN_TABLE = 254;

export const addAddress = (link: number, address: string, prefixLength: number): NetlinkMessage => {
  const bytes = addressBytes(address);
  const header = Buffer.alloc(8);
  header.writeUInt8(family(address), 0);
  header.writeUInt8(prefixLength, 1);
  header.writeUInt8(bytes.length === 16 ? NO_DUPLICATE_DETECTION : 0, 2);
  header.writeUInt32LE(link, 4);
  const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4 } as const;
  const attributes = [attribute(IFA.LOCAL, bytes), attribute(IFA.ADDRESS, bytes)];
  if (bytes.length === 4 && prefixLength < 31) {
    const broadcast = numberToAddress(lastAddress(parseSubnet(`${address}/${prefixLength}`)), 4);
    attributes.push(attribute(IFA.BROADCAST, addressBytes(broadcast)));
  }
  return { type: NEW_ADDRESS, flags: CREATE | REPLACE, body: Buffer.concat([header, ...attributes]) };
};

export const setDefaultRoute = (gateway: string): NetlinkMessage => ({
  type: NEW_ROUTE,
  flags: CREATE | REPLACE,
  body: defaultRoute(gateway, attribute(RTA.GATEWAY, addressBytes(gateway))),
});

/** Of the gateway's address family. */
export const deleteDefaultRoute = (gateway: string): NetlinkMessage => ({
  type: DELETE_ROUTE,
  flags: 0,
  body: defaultRoute(gateway, attribute(RTA.GATEWAY, addressBytes(gateway))),
});

export interface Route {
  /** Empty for the default route. */
  readonly destination: string;
  readonly prefixLength: number;
  readonly link: number;
}

/** IPv4 routes of the main table. */
export async function listRoutes(socket: NetlinkSocket): Promise<Route[]> {
  const header = Buffer.alloc(12);
  header.writeUInt8(2, 0);
  const routes = await socket.dump({ type: GET_ROUTE, flags: 0, body: header });
  return routes.filter((route) => route.body.readUInt8(4) === MAIN_TABLE).map(toRoute);
}

const RTA = { DESTINATION: 1, LINK: 4, GATEWAY: 5 } as const;

/** struct rtmsg of a unicast route in the main table, set up by boot/administrator's protocol number. */
function defaultRoute(gateway: string, ...attributes: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(12);
  header.writeUInt8(family(gateway), 0);
  header.writeUInt8(MAIN_TABLE, 4);
  header.writeUInt8(3, 5);
  header.writeUInt8(0, 6);
  header.writeUInt8(1, 7);
  return Buffer.concat([header, ...attributes]);
}

function toRoute(message: NetlinkMessage): Route {
  const attributes = decodeAttributes(message.body.subarray(12));
  return {
    destination: [...(attributes.get(RTA.DESTINATION) ?? [])].join('.'),
    prefixLength: message.body.readUInt8(1),
    link: attributes.get(RTA.LINK)?.readUInt32LE(0) ?? 0,
  };
}

const family = (address: string) => (familyOf(address) === 6 ? 10 : 2);
