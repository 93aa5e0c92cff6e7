import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, isKind, SlipwayError } from '#errors/errors.ts';
import type { Snapshotter } from '../../snapshots/snapshotter.ts';
import type { Container } from '../container.ts';
import type { ContainerStore } from '../container-store.ts';
import type { ContainerStopper } from '../stop/container-stopper.ts';
import type { ContainerRemover } from './container-remover.ts';
import type { PruneFilter } from './prune-filter.ts';

export interface RemovalPorts {
  readonly store: ContainerStore;
  readonly lock: KeyedLock;
  readonly stopper: ContainerStopper;
  readonly remover: ContainerRemover;
  readonly snapshotter: Snapshotter;
}

/** `docker rm` and `docker container prune`. */
export class ContainerRemoval {
  readonly #ports: RemovalPorts;
  readonly #underWay = new Set<string>();

  constructor(ports: RemovalPorts) {
    this.#ports = ports;
  }

  /** Throws `not-found`, `conflict` (it runs and `force` is not given, or somebody else removes it). */
  async remove(reference: string, options: { force: boolean; volumes: boolean }): Promise<void> {
    const container = this.#ports.store.get(reference);
    if (this.#underWay.has(container.id)) {
      throw conflict(`removal of container ${reference} is already in progress`);
    }
    this.#underWay.add(container.id);
    try {
      await this.#remove(container, options);
    } catch (error) {
      if (!(error instanceof SlipwayError)) throw error;
      throw new SlipwayError(
        error.kind,
        `cannot remove container ${JSON.stringify(reference)}: ${error.message}`,
        { cause: error },
      );
    } finally {
      this.#underWay.delete(container.id);
    }
  }

  /** Every container, also those that come meanwhile, with their volumes. Throws as `remove` does, but for `not-found`. */
  async removeAll(): Promise<void> {
    const { store } = this.#ports;
    for (let left = store.list(); left.length > 0; left = store.list()) {
      for (const { id } of left) {
        await this.remove(id, { force: true, volumes: true }).catch((error: unknown) => {
          // It has removed itself at its end, or somebody else has.
          if (!isKind(error, 'not-found') || store.has(id)) throw error;
        });
      }
    }
  }

  /** Removes what does not run and matches. */
  async prune(filter: PruneFilter): Promise<{ ids: string[]; bytes: number }> {
    const { store, lock, remover, snapshotter } = this.#ports;
    const removed = { ids: [] as string[], bytes: 0 };
    for (const container of store.list()) {
      if (container.active || this.#underWay.has(container.id) || !filter(container.record)) continue;
      const usage = await snapshotter.usage(container.id).catch(() => ({ bytes: 0 }));
      await lock.run(container.id, async () => {
        if (container.active || !store.has(container.id)) return;
        await remover.remove(container, { volumes: true });
        removed.ids.push(container.id);
        removed.bytes += usage.bytes;
      });
    }
    return removed;
  }

  async #remove(container: Container, options: { force: boolean; volumes: boolean }): Promise<void> {
    const { lock, stopper, remover, store } = this.#ports;
    if (container.active) {
      if (!options.force) throw refusal(container);
      await stopper.end(container);
    }
    await lock.run(container.id, async () => {
      // It may have removed itself at its end, or have been started again.
      if (!store.has(container.id)) return;
      if (container.active) throw refusal(container);
      await remover.remove(container, { volumes: options.volumes });
    });
  }
}

function refusal({ state }: Container): Error {
  if (state.status === 'paused') return conflict('container is paused and must be unpaused first');
  return conflict(`container is ${state.status}: stop the container before removing or force remove`);
}
