import { stat } from 'node:fs/promises';
import { invalid, isKind, messageOf } from '#errors/errors.ts';
import type { Volumes } from '../../volumes/volumes.ts';
import type { ContainerRecord, MountPoint } from '../container.ts';
import type { ContainerConfig } from '../container-config.ts';
import type { HostConfig } from '../host-config.ts';
import { cleanPath, parseBind, parseMountSpec, parseVolumesFrom } from './parse-mounts.ts';

export interface MountRequest {
  readonly containerId: string;
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
}

/**
 * Works out what is mounted where in a new container, later sources over earlier ones: other containers'
 * volumes, then `-v`, then `--mount`, and anonymous volumes where the image or the user names a directory that
 * nothing is mounted at. Volumes that are missing are made and all are acquired; if it fails, none is kept.
 */
export class MountPlanner {
  readonly #volumes: Volumes;
  readonly #resolve: (reference: string) => ContainerRecord;

  constructor(ports: { volumes: Volumes; resolveContainer: (reference: string) => ContainerRecord }) {
    this.#volumes = ports.volumes;
    this.#resolve = ports.resolveContainer;
  }

  async plan(request: MountRequest): Promise<MountPoint[]> {
    const wanted = this.#wanted(request);
    await Promise.all([...wanted.values()].map(verifyBindSource));
    const ready: MountPoint[] = [];
    try {
      for (const mount of wanted.values()) ready.push(await this.#acquire(mount, request.containerId));
    } catch (error) {
      await this.release(request.containerId, ready, { removeAnonymous: true });
      throw error;
    }
    return ready;
  }

  /** Gives a container's volumes back. */
  async release(
    containerId: string,
    mounts: readonly MountPoint[],
    options: { removeAnonymous: boolean },
  ): Promise<void> {
    for (const { type, name, anonymous } of mounts) {
      if (type !== 'volume' || name === undefined) continue;
      await this.#volumes.release(name, containerId);
      // Still used by another container (volumes-from): it stays for that one.
      if (anonymous && options.removeAnonymous) await this.#volumes.remove(name).catch(() => undefined);
    }
  }

  #wanted({ config, hostConfig }: MountRequest): Map<string, MountPoint> {
    const wanted = new Map<string, MountPoint>();
    for (const text of hostConfig.VolumesFrom ?? []) {
      const { container, writable } = parseVolumesFrom(text);
      for (const mount of this.#other(container).mounts) {
        wanted.set(mount.destination, {
          ...mount,
          writable: mount.writable && writable,
          mode: '',
          copyData: false,
        });
      }
    }
    const explicit = new Set(Object.keys(hostConfig.Tmpfs ?? {}).map(cleanPath));
    const add = (mount: MountPoint) => {
      if (explicit.has(mount.destination)) throw invalid(`Duplicate mount point: ${mount.destination}`);
      explicit.add(mount.destination);
      wanted.set(mount.destination, mount);
    };
    for (const text of hostConfig.Binds ?? []) add(parseBind(text, hostConfig.VolumeDriver));
    for (const spec of hostConfig.Mounts ?? []) add(parseMountSpec(spec));
    for (const target of Object.keys(config.Volumes ?? {})) {
      const destination = cleanPath(target);
      if (wanted.has(destination) || explicit.has(destination)) continue;
      if (!destination.startsWith('/')) {
        throw invalid(`invalid volume specification: '${target}'`);
      }
      wanted.set(destination, anonymousVolume(destination, hostConfig.VolumeDriver));
    }
    return wanted;
  }

  /** A 404 would make clients think that the image is missing. */
  #other(reference: string): ContainerRecord {
    try {
      return this.#resolve(reference);
    } catch (error) {
      throw isKind(error, 'not-found') ? invalid(messageOf(error)) : error;
    }
  }

  async #acquire(mount: MountPoint, containerId: string): Promise<MountPoint> {
    if (mount.type !== 'volume') return mount;
    const options = mount.spec?.VolumeOptions;
    const anonymous = mount.name === undefined || mount.anonymous === true;
    const volume = await this.#volumes.create({
      ...(mount.name !== undefined && { name: mount.name }),
      ...(mount.driver && { driver: mount.driver }),
      ...(options?.Labels && { labels: options.Labels }),
      ...(options?.DriverConfig?.Options && { options: options.DriverConfig.Options }),
    });
    const acquired = await this.#volumes.acquire(volume.name, containerId);
    return { ...mount, name: volume.name, source: acquired.mountpoint, driver: volume.driver, anonymous };
  }
}

function anonymousVolume(destination: string, driver: string): MountPoint {
  return {
    type: 'volume',
    source: '',
    destination,
    driver: driver || 'local',
    mode: '',
    writable: true,
    propagation: '',
    copyData: true,
    createSource: true,
  };
}

async function verifyBindSource(mount: MountPoint): Promise<void> {
  if (mount.type !== 'bind' || mount.createSource) return;
  const exists = await stat(mount.source).then(
    () => true,
    () => false,
  );
  if (!exists) {
    throw invalid(`invalid mount config for type "bind": bind source path does not exist: ${mount.source}`);
  }
}
