import { randomBytes } from 'node:crypto';
import { forbidden, invalid, notFound, unsupported } from '#errors/errors.ts';
import { addressToNumber } from './ip/address.ts';
import { addressAt, contains, formatSubnet, overlaps, parseSubnet, type Subnet } from './ip/subnet.ts';
import { type AddressPool, chooseSubnet } from './ip/subnet-choice.ts';
import { type Ipam, type IpamConfig, isPredefined, type Network } from './network.ts';

export interface CreateNetworkRequest {
  readonly name: string;
  readonly driver?: string;
  readonly internal?: boolean;
  readonly attachable?: boolean;
  readonly ipv6?: boolean;
  readonly ipam?: Partial<Omit<Ipam, 'config'>> & { readonly config?: readonly Partial<IpamConfig>[] };
  readonly options?: Readonly<Record<string, string>>;
  readonly labels?: Readonly<Record<string, string>>;
}

/** What a new network must keep clear of, and where it may take a subnet from. */
export interface Surroundings {
  readonly networks: readonly Network[];
  readonly hostSubnets: readonly Subnet[];
  readonly pools: readonly AddressPool[];
}

/** The network that a request asks for, complete. Throws in the engine's words what is wrong with it. */
export function planNetwork(request: CreateNetworkRequest, around: Surroundings): Network {
  if (isPredefined(request.name) || request.name === 'default') {
    throw forbidden(`operation is not permitted on predefined ${request.name} network`);
  }
  if (!/^[^\s/\x00-\x1f]{1,255}$/.test(request.name)) throw invalid(`invalid network name: ${request.name}`);
  checkDriver(request.driver ?? '');
  const id = randomBytes(32).toString('hex');
  const options = request.options ?? {};
  return {
    id,
    name: request.name,
    driver: 'bridge',
    createdAt: new Date(),
    bridge: bridgeName(options['com.docker.network.bridge.name'] ?? `br-${id.slice(0, 12)}`, around),
    internal: request.internal ?? false,
    attachable: request.attachable ?? false,
    ipv6: request.ipv6 ?? false,
    ipam: planIpam(request, around),
    options,
    labels: request.labels ?? {},
  };
}

function checkDriver(driver: string): void {
  if (['', 'default', 'bridge'].includes(driver)) return;
  if (driver === 'host' || driver === 'null')
    throw forbidden(`only one instance of "${driver}" network is allowed`);
  if (driver === 'overlay') {
    throw unsupported(
      'This node is not a swarm manager. Use "docker swarm init" or "docker swarm join" to connect this node to swarm and try again.',
    );
  }
  throw notFound(`could not resolve driver ${driver} in registry`);
}

function bridgeName(name: string, { networks }: Surroundings): string {
  // The kernel's limits for the name of an interface.
  if (!/^[^\s/:]{1,15}$/.test(name) || name === '.' || name === '..')
    throw invalid(`invalid bridge name ${name}`);
  const other = networks.find(({ bridge }) => bridge === name);
  if (other)
    throw forbidden(`networks have same bridge name: conflicts with network ${other.id} (${other.name})`);
  return name;
}

function planIpam(request: CreateNetworkRequest, around: Surroundings): Ipam {
  const driver = request.ipam?.driver || 'default';
  if (driver !== 'default') throw notFound(`could not find IPAM driver "${driver}"`);
  const configs = (request.ipam?.config ?? []).filter((config) => Object.keys(config).length > 0);
  const config = configs.map((wish) => checkedConfig(wish, around));
  if (!config.some(({ subnet }) => !subnet.includes(':'))) {
    const taken = [...around.hostSubnets, ...subnetsOf(around.networks)];
    config.unshift(withGateway({ subnet: formatSubnet(chooseSubnet(around.pools, taken)) }));
  }
  if (request.ipv6 && !config.some(({ subnet }) => subnet.includes(':'))) {
    config.push(withGateway({ subnet: randomUniqueLocalSubnet() }));
  }
  for (const family of [4, 6] as const) {
    if (config.filter(({ subnet }) => parseSubnet(subnet).family === family).length > 1) {
      throw invalid(`bridge driver doesn't support multiple subnets`);
    }
  }
  return { driver, options: request.ipam?.options ?? {}, config };
}

function checkedConfig(wish: Partial<IpamConfig>, { networks }: Surroundings): IpamConfig {
  const subnet = parseSubnet(wish.subnet ?? '');
  for (const address of [wish.gateway, ...Object.values(wish.auxiliaryAddresses ?? {})]) {
    if (address && !contains(subnet, address)) {
      throw invalid(`invalid network config:\nno matching subnet for address ${address}`);
    }
  }
  if (wish.ipRange) {
    const range = parseSubnet(wish.ipRange);
    if (range.prefixLength < subnet.prefixLength || !overlaps(range, subnet)) {
      throw invalid(`invalid network config:\nno matching subnet for range ${wish.ipRange}`);
    }
  }
  if (subnetsOf(networks).some((other) => overlaps(other, subnet))) {
    throw forbidden('invalid pool request: Pool overlaps with other one on this address space');
  }
  return withGateway({ ...wish, subnet: formatSubnet(subnet) });
}

/** The first address of the subnet, or of the range, that is not spoken for. */
export function withGateway(config: IpamConfig): IpamConfig {
  if (config.gateway) return config;
  const subnet = parseSubnet(config.subnet);
  const spoken = new Set(Object.values(config.auxiliaryAddresses ?? {}).map(addressToNumber));
  let offset = 1n;
  while (spoken.has(subnet.first + offset)) offset++;
  return { ...config, gateway: addressAt(subnet, offset) };
}

export const subnetsOf = (networks: readonly Network[]): Subnet[] =>
  networks.flatMap(({ ipam }) => ipam.config.map(({ subnet }) => parseSubnet(subnet)));

/** RFC 4193. */
function randomUniqueLocalSubnet(): string {
  const groups = randomBytes(8).toString('hex').match(/.{4}/g) ?? [];
  return formatSubnet(parseSubnet(`fd${groups[0]?.slice(2)}:${groups.slice(1).join(':')}::/64`));
}
