import type { Selectable } from 'kysely';
import type { NetworkTables } from '#database/worker/networks-schema.ts';
import type { WorkerDatabase } from '#database/worker/open.ts';
import type { Network } from './network.ts';
import type { EndpointRecord, SandboxRecord } from './sandbox-record.ts';

/** Networks and who is on them, as they are after a restart. */
export class NetworksRepository {
  readonly #database: WorkerDatabase;

  constructor(database: WorkerDatabase) {
    this.#database = database;
  }

  async networks(): Promise<Network[]> {
    const rows = await this.#database.selectFrom('networks').selectAll().orderBy('created_at').execute();
    return rows.map(toNetwork);
  }

  async saveNetwork(network: Network): Promise<void> {
    const row = {
      id: network.id,
      name: network.name,
      driver: network.driver,
      created_at: network.createdAt.toISOString(),
      bridge: network.bridge,
      internal: Number(network.internal),
      attachable: Number(network.attachable),
      ipv6: Number(network.ipv6),
      ipam_json: JSON.stringify(network.ipam),
      options_json: JSON.stringify(network.options),
      labels_json: JSON.stringify(network.labels),
    };
    await this.#database
      .insertInto('networks')
      .values(row)
      .onConflict((conflict) => conflict.column('id').doUpdateSet(row))
      .execute();
  }

  async deleteNetwork(id: string): Promise<void> {
    await this.#database.deleteFrom('networks').where('id', '=', id).execute();
  }

  async sandboxes(): Promise<SandboxRecord[]> {
    const rows = await this.#database.selectFrom('sandboxes').selectAll().execute();
    const endpoints = await this.#database.selectFrom('endpoints').selectAll().orderBy('position').execute();
    const byContainer = Map.groupBy(endpoints, (endpoint) => endpoint.container_id);
    return rows.map((row) => toSandbox(row, byContainer.get(row.container_id) ?? []));
  }

  /** Replaces what is known of the container. */
  async saveSandbox(record: SandboxRecord): Promise<void> {
    const endpoints = record.endpoints.map((endpoint, position) => ({
      id: endpoint.endpointId,
      container_id: record.containerId,
      network_id: endpoint.networkId,
      position,
      interface_name: endpoint.interfaceName,
      host_interface: endpoint.hostInterface,
      mac_address: endpoint.macAddress,
      ipv4_address: endpoint.ipv4Address,
      ipv6_address: endpoint.ipv6Address,
      aliases_json: JSON.stringify(endpoint.aliases),
      links_json: JSON.stringify(endpoint.links),
    }));
    await this.#database.transaction().execute(async (trx) => {
      await trx.deleteFrom('sandboxes').where('container_id', '=', record.containerId).execute();
      await trx
        .insertInto('sandboxes')
        .values({
          container_id: record.containerId,
          container_name: record.containerName,
          hostname: record.hostname,
          mode: record.mode,
          namespace: record.namespace,
          ports_json: JSON.stringify(record.ports),
          resolver_json: JSON.stringify(record.resolver),
        })
        .execute();
      if (endpoints.length > 0) await trx.insertInto('endpoints').values(endpoints).execute();
    });
  }

  async deleteSandbox(containerId: string): Promise<void> {
    await this.#database.deleteFrom('sandboxes').where('container_id', '=', containerId).execute();
  }
}

function toNetwork(row: Selectable<NetworkTables['networks']>): Network {
  return {
    id: row.id,
    name: row.name,
    driver: row.driver as Network['driver'],
    createdAt: new Date(row.created_at),
    bridge: row.bridge,
    internal: row.internal === 1,
    attachable: row.attachable === 1,
    ipv6: row.ipv6 === 1,
    ipam: JSON.parse(row.ipam_json),
    options: JSON.parse(row.options_json),
    labels: JSON.parse(row.labels_json),
  };
}

function toSandbox(
  row: Selectable<NetworkTables['sandboxes']>,
  endpoints: readonly Selectable<NetworkTables['endpoints']>[],
): SandboxRecord {
  return {
    containerId: row.container_id,
    containerName: row.container_name,
    hostname: row.hostname,
    mode: row.mode as SandboxRecord['mode'],
    namespace: row.namespace,
    endpoints: endpoints.map(toEndpoint),
    ports: JSON.parse(row.ports_json),
    resolver: JSON.parse(row.resolver_json),
  };
}

function toEndpoint(row: Selectable<NetworkTables['endpoints']>): EndpointRecord {
  return {
    endpointId: row.id,
    networkId: row.network_id,
    interfaceName: row.interface_name,
    hostInterface: row.host_interface,
    macAddress: row.mac_address,
    ipv4Address: row.ipv4_address,
    ipv6Address: row.ipv6_address,
    aliases: JSON.parse(row.aliases_json),
    links: JSON.parse(row.links_json),
  };
}
