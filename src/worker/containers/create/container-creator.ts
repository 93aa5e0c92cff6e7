import type { Logger } from 'pino';
import { invalid, notFound } from '#errors/errors.ts';
import { formatPlatform, hostPlatform, type Platform, platformMatches } from '#oci/platform.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Image, ImageSource } from '../../images/image-source.ts';
import type { Mounter } from '../../snapshots/mount.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container, ContainerRecord, MountPoint } from '../container.ts';
import { NEVER } from '../container.ts';
import type { ContainerConfig, EndpointConfig } from '../container-config.ts';
import { containerEvent } from '../container-events.ts';
import { ContainerFiles } from '../container-files.ts';
import { generateContainerId, generateContainerName, parseContainerName } from '../container-names.ts';
import type { ContainerRepository } from '../container-repository.ts';
import type { ContainerStore } from '../container-store.ts';
import { type HostConfig, networkOfMode } from '../host-config.ts';
import { timestamp } from '../timestamp.ts';
import { adaptHostConfig } from './adapt-host-config.ts';
import { mergeImageConfig } from './merge-image-config.ts';
import type { MountPlanner } from './mount-points.ts';
import { VolumePopulator } from './populate-volumes.ts';
import { verifyConfig } from './verify-config.ts';
import { verifyHostConfig } from './verify-host-config.ts';
import { verifyNetworkMode } from './verify-network-mode.ts';

export interface CreateRequest {
  /** Empty: a generated one. */
  readonly name: string;
  readonly platform?: Platform;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** By network name or id. */
  readonly endpoints: Readonly<Record<string, EndpointConfig>>;
}

export interface CreatorPorts {
  readonly store: ContainerStore;
  readonly repository: ContainerRepository;
  readonly images: ImageSource;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly mounts: MountPlanner;
  readonly populator: VolumePopulator;
  readonly events: EventPublisher;
  readonly log: Logger;
  /** Containers' directories are below it. */
  readonly root: string;
  readonly cgroupVersion: '1' | '2';
  readonly hostname: string;
}

/** Makes containers: everything that can be done before they start is done here. */
export class ContainerCreator {
  readonly #ports: CreatorPorts;

  constructor(ports: CreatorPorts) {
    this.#ports = ports;
  }

  /** Throws `invalid`, `not-found` (image), `conflict` (name); then nothing is left behind. */
  async create(request: CreateRequest): Promise<{ container: Container; warnings: string[] }> {
    const warnings = verifyHostConfig(request.hostConfig);
    const own = verifyConfig(request.config);
    verifyNetworkMode(own, request.hostConfig);
    const image = own.Image === '' ? undefined : await this.#ports.images.resolve(own.Image);
    if (image) warnings.push(...checkPlatform(own.Image, image, request.platform));
    const config = mergeImageConfig(own, image?.config.config);
    const id = generateContainerId();
    const name = this.#takeName(request.name, id);
    try {
      const container = await this.#make(id, name, config, image, request);
      this.#ports.events.publish(containerEvent(container, 'create'));
      return { container, warnings };
    } catch (error) {
      this.#ports.store.releaseName(name, id);
      throw error;
    }
  }

  #takeName(wanted: string, id: string): string {
    const { store } = this.#ports;
    if (wanted !== '') {
      const name = parseContainerName(wanted);
      store.reserveName(name, id);
      return name;
    }
    for (let attempt = 0; attempt < 8; attempt++) {
      const name = generateContainerName(attempt);
      if (store.isNameTaken(name)) continue;
      store.reserveName(name, id);
      return name;
    }
    store.reserveName(id.slice(0, 12), id);
    return id.slice(0, 12);
  }

  async #make(
    id: string,
    name: string,
    config: ContainerConfig,
    image: Image | undefined,
    request: CreateRequest,
  ): Promise<Container> {
    const { store, mounts } = this.#ports;
    const hostConfig = adaptHostConfig(request.hostConfig, {
      cgroupVersion: this.#ports.cgroupVersion,
      resolveContainer: (reference) => store.find(reference)?.id,
    });
    const hostname =
      config.Hostname || (hostConfig.NetworkMode === 'host' ? this.#ports.hostname : id.slice(0, 12));
    const mountPoints = await mounts.plan({ containerId: id, config, hostConfig });
    const [path, ...args] = [...(config.Entrypoint ?? []), ...(config.Cmd ?? [])];
    const record: ContainerRecord = {
      id,
      name,
      createdAt: timestamp(),
      imageId: image?.id ?? '',
      platform: image?.config.os ?? 'linux',
      path: path!,
      args,
      config: { ...config, Hostname: hostname },
      hostConfig,
      networks: endpointsOf(hostConfig, request.endpoints),
      mounts: mountPoints,
      state: {
        status: 'created',
        pid: 0,
        exitCode: 0,
        error: '',
        oomKilled: false,
        startedAt: NEVER,
        finishedAt: NEVER,
        ...(hasHealthcheck(config) && { health: { status: 'starting', failingStreak: 0, log: [] } }),
      },
      restartCount: 0,
      stoppedByUser: false,
      startedBefore: false,
    };
    try {
      return await this.#materialize(record, image, mountPoints);
    } catch (error) {
      await this.#undo(record);
      throw error;
    }
  }

  async #materialize(
    record: ContainerRecord,
    image: Image | undefined,
    mounts: readonly MountPoint[],
  ): Promise<Container> {
    const { repository, images, snapshotter, store } = this.#ports;
    const { id } = record;
    // Until it is whole it counts as being removed: what a crash leaves of it is cleared away at the next start.
    await repository.insertHidden(record);
    if (image) await images.retain(image.id, userOf(id));
    const files = new ContainerFiles(this.#ports.root, id);
    const [mount] = await Promise.all([
      snapshotter.prepare(id, image?.snapshot),
      files.make(record.config.Hostname),
    ]);
    if (VolumePopulator.wants(mounts)) {
      await this.#ports.mounter.mount(mount, files.rootfs);
      try {
        await this.#ports.populator.populate(files.rootfs, mounts);
      } finally {
        await this.#ports.mounter.unmount(files.rootfs);
      }
    }
    return store.reveal(record);
  }

  async #undo(record: ContainerRecord): Promise<void> {
    const { repository, images, snapshotter, mounts, log } = this.#ports;
    const files = new ContainerFiles(this.#ports.root, record.id);
    const steps = [
      () => mounts.release(record.id, record.mounts, { removeAnonymous: true }),
      () => snapshotter.remove(record.id),
      () => files.remove(),
      async () => {
        if (record.imageId) await images.release(record.imageId, userOf(record.id));
      },
      () => repository.delete(record.id),
    ];
    for (const step of steps) {
      await step().catch((error: unknown) =>
        log.warn({ err: error, container: record.id }, 'undoing a create'),
      );
    }
  }
}

/** What a container is called as a user of its image. */
export function userOf(containerId: string): string {
  return `container:${containerId}`;
}

function hasHealthcheck(config: ContainerConfig): boolean {
  const test = config.Healthcheck?.Test;
  return test !== undefined && test.length > 0 && test[0] !== 'NONE';
}

/** The network mode's endpoint is the first; a container without network has the one called after its mode. */
function endpointsOf(
  host: HostConfig,
  requested: Readonly<Record<string, EndpointConfig>>,
): Record<string, EndpointConfig> {
  const network = networkOfMode(host.NetworkMode);
  if (network === undefined) {
    if (host.NetworkMode.startsWith('container:')) {
      if (Object.keys(requested).length > 0) {
        throw invalid("conflicting options: container type network can't be used with links or endpoints");
      }
      return {};
    }
    return { [host.NetworkMode]: requested[host.NetworkMode] ?? emptyEndpoint() };
  }
  const { [network]: first, default: fallback, ...others } = { ...requested };
  return { [network]: first ?? fallback ?? emptyEndpoint(), ...others };
}

export function emptyEndpoint(): EndpointConfig {
  return { IPAMConfig: null, Links: null, Aliases: null, MacAddress: '', DriverOpts: null, GwPriority: 0 };
}

function checkPlatform(reference: string, image: Image, wanted: Platform | undefined): string[] {
  const { os, architecture, variant } = image.config;
  const actual: Platform = { os, architecture, ...(variant && { variant }) };
  if (wanted && !platformMatches(wanted, actual)) {
    throw notFound(
      `image with reference ${reference} was found but does not provide the specified platform (${formatPlatform(wanted)})`,
    );
  }
  if (wanted || platformMatches(hostPlatform(), actual)) return [];
  return [
    `The requested image's platform (${formatPlatform(actual)}) does not match the detected host platform (${formatPlatform(hostPlatform())}) and no specific platform was requested`,
  ];
}
