import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container } from '../container.ts';
import type { ContainerStore } from '../container-store.ts';

export interface ContainerSize {
  /** Bytes of what it changed. */
  readonly own: number;
  /** With its image's layers. */
  readonly total: number;
}

/** What containers take on disk: `docker ps -s`, `docker system df`. */
export class ContainerSizes {
  readonly #snapshotter: Snapshotter;
  readonly #store: ContainerStore;

  constructor(ports: { snapshotter: Snapshotter; store: ContainerStore }) {
    this.#snapshotter = ports.snapshotter;
    this.#store = ports.store;
  }

  async of(container: Container): Promise<ContainerSize> {
    const info = await this.#snapshotter.stat(container.id);
    if (!info) return { own: 0, total: 0 };
    const { bytes: own } = await this.#snapshotter.usage(container.id);
    let total = own;
    for (let parent = info.parent; parent !== undefined; ) {
      total += (await this.#snapshotter.usage(parent)).bytes;
      parent = (await this.#snapshotter.stat(parent))?.parent;
    }
    return { own, total };
  }

  async all(): Promise<{ container: Container; size: ContainerSize }[]> {
    const sizes: { container: Container; size: ContainerSize }[] = [];
    for (const container of this.#store.list()) {
      sizes.push({ container, size: await this.of(container).catch(() => ({ own: 0, total: 0 })) });
    }
    return sizes;
  }
}
