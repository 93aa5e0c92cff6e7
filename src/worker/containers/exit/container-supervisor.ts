import type { Logger } from 'pino';
import type { KeyedLock } from '#async/keyed-lock.ts';
import { conflict, messageOf, notModified } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { ExitStatus, Task } from '../../runtime/runtime.ts';
import type { LogRotator } from '../attach/log-rotator.ts';
import type { Container } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import type { ContainerStore } from '../container-store.ts';
import type { HealthMonitor } from '../health/health-monitor.ts';
import type { ContainerRemover } from '../remove/container-remover.ts';
import type { Launcher } from '../start/launcher.ts';
import { startFailure } from '../start/start-error.ts';
import { formatTime, timestamp } from '../timestamp.ts';
import { nextBackoff, restartsAfter } from './restart-policy.ts';

export interface SupervisorPorts {
  readonly store: ContainerStore;
  /** Orders the transitions of one container. */
  readonly lock: KeyedLock;
  readonly launcher: Launcher;
  readonly remover: ContainerRemover;
  readonly health: HealthMonitor;
  readonly logs: LogRotator;
  readonly events: EventPublisher;
  readonly log: Logger;
}

/** Starts containers and sees to what follows from their end: state, events, restart policy, removal. */
export class ContainerSupervisor {
  readonly #ports: SupervisorPorts;
  #stopping = false;

  constructor(ports: SupervisorPorts) {
    this.#ports = ports;
  }

  /** At a user's request. Throws `not-modified` when it runs, `conflict`, or why it could not start. */
  async start(container: Container): Promise<void> {
    await this.#ports.lock.run(container.id, async () => {
      if (container.state.status === 'paused') {
        throw conflict('cannot start a paused container, try unpause instead');
      }
      if (container.active) throw notModified('container is already running');
      this.#refuseRemoved(container);
      container.backoff = 0;
      await this.#start(container, { restartCount: 0, stoppedByUser: false });
    });
  }

  /** Follows a task that an earlier process of the worker started. */
  adopt(container: Container, task: Task): void {
    container.task = task;
    container.announceStart(task);
    this.#watch(container, task);
    this.#ports.health.begin(container);
    this.#ports.logs.begin(container);
  }

  /** An end that was not seen when it happened. Under the container's lock. */
  async concludeLost(container: Container, status: ExitStatus): Promise<void> {
    await this.#conclude(container, undefined, status);
  }

  /** No restart policy acts any more: the worker is about to end, its containers are not. */
  stop(): void {
    this.#stopping = true;
    for (const container of this.#ports.store.list()) {
      clearTimeout(container.restartTimer);
      this.#ports.health.end(container);
      this.#ports.logs.end(container);
    }
  }

  /** Schedules a start by policy. */
  restartLater(container: Container, delay: number): void {
    container.restartTimer = setTimeout(() => {
      container.restartTimer = undefined;
      void this.#restart(container);
    }, delay);
  }

  async #restart(container: Container): Promise<void> {
    const { lock, store, log, remover } = this.#ports;
    await lock
      .run(container.id, async () => {
        const wanted = !this.#stopping && store.has(container.id) && container.state.status === 'restarting';
        if (!wanted) return;
        try {
          await this.#start(container, {});
        } catch (error) {
          log.info({ container: container.id, reason: messageOf(error) }, 'restart failed');
          await this.#settle(container, 'exited');
          if (container.record.hostConfig.AutoRemove) await remover.remove(container, { volumes: true });
        }
      })
      .catch((error: unknown) => log.error({ err: error, container: container.id }, 'restart'));
  }

  async #start(
    container: Container,
    change: { restartCount?: number; stoppedByUser?: boolean },
  ): Promise<void> {
    const { launcher, store, events, health, logs } = this.#ports;
    const startedAt = timestamp();
    let task: Task | undefined;
    try {
      task = await launcher.launch(container);
      await task.start();
    } catch (error) {
      throw await this.#failStart(container, task, error);
    }
    container.task = task;
    await store.update(container, {
      ...change,
      startedBefore: true,
      state: {
        ...container.state,
        status: 'running',
        pid: task.pid,
        exitCode: 0,
        error: '',
        oomKilled: false,
        startedAt,
        ...(container.state.health && { health: { status: 'starting', failingStreak: 0, log: [] } }),
      },
    });
    container.announceStart(task);
    events.publish(containerEvent(container, 'start'));
    health.begin(container);
    logs.begin(container);
    this.#watch(container, task);
  }

  async #failStart(container: Container, task: Task | undefined, error: unknown): Promise<Error> {
    const { launcher, store, remover, log } = this.#ports;
    const failure = startFailure(error);
    if (task) {
      await task
        .delete()
        .catch((cause: unknown) => log.warn({ err: cause, container: container.id }, 'delete'));
      await launcher.takeDown(container);
    }
    const { status } = container.state;
    await store.update(container, {
      state: {
        ...container.state,
        status: status === 'restarting' ? 'exited' : status,
        pid: 0,
        error: failure.error.message,
        exitCode: failure.exitCode,
      },
    });
    container.announceEnd();
    if (container.record.hostConfig.AutoRemove) await remover.remove(container, { volumes: true });
    return failure.error;
  }

  #watch(container: Container, task: Task): void {
    const { lock, log } = this.#ports;
    void task
      .wait()
      .then((status) =>
        lock.run(container.id, async () => {
          // Whatever ends while the worker does is concluded by the next one, as a whole.
          if (container.task === task && !this.#stopping) await this.#conclude(container, task, status);
        }),
      )
      .catch((error: unknown) => log.error({ err: error, container: container.id }, 'concluding a run'));
  }

  async #conclude(container: Container, task: Task | undefined, status: ExitStatus): Promise<void> {
    const { launcher, remover, health, logs, events } = this.#ports;
    health.end(container);
    logs.end(container);
    const ranFor = status.at.getTime() - Date.parse(container.state.startedAt);
    const byUser = container.restartingByUser;
    const restart = !byUser && !this.#stopping && restartsAfter(container.record, status.code);
    const remove = !byUser && !restart && container.record.hostConfig.AutoRemove;
    if (status.oomKilled) events.publish(containerEvent(container, 'oom'));
    container.announceEnd();
    const deleted = this.#deleteTask(container, task);
    const released = launcher.release(container);
    await this.#recordExit(container, status, restart);
    const attributes = {
      exitCode: String(status.code),
      execDuration: String(Math.max(0, Math.round(ranFor / 1000))),
    };
    events.publish(containerEvent(container, 'die', attributes));
    await released;
    container.announceExit(status);
    await launcher.unmount(container);
    if (remove) {
      // Nobody can ask for its id again, so nobody has to wait for the runtime to forget it.
      launcher.leaveToFinish(deleted);
      await remover.remove(container, { volumes: true });
      return;
    }
    await deleted;
    if (!restart) return;
    container.backoff = nextBackoff(container.backoff, ranFor);
    this.restartLater(container, container.backoff);
  }

  async #recordExit(container: Container, status: ExitStatus, restart: boolean): Promise<void> {
    container.task = undefined;
    await this.#ports.store.update(container, {
      restartCount: container.record.restartCount + (restart ? 1 : 0),
      state: {
        ...container.state,
        status: restart ? 'restarting' : 'exited',
        pid: 0,
        exitCode: status.code,
        oomKilled: status.oomKilled,
        finishedAt: formatTime(status.at),
      },
    });
  }

  async #deleteTask(container: Container, task: Task | undefined): Promise<void> {
    try {
      await task?.delete();
    } catch (error) {
      this.#ports.log.warn({ err: error, container: container.id }, 'deleting a task');
    }
  }

  async #settle(container: Container, status: 'exited'): Promise<void> {
    await this.#ports.store.update(container, { state: { ...container.state, status, pid: 0 } });
  }

  #refuseRemoved(container: Container): void {
    if (!this.#ports.store.has(container.id)) {
      throw conflict('container is marked for removal and cannot be started');
    }
  }
}
