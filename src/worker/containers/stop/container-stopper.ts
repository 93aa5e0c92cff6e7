import { conflict, isKind, notModified, SlipwayError, unavailable } from '#errors/errors.ts';
import type { EventPublisher } from '../../events/event-publisher.ts';
import type { Container } from '../container.ts';
import { containerEvent } from '../container-events.ts';
import type { ContainerStore } from '../container-store.ts';
import type { ContainerSupervisor } from '../exit/container-supervisor.ts';
import { parseSignal } from '../signals.ts';
import { within } from './within.ts';

const SIGKILL = 9;
const SIGTERM = 15;
const DEFAULT_TIMEOUT = 10;
/** How long a process may take to go away after SIGKILL before the caller is told that it did not. */
const KILL_PATIENCE = 20;

export interface StopOptions {
  /** Name or number, in place of the container's own stop signal. */
  readonly signal?: string;
  /** Seconds before SIGKILL; negative: never. */
  readonly timeout?: number;
}

export interface StopperPorts {
  readonly store: ContainerStore;
  readonly supervisor: ContainerSupervisor;
  readonly events: EventPublisher;
  /** Waits for whatever transition of the container is under way. */
  readonly settled: (container: Container) => Promise<void>;
}

/** Ends what runs in containers. */
export class ContainerStopper {
  readonly #ports: StopperPorts;

  constructor(ports: StopperPorts) {
    this.#ports = ports;
  }

  /** Throws `not-modified` when it does not run. Resolves when its end is recorded. */
  async stop(container: Container, options: StopOptions = {}): Promise<void> {
    if (options.signal !== undefined && options.signal !== '') parseSignal(options.signal);
    await this.#ports.settled(container);
    if (!container.active) throw notModified('container is already stopped');
    await this.#stop(container, options);
  }

  /** A signal; SIGKILL also waits for the end. Throws `conflict` when it does not run, `invalid` for the signal. */
  async kill(container: Container, signal: string | undefined): Promise<void> {
    const number = signal ? parseSignal(signal) : SIGKILL;
    await this.#ports.settled(container);
    if (!container.active) throw notRunning(container);
    const exited = container.exited;
    await this.#signal(container, number);
    if (number === SIGKILL && container.running && !(await within(exited, KILL_PATIENCE))) {
      throw unavailable('tried to kill container, but did not receive an exit event');
    }
  }

  async restart(container: Container, options: StopOptions = {}): Promise<void> {
    if (options.signal) parseSignal(options.signal);
    await this.#ports.settled(container);
    try {
      if (container.active) {
        container.restartingByUser = true;
        try {
          await this.#stop(container, options);
        } finally {
          container.restartingByUser = false;
        }
      }
      await this.#ports.supervisor.start(container);
    } catch (error) {
      if (!(error instanceof SlipwayError) || error.kind === 'not-modified') throw error;
      throw new SlipwayError(error.kind, `Cannot restart container ${container.name}: ${error.message}`, {
        cause: error,
      });
    }
    this.#ports.events.publish(containerEvent(container, 'restart'));
  }

  /** Whatever state it is in, it does not run when this resolves. For `docker rm -f`. */
  async end(container: Container): Promise<void> {
    await this.#ports.settled(container);
    if (container.active) {
      const { exited } = container;
      await this.kill(container, undefined).catch(ignoreEnded);
      // One that ended by itself just now cannot be killed, and its end is not written down yet.
      if (container.running && !(await within(exited, KILL_PATIENCE))) {
        throw unavailable('tried to kill container, but did not receive an exit event');
      }
    }
    await this.#ports.settled(container);
  }

  async #stop(container: Container, options: StopOptions): Promise<void> {
    const { config } = container.record;
    const timeout = options.timeout ?? config.StopTimeout ?? DEFAULT_TIMEOUT;
    const signal = options.signal || config.StopSignal;
    const exited = container.exited;
    await this.#signal(container, signal ? parseSignal(signal) : SIGTERM).catch(ignoreEnded);
    if (container.running && !(await within(exited, timeout))) {
      await this.#signal(container, SIGKILL).catch(ignoreEnded);
      if (!(await within(exited, KILL_PATIENCE))) {
        throw unavailable(
          `cannot stop container: ${container.id}: tried to kill container, but did not receive an exit event`,
        );
      }
    }
    // The exit was announced; what follows from it, such as its removal, has to be done as well.
    await this.#ports.settled(container);
    this.#ports.events.publish(containerEvent(container, 'stop'));
  }

  async #signal(container: Container, signal: number): Promise<void> {
    const { store, events } = this.#ports;
    const { StopSignal } = container.record.config;
    const ends = signal === SIGKILL || !StopSignal || parseSignal(StopSignal) === signal;
    if (ends && !container.restartingByUser) await store.update(container, { stoppedByUser: true });
    if (container.state.status === 'restarting') return this.#cancelRestart(container);
    const { task } = container;
    if (!task) throw notRunning(container);
    const frozen = container.state.status === 'paused';
    await task.kill(signal);
    if (frozen && ends) await this.#thaw(container);
    events.publish(containerEvent(container, 'kill', { signal: String(signal) }));
  }

  /** A frozen process takes its signal when it runs again. */
  async #thaw(container: Container): Promise<void> {
    await container.task?.resume();
    await this.#ports.store.update(container, { state: { ...container.state, status: 'running' } });
  }

  async #cancelRestart(container: Container): Promise<void> {
    clearTimeout(container.restartTimer);
    container.restartTimer = undefined;
    await this.#ports.store.update(container, { state: { ...container.state, status: 'exited' } });
    container.announceExit({ code: container.state.exitCode, at: new Date(), oomKilled: false });
  }
}

function notRunning(container: Container): Error {
  return conflict(`container ${container.id} is not running`);
}

function ignoreEnded(error: unknown): void {
  if (!isKind(error, 'conflict')) throw error;
}
