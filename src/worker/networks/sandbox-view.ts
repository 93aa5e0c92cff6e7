import { readFile } from 'node:fs/promises';
import { readHostResolvConf } from './dns/host-resolver.ts';
import { formatHosts, type HostsEntry, parseExtraHost } from './dns/hosts-file.ts';
import { containerResolvConf } from './dns/resolv-conf.ts';
import { parseSubnet } from './ip/subnet.ts';
import { isPredefined, subnetOf } from './network.ts';
import type { NetworkCatalog } from './network-catalog.ts';
import type { Endpoint, Sandbox } from './sandbox.ts';
import { dnsNames, type EndpointRecord, type SandboxRecord } from './sandbox-record.ts';
import type { SandboxTable } from './sandbox-table.ts';

/** What a container is told of its network. */
export async function sandboxView(
  record: SandboxRecord,
  catalog: NetworkCatalog,
  table: SandboxTable,
): Promise<Sandbox> {
  return {
    containerId: record.containerId,
    namespace: record.namespace,
    endpoints: record.endpoints.map((endpoint) => endpointView(record, endpoint, catalog)),
    ports: record.ports,
    resolvConf: containerResolvConf(
      await readHostResolvConf(),
      record.resolver,
      resolverFor(record, catalog),
    ),
    hosts: await hostsFor(record, catalog, table),
  };
}

/** Whether the container's network has names that the embedded resolver answers. */
export function usesEmbeddedResolver(record: SandboxRecord, catalog: NetworkCatalog): boolean {
  return record.endpoints.some(({ networkId }) => !isPredefined(catalog.find(networkId)?.name ?? 'none'));
}

function resolverFor(record: SandboxRecord, catalog: NetworkCatalog): 'embedded' | 'direct' | 'host' {
  if (record.mode === 'host') return 'host';
  return usesEmbeddedResolver(record, catalog) ? 'embedded' : 'direct';
}

function endpointView(record: SandboxRecord, endpoint: EndpointRecord, catalog: NetworkCatalog): Endpoint {
  const network = catalog.get(endpoint.networkId);
  const [config, config6] = [subnetOf(network, 4), subnetOf(network, 6)];
  const named = !isPredefined(network.name);
  return {
    networkId: network.id,
    networkName: network.name,
    endpointId: endpoint.endpointId,
    interfaceName: endpoint.interfaceName,
    macAddress: endpoint.macAddress,
    ipv4Address: endpoint.ipv4Address,
    prefixLength: config ? parseSubnet(config.subnet).prefixLength : 0,
    gateway: network.internal ? '' : (config?.gateway ?? ''),
    ipv6Address: endpoint.ipv6Address,
    ipv6PrefixLength: config6 && endpoint.ipv6Address ? parseSubnet(config6.subnet).prefixLength : 0,
    ipv6Gateway: '',
    aliases: endpoint.aliases,
    dnsNames: named ? dnsNames(record, endpoint.aliases) : [],
  };
}

async function hostsFor(
  record: SandboxRecord,
  catalog: NetworkCatalog,
  table: SandboxTable,
): Promise<string> {
  const hostGateway = subnetOf(catalog.get('bridge'), 4)?.gateway ?? '';
  const extra = record.resolver.extraHosts.map((host) => parseExtraHost(host, hostGateway));
  if (record.mode === 'host') {
    const host = await readFile('/etc/hosts', 'utf8').catch(() => formatHosts([]));
    return [host.trimEnd(), ...extra.map(({ address, names }) => `${address}\t${names.join(' ')}`), ''].join(
      '\n',
    );
  }
  const [shortName] = record.hostname.split('.');
  const names = record.hostname === shortName ? [record.hostname] : [record.hostname, shortName ?? ''];
  const own = record.endpoints.flatMap(({ ipv4Address, ipv6Address }) =>
    [ipv4Address, ipv6Address].filter((address) => address !== '').map((address) => ({ address, names })),
  );
  return formatHosts([...extra, ...linkedHosts(record, catalog, table), ...own]);
}

/** `--link`ed containers of the default network, which has no resolver that could know them. */
function linkedHosts(record: SandboxRecord, catalog: NetworkCatalog, table: SandboxTable): HostsEntry[] {
  return record.endpoints
    .filter(({ networkId }) => catalog.find(networkId)?.name === 'bridge')
    .flatMap((endpoint) =>
      endpoint.links.map((link) => ({ link, neighbours: table.onNetwork(endpoint.networkId) })),
    )
    .flatMap(({ link, neighbours }) => {
      const { target, alias } = parseLink(link);
      const other = neighbours.find((neighbour) => isCalled(neighbour.record, target));
      if (!other) return [];
      const names = [alias, other.record.containerId.slice(0, 12), other.record.containerName];
      return [{ address: other.endpoint.ipv4Address, names: [...new Set(names)] }];
    });
}

/** `/db:/web/database`, `db:database` or `db`. */
export function parseLink(link: string): { readonly target: string; readonly alias: string } {
  const [target = '', alias = target] = link.split(':').map((part) => part.replace(/^.*\//, ''));
  return { target, alias };
}

export function isCalled(
  record: Pick<SandboxRecord, 'containerId' | 'containerName'>,
  reference: string,
): boolean {
  return (
    record.containerName === reference || (reference.length >= 12 && record.containerId.startsWith(reference))
  );
}
