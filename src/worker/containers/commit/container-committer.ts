import { randomUUID } from 'node:crypto';
import { lstat, rm, rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { HistoryEntry, ImageConfig, RunConfig } from '#oci/image-config.ts';
import { hostPlatform } from '#oci/platform.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Image, ImageSource } from '../../images/image-source.ts';
import type { DiffApplier, DiffComparer } from '../../snapshots/diff.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import { ENGINE_FILES } from '../archive/engine-files.ts';
import type { Container } from '../container.ts';
import type { ContainerConfig } from '../container-config.ts';
import { containerEvent } from '../container-events.ts';

export interface CommitRequest {
  /** Name to give the image; empty: none. */
  readonly name: string;
  readonly author: string;
  readonly comment: string;
  readonly pause: boolean;
  /** Dockerfile instructions. */
  readonly changes: readonly string[];
  /** In place of the container's own. */
  readonly config?: Partial<ContainerConfig>;
}

export interface CommitterPorts {
  readonly lock: KeyedLock;
  readonly images: ImageSource;
  readonly snapshotter: Snapshotter;
  readonly applier: DiffApplier;
  readonly comparer: DiffComparer;
  readonly events: EventPublisher;
  readonly applyChanges: (config: RunConfig, changes: readonly string[]) => RunConfig;
}

/** `docker commit`: a container's changes as a new layer on its image. The container keeps its own. */
export class ContainerCommitter {
  readonly #ports: CommitterPorts;

  constructor(ports: CommitterPorts) {
    this.#ports = ports;
  }

  async commit(container: Container, request: CommitRequest): Promise<Image> {
    const { images, events, applyChanges } = this.#ports;
    const { record } = container;
    const base = record.imageId === '' ? undefined : await images.resolve(record.imageId);
    const config = applyChanges(runConfigOf({ ...record.config, ...request.config }), request.changes);
    const diffId = await this.#layer(container, base, request.pause);
    const created = new Date().toISOString();
    const image = await images.create(
      Buffer.from(JSON.stringify(imageConfig(base?.config, config, diffId, created, container, request))),
      { ...(base && { parent: base.id }) },
    );
    if (request.name !== '') await images.tag(image.id, request.name);
    const attributes = { comment: request.comment, imageID: image.id, imageRef: request.name };
    events.publish(containerEvent(container, 'commit', attributes));
    return image;
  }

  /** Copies the changes into a snapshot of their own and makes that a layer. */
  async #layer(container: Container, base: Image | undefined, pause: boolean): Promise<Digest> {
    const { snapshotter, comparer, applier, images } = this.#ports;
    const key = `commit-${randomUUID()}`;
    await snapshotter.prepare(key, base?.snapshot);
    try {
      await this.#frozen(container, pause, () => applier.apply(key, comparer.tar(container.id)));
      await removeEngineFiles(await snapshotter.directory(key));
      return (await images.commitLayer(key)).diffId;
    } catch (error) {
      await snapshotter.remove(key);
      throw error;
    }
  }

  async #frozen(container: Container, pause: boolean, task: () => Promise<unknown>): Promise<void> {
    await this.#ports.lock.run(container.id, async () => {
      if (container.state.status === 'removing' || container.state.status === 'dead') {
        throw conflict(`You cannot commit container ${container.id} which is being removed`);
      }
      const freeze = pause && container.state.status === 'running' ? container.task : undefined;
      await freeze?.pause();
      try {
        await task();
      } finally {
        await freeze?.resume();
      }
    });
  }
}

/** The places that the runtime made to mount at, as far as the container put nothing there. */
async function removeEngineFiles(directory: string): Promise<void> {
  for (const path of [...ENGINE_FILES].reverse()) {
    const file = join(directory, path);
    const stats = await lstat(file).catch(() => undefined);
    if (stats?.isDirectory()) await rmdir(file).catch(() => undefined);
    else if (stats?.isFile() && stats.size === 0) await rm(file, { force: true });
  }
}

function runConfigOf(config: ContainerConfig): RunConfig {
  const {
    User,
    ExposedPorts,
    Env,
    Cmd,
    Entrypoint,
    Volumes,
    WorkingDir,
    Labels,
    StopSignal,
    Healthcheck,
    Shell,
    OnBuild,
  } = config;
  return {
    ...(User && { User }),
    ...(ExposedPorts && { ExposedPorts }),
    Env: Env ?? [],
    ...(Cmd && { Cmd }),
    ...(Entrypoint && { Entrypoint }),
    ...(Volumes && { Volumes }),
    ...(WorkingDir && { WorkingDir }),
    ...(Object.keys(Labels).length > 0 && { Labels }),
    ...(StopSignal && { StopSignal }),
    ...(Healthcheck && { Healthcheck }),
    ...(Shell && { Shell }),
    ...(OnBuild && { OnBuild }),
  };
}

function imageConfig(
  base: ImageConfig | undefined,
  config: RunConfig,
  diffId: Digest,
  created: string,
  container: Container,
  request: CommitRequest,
): ImageConfig {
  const { os, architecture } = hostPlatform();
  const entry: HistoryEntry = {
    created,
    created_by: [container.record.path, ...container.record.args].join(' '),
    ...(request.author && { author: request.author }),
    ...(request.comment && { comment: request.comment }),
  };
  return {
    architecture: base?.architecture ?? architecture,
    os: base?.os ?? os,
    ...(base?.variant && { variant: base.variant }),
    created,
    ...(request.author && { author: request.author }),
    config,
    rootfs: { type: 'layers', diff_ids: [...(base?.rootfs.diff_ids ?? []), diffId] },
    history: [...(base?.history ?? []), entry],
  };
}
