import type { Logger } from 'pino';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { ImageSource } from '../../images/image-source.ts';
import type { Sandboxes } from '../../networks/sandbox.ts';
import type { Runtime } from '../../runtime/runtime.ts';
import type { Mounter } from '../../snapshots/mount.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container, ContainerRecord } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import { ContainerFiles } from '../container-files.ts';
import type { ContainerStore } from '../container-store.ts';
import { userOf } from '../create/container-creator.ts';
import type { MountPlanner } from '../create/mount-points.ts';

export interface RemoverPorts {
  readonly store: ContainerStore;
  readonly runtime: Runtime;
  readonly snapshotter: Snapshotter;
  readonly mounter: Mounter;
  readonly sandboxes: Sandboxes;
  readonly images: ImageSource;
  readonly mounts: MountPlanner;
  readonly events: EventPublisher;
  readonly log: Logger;
  readonly root: string;
}

/** Takes every trace of containers that do not run away. */
export class ContainerRemover {
  readonly #ports: RemoverPorts;

  constructor(ports: RemoverPorts) {
    this.#ports = ports;
  }

  /** Under the container's lock. Its waiters learn of it when nothing of it is left. */
  async remove(container: Container, options: { volumes: boolean }): Promise<void> {
    const { store, events } = this.#ports;
    clearTimeout(container.restartTimer);
    await store.hide(container);
    await this.clear(container.record, options);
    events.publish(containerEvent(container, 'destroy'));
    container.announceRemoval();
  }

  /** What a container has on this machine, whole or half made. Goes on past what fails: the row then stays. */
  async clear(record: ContainerRecord, options: { volumes: boolean; running?: boolean }): Promise<void> {
    const { runtime, snapshotter, mounter, sandboxes, images, mounts, store, log, root } = this.#ports;
    const files = new ContainerFiles(root, record.id);
    let whole = true;
    const step = async (task: () => Promise<unknown>) => {
      try {
        await task();
      } catch (error) {
        whole = false;
        log.warn({ err: error, container: record.id }, 'removing a container');
      }
    };
    if (options.running) {
      await step(() => runtime.destroy(record.id));
      await step(() => sandboxes.detach(record.id));
    }
    await step(() => mounter.unmount(files.rootfs));
    await Promise.all([
      step(() => snapshotter.remove(record.id)),
      step(() => mounts.release(record.id, record.mounts, { removeAnonymous: options.volumes })),
      step(() => files.remove()),
    ]);
    if (record.imageId !== '') {
      const image = record.imageId;
      await step(() => images.release(image, userOf(record.id)));
    }
    if (whole) await store.purge(record.id);
  }
}
