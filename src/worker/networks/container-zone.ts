import { readHostResolvConf } from './dns/host-resolver.ts';
import type { Zone } from './dns/zone.ts';
import { isPredefined, type Network } from './network.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import { dnsNames, type EndpointRecord, type SandboxRecord } from './sandbox-record.ts';
import { gatewayEndpoint, type SandboxTable } from './sandbox-table.ts';
import { isCalled, parseLink } from './sandbox-view.ts';

interface Neighbour {
  readonly network: Network;
  readonly record: SandboxRecord;
  readonly endpoint: EndpointRecord;
}

/** What the embedded resolver tells one container: the names on its own networks, as they are when it asks. */
export function containerZone(record: SandboxRecord, catalog: NetworkCatalog, table: SandboxTable): Zone {
  const neighbours = (): Neighbour[] =>
    record.endpoints.flatMap(({ networkId }) => {
      const network = catalog.find(networkId);
      if (!network || isPredefined(network.name)) return [];
      return table.onNetwork(networkId).map((other) => ({ network, ...other }));
    });
  return {
    lookup(name) {
      const found = neighbours().filter(
        (neighbour) => answersTo(neighbour, name) || isLinked(record, neighbour, name),
      );
      if (found.length === 0) return undefined;
      const addresses = found.flatMap(({ endpoint }) => [endpoint.ipv4Address, endpoint.ipv6Address]);
      return [...new Set(addresses.filter((address) => address !== ''))];
    },
    reverse(address) {
      const found = neighbours().find(({ endpoint }) =>
        [endpoint.ipv4Address, endpoint.ipv6Address].includes(address),
      );
      return found && `${found.record.containerName}.${found.network.name}`;
    },
    async upstreams() {
      if (!gatewayEndpoint(record.endpoints, catalog)) return [];
      return record.resolver.dns.length > 0 ? record.resolver.dns : (await readHostResolvConf()).nameservers;
    },
  };
}

/** Its names, alone or qualified by the network's. Names in DNS have no case. */
function answersTo({ network, record, endpoint }: Neighbour, name: string): boolean {
  const suffix = `.${network.name.toLowerCase()}`;
  return dnsNames(record, endpoint).some((known) => {
    const plain = known.toLowerCase();
    return name === plain || name === plain + suffix;
  });
}

/** `--link db:alias` gives another container a name that only this one knows. */
function isLinked(record: SandboxRecord, neighbour: Neighbour, name: string): boolean {
  const own = record.endpoints.find(({ networkId }) => networkId === neighbour.network.id);
  return (own?.links ?? []).map(parseLink).some(({ target, alias }) => {
    return alias.toLowerCase() === name && isCalled(neighbour.record, target);
  });
}
