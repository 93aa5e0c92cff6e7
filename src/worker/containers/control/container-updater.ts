import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, invalid, SlipwayError } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { EndpointRequest, Sandbox, Sandboxes } from '../../networks/sandbox.ts';
import type { OciResources } from '../../runtime/spec/oci-spec.ts';
import type { SpecResources } from '../../runtime/spec/spec-request.ts';
import type { Container } from '../container.ts';
import type { EndpointConfig } from '../container-config.ts';
import { containerEvent } from '../container-events.ts';
import { parseContainerName } from '../container-names.ts';
import type { ContainerStore } from '../container-store.ts';
import { emptyEndpoint } from '../create/container-creator.ts';
import { verifyResources, verifyRestartPolicy } from '../create/verify-host-config.ts';
import { networkOfMode, type Resources, type RestartPolicy } from '../host-config.ts';
import { specResourcesOf } from '../start/spec-request-of.ts';

export interface UpdaterPorts {
  readonly store: ContainerStore;
  readonly lock: KeyedLock;
  readonly sandboxes: Sandboxes;
  readonly events: EventPublisher;
  readonly resources: (resources: SpecResources) => OciResources;
  /** Brings /etc/hosts and resolv.conf of a running container up to date. */
  readonly writeNetworkFiles: (container: Container, sandbox: Sandbox) => Promise<void>;
}

/** Changes of containers that exist: name, limits, restart policy, networks. */
export class ContainerUpdater {
  readonly #ports: UpdaterPorts;

  constructor(ports: UpdaterPorts) {
    this.#ports = ports;
  }

  /** Throws `invalid`, `conflict` (name taken). */
  async rename(container: Container, wanted: string): Promise<void> {
    const { store, lock, sandboxes, events } = this.#ports;
    if (wanted === '') throw invalid('Neither old nor new names may be empty');
    const name = newName(wanted);
    await lock.run(container.id, async () => {
      const oldName = container.name;
      if (name === oldName) {
        throw invalid('Renaming a container with the same name as its current name');
      }
      await store.rename(container, name).catch(refuseName);
      if (container.sandbox) await sandboxes.rename(container.id, name);
      events.publish(containerEvent(container, 'rename', { oldName: `/${oldName}` }));
    });
  }

  /** Zero, empty and null mean: as it was. Throws `invalid`, `conflict`. */
  async update(
    container: Container,
    change: { resources: Partial<Resources>; restartPolicy?: RestartPolicy },
  ): Promise<void> {
    const { store, lock, events, resources } = this.#ports;
    await lock.run(container.id, async () => {
      const { hostConfig } = container.record;
      const given = Object.entries(change.resources).filter(
        ([, value]) => value !== 0 && value !== '' && value !== null && value !== undefined,
      );
      const updated = { ...hostConfig, ...Object.fromEntries(given) };
      const { restartPolicy } = change;
      if (restartPolicy?.Name) {
        verifyRestartPolicy(restartPolicy);
        if (hostConfig.AutoRemove && restartPolicy.Name !== 'no') {
          throw conflict('Restart policy cannot be updated because AutoRemove is enabled for the container');
        }
        updated.RestartPolicy = restartPolicy;
      }
      verifyResources(updated, true);
      refuseMemoryAboveSwap(updated, change.resources);
      if (given.length > 0) await container.task?.update(resources(specResourcesOf(updated)));
      await store.update(container, { hostConfig: updated });
      events.publish(containerEvent(container, 'update'));
    });
  }

  /** Joins a network, now if the container runs and at its next start otherwise. */
  async connect(container: Container, endpoint: EndpointRequest): Promise<void> {
    const { store, lock, sandboxes } = this.#ports;
    await lock.run(container.id, async () => {
      const { NetworkMode } = container.record.hostConfig;
      if (NetworkMode.startsWith('container:')) {
        throw conflict(
          'container sharing network namespace with another container or host cannot be connected to any other network',
        );
      }
      if (NetworkMode === 'host') throw conflict('cannot connect container to host network');
      if (container.running) {
        container.sandbox = await sandboxes.connect(container.id, endpoint);
        await this.#ports.writeNetworkFiles(container, container.sandbox);
      }
      const { none: _, ...networks } = container.record.networks;
      const change = { networks: { ...networks, [endpoint.network]: endpointConfigOf(endpoint) } };
      const hostConfig =
        NetworkMode === 'none'
          ? { ...container.record.hostConfig, NetworkMode: endpoint.network }
          : undefined;
      await store.update(container, { ...change, ...(hostConfig && { hostConfig }) });
    });
  }

  async disconnect(container: Container, network: string, options: { force: boolean }): Promise<void> {
    const { store, lock, sandboxes } = this.#ports;
    await lock.run(container.id, async () => {
      const { [network]: endpoint, ...networks } = container.record.networks;
      if (!endpoint && !options.force) {
        throw invalid(`container ${container.id} is not connected to network ${network}`);
      }
      if (container.running && container.sandbox) {
        container.sandbox = await sandboxes.disconnect(container.id, network);
        await this.#ports.writeNetworkFiles(container, container.sandbox);
      }
      const { hostConfig } = container.record;
      const wasMain = networkOfMode(hostConfig.NetworkMode) === network;
      const next = Object.keys(networks)[0] ?? 'none';
      const rest = Object.keys(networks).length > 0 ? networks : { none: emptyEndpoint() };
      await store.update(container, {
        networks: rest,
        ...(wasMain && { hostConfig: { ...hostConfig, NetworkMode: next } }),
      });
    });
  }
}

function endpointConfigOf(endpoint: EndpointRequest): EndpointConfig {
  const { ipv4Address, ipv6Address } = endpoint;
  return {
    ...emptyEndpoint(),
    IPAMConfig:
      ipv4Address || ipv6Address
        ? {
            ...(ipv4Address && { IPv4Address: ipv4Address }),
            ...(ipv6Address && { IPv6Address: ipv6Address }),
          }
        : null,
    Links: endpoint.links ? [...endpoint.links] : null,
    Aliases: endpoint.aliases ? [...endpoint.aliases] : null,
    MacAddress: endpoint.macAddress ?? '',
    DriverOpts: endpoint.driverOpts ? { ...endpoint.driverOpts } : null,
  };
}

function refuseMemoryAboveSwap(updated: Resources, change: Partial<Resources>): void {
  if (!change.Memory || change.MemorySwap) return;
  if (updated.MemorySwap > 0 && change.Memory > updated.MemorySwap) {
    throw invalid(
      'Memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time',
    );
  }
}

function newName(wanted: string): string {
  try {
    return parseContainerName(wanted.startsWith('/') ? wanted : `/${wanted}`);
  } catch (error) {
    return refuseName(error);
  }
}

function refuseName(error: unknown): never {
  if (!(error instanceof SlipwayError)) throw error;
  throw new SlipwayError(error.kind, `Error when allocating new name: ${error.message}`, { cause: error });
}
