import { randomBytes } from 'node:crypto';
import { invalid } from '#errors/errors.ts';
import type { AddressBook } from './address-book.ts';
import { addressBytes } from './ip/address.ts';
import { parseSubnet } from './ip/subnet.ts';
import { type Network, subnetOf } from './network.ts';
import type { InterfaceAddress } from './network-driver.ts';
import type { EndpointRequest } from './sandbox.ts';
import type { EndpointRecord } from './sandbox-record.ts';

/**
 * An endpoint as it is going to be, with addresses leased for it. Throws `invalid`, or `conflict` for an address
 * that is taken; then nothing is leased.
 */
export function planEndpoint(
  network: Network,
  request: EndpointRequest,
  others: readonly EndpointRecord[],
  book: AddressBook,
): EndpointRecord {
  const bare = {
    endpointId: randomBytes(32).toString('hex'),
    networkId: network.id,
    interfaceName: '',
    hostInterface: '',
    macAddress: '',
    ipv4Address: '',
    ipv6Address: '',
    aliases: request.aliases ?? [],
    links: request.links ?? [],
  };
  if (network.bridge === '') return bare;
  if (network.name === 'bridge' && (request.ipv4Address || request.ipv6Address)) {
    throw invalid('user specified IP address is supported on user defined networks only');
  }
  const mac = checkedMac(request.macAddress);
  const interfaceName = interfaceNameFor(request, others);
  const ipv4Address = lease(network, 4, request.ipv4Address, book);
  try {
    const ipv6Address = lease(network, 6, request.ipv6Address, book);
    const macAddress = mac ?? macFor(ipv4Address);
    const hostInterface = `veth${randomBytes(4).toString('hex').slice(1)}`;
    return { ...bare, interfaceName, hostInterface, macAddress, ipv4Address, ipv6Address };
  } catch (error) {
    book.release(network, { ipv4Address, ipv6Address: '' });
    throw error;
  }
}

/** With the lengths of their prefixes. */
export function interfaceAddresses(
  network: Network,
  { ipv4Address, ipv6Address }: Pick<EndpointRecord, 'ipv4Address' | 'ipv6Address'>,
): InterfaceAddress[] {
  return ([4, 6] as const).flatMap((family) => {
    const address = family === 4 ? ipv4Address : ipv6Address;
    const config = subnetOf(network, family);
    return address && config ? [{ address, prefixLength: parseSubnet(config.subnet).prefixLength }] : [];
  });
}

function lease(network: Network, family: 4 | 6, wish: string | undefined, book: AddressBook): string {
  const leases = book.of(network, family);
  if (wish) {
    if (!leases)
      throw invalid(`invalid address ${wish}: It does not belong to any of this network's subnets`);
    return leases.takeExactly(wish);
  }
  return leases?.take() ?? '';
}

/** The first `ethN` that the container does not have yet, unless its name was asked for. */
function interfaceNameFor(request: EndpointRequest, others: readonly EndpointRecord[]): string {
  const asked = request.driverOpts?.['com.docker.network.endpoint.ifname'];
  const used = new Set(others.map((endpoint) => endpoint.interfaceName));
  if (asked !== undefined) {
    if (!/^[^\s/:]{1,15}$/.test(asked) || asked === 'lo' || used.has(asked)) {
      throw invalid(`invalid interface name ${asked}`);
    }
    return asked;
  }
  for (let index = 0; ; index++) if (!used.has(`eth${index}`)) return `eth${index}`;
}

/** Follows from the address, so that neighbours who remember an address remember the right MAC with it. */
export function macFor(ipv4Address: string): string {
  return [
    '02',
    '42',
    ...[...addressBytes(ipv4Address)].map((byte) => byte.toString(16).padStart(2, '0')),
  ].join(':');
}

function checkedMac(mac: string | undefined): string | undefined {
  if (!mac) return undefined;
  const plain = mac.toLowerCase().replaceAll('-', ':');
  if (!/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/.test(plain)) throw invalid(`invalid MAC address: ${mac}`);
  return plain;
}
