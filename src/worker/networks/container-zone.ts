import { readHostResolvConf } from './dns/host-resolver.ts';
import type { Zone } from './dns/zone.ts';
import { isPredefined, type Network } from './network.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import type { PooledEndpoint } from './overlay/overlay-link.ts';
import { dnsNames, type EndpointRecord, type SandboxRecord } from './sandbox-record.ts';
import { gatewayEndpoint, type SandboxTable } from './sandbox-table.ts';
import { isCalled, parseLink } from './sandbox-view.ts';

interface Neighbour {
  readonly network: Network;
  readonly containerId: string;
  readonly containerName: string;
  readonly names: readonly string[];
  readonly addresses: readonly string[];
  /** Its worker is away, and so it may be. */
  readonly isAway: boolean;
}

/** What the embedded resolver tells one container: the names on its own networks, as they are when it asks. */
export function containerZone(
  record: SandboxRecord,
  catalog: NetworkCatalog,
  table: SandboxTable,
  remote: (networkId: string) => readonly PooledEndpoint[] = () => [],
): Zone {
  const neighbours = (): Neighbour[] =>
    record.endpoints.flatMap(({ networkId }) => {
      const network = catalog.find(networkId);
      if (!network || isPredefined(network.name)) return [];
      const here = table.onNetwork(networkId).map((other) => neighbourHere(network, other));
      return [...here, ...remote(networkId).map((other) => neighbourElsewhere(network, other))];
    });
  return {
    lookup(name) {
      const found = neighbours().filter(
        (neighbour) => answersTo(neighbour, name) || isLinked(record, neighbour, name),
      );
      if (found.length === 0) return undefined;
      const present = found.filter(({ isAway }) => !isAway);
      const addresses = (present.length > 0 ? present : found).flatMap((neighbour) => neighbour.addresses);
      return [...new Set(addresses)];
    },
    reverse(address) {
      const found = neighbours().find(({ addresses }) => addresses.includes(address));
      return found && `${found.containerName}.${found.network.name}`;
    },
    async upstreams() {
      if (!gatewayEndpoint(record.endpoints, catalog)) return [];
      return record.resolver.dns.length > 0 ? record.resolver.dns : (await readHostResolvConf()).nameservers;
    },
  };
}

function neighbourHere(
  network: Network,
  { record, endpoint }: { record: SandboxRecord; endpoint: EndpointRecord },
): Neighbour {
  const { containerId, containerName } = record;
  const addresses = [endpoint.ipv4Address, endpoint.ipv6Address].filter((address) => address !== '');
  const names = dnsNames(record, endpoint.aliases);
  return { network, containerId, containerName, names, addresses, isAway: false };
}

function neighbourElsewhere(network: Network, endpoint: PooledEndpoint): Neighbour {
  const { containerId, containerName, names, ipv4Address, isAway } = endpoint;
  return { network, containerId, containerName, names, addresses: [ipv4Address], isAway };
}

/** Its names, alone or qualified by the network's. Names in DNS have no case. */
function answersTo({ network, names }: Neighbour, name: string): boolean {
  const suffix = `.${network.name.toLowerCase()}`;
  return names.some((known) => {
    const plain = known.toLowerCase();
    return name === plain || name === plain + suffix;
  });
}

/** `--link db:alias` gives another container a name that only this one knows. */
function isLinked(record: SandboxRecord, neighbour: Neighbour, name: string): boolean {
  const own = record.endpoints.find(({ networkId }) => networkId === neighbour.network.id);
  return (own?.links ?? []).map(parseLink).some(({ target, alias }) => {
    return alias.toLowerCase() === name && isCalled(neighbour, target);
  });
}
