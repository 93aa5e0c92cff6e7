import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Container } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import type { ContainerStore } from '../container-store.ts';

/** Freezes containers and lets them go on. */
export class ContainerPauser {
  readonly #ports: { store: ContainerStore; lock: KeyedLock; events: EventPublisher };

  constructor(ports: { store: ContainerStore; lock: KeyedLock; events: EventPublisher }) {
    this.#ports = ports;
  }

  /** Throws `conflict` unless it runs. */
  async pause(container: Container): Promise<void> {
    const { store, lock, events } = this.#ports;
    await lock.run(container.id, async () => {
      if (container.state.status === 'paused') throw conflict(`container ${container.id} is already paused`);
      if (container.state.status === 'restarting') {
        throw conflict(`Container ${container.id} is restarting, wait until the container is running`);
      }
      if (!container.task) throw conflict(`container ${container.id} is not running`);
      await container.task.pause();
      await store.update(container, { state: { ...container.state, status: 'paused' } });
      events.publish(containerEvent(container, 'pause'));
    });
  }

  /** Throws `conflict` unless it is paused. */
  async unpause(container: Container): Promise<void> {
    const { store, lock, events } = this.#ports;
    await lock.run(container.id, async () => {
      if (container.state.status !== 'paused' || !container.task) {
        throw conflict(`Container ${container.id} is not paused`);
      }
      await container.task.resume();
      await store.update(container, { state: { ...container.state, status: 'running' } });
      events.publish(containerEvent(container, 'unpause'));
    });
  }
}
