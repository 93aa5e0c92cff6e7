import { conflict } from '#errors/errors.ts';
import type { Digest } from '#oci/digest.ts';
import type { Sandbox } from '../networks/sandbox.ts';
import type { ExitStatus, Task } from '../runtime/runtime.ts';
import type { ContainerConfig, EndpointConfig } from './container-config.ts';
import type { HostConfig, MountSpec } from './host-config.ts';

export type ContainerStatus =
  | 'created'
  | 'running'
  | 'paused'
  | 'restarting'
  | 'removing'
  | 'exited'
  | 'dead';

/** Times are RFC 3339 with nanoseconds, as the Engine API shows them. */
export interface ContainerState {
  readonly status: ContainerStatus;
  readonly pid: number;
  readonly exitCode: number;
  readonly error: string;
  readonly oomKilled: boolean;
  readonly startedAt: string;
  readonly finishedAt: string;
  readonly health?: Health;
}

export interface Health {
  readonly status: 'starting' | 'healthy' | 'unhealthy' | 'none';
  readonly failingStreak: number;
  readonly log: readonly HealthResult[];
}

export interface HealthResult {
  readonly start: string;
  readonly end: string;
  readonly exitCode: number;
  readonly output: string;
}

/** Where something of the host appears in a container. */
export interface MountPoint {
  readonly type: 'bind' | 'volume' | 'tmpfs';
  /** A volume's name. */
  readonly name?: string;
  /** Host path; a volume's root directory; empty for tmpfs. */
  readonly source: string;
  readonly destination: string;
  readonly driver?: string;
  readonly mode: string;
  readonly writable: boolean;
  readonly propagation: string;
  /** Fill an empty volume from the image's directory. */
  readonly copyData: boolean;
  /** Make a missing bind source (`-v`), or refuse it (`--mount`). */
  readonly createSource: boolean;
  readonly anonymous?: boolean;
  readonly spec?: MountSpec;
}

/** What is kept of a container, across restarts of the worker. */
export interface ContainerRecord {
  readonly id: string;
  /** Without Docker's leading slash. */
  readonly name: string;
  readonly createdAt: string;
  readonly imageId: Digest | '';
  readonly platform: string;
  readonly path: string;
  readonly args: readonly string[];
  readonly config: ContainerConfig;
  readonly hostConfig: HostConfig;
  /** By network name, as its user asked; the container joins them at every start. */
  readonly networks: Readonly<Record<string, EndpointConfig>>;
  readonly mounts: readonly MountPoint[];
  readonly state: ContainerState;
  readonly restartCount: number;
  /** A user stopped it: no restart policy starts it again by itself. */
  readonly stoppedByUser: boolean;
  readonly startedBefore: boolean;
}

export const NEVER = '0001-01-01T00:00:00Z';

/**
 * A container in the worker's memory: its record and what is alive of it. Its record changes only through
 * `ContainerStore.update`; its lifecycle only under the lock of its id.
 */
export class Container {
  readonly id: string;
  record: ContainerRecord;
  task: Task | undefined;
  sandbox: Sandbox | undefined;
  /** The next start of a restart policy that waits out its back-off. */
  restartTimer: NodeJS.Timeout | undefined;
  /** How long the restart policy waited last. */
  backoff = 0;
  /** `docker restart` stops and starts: neither AutoRemove nor the restart policy act on that exit. */
  restartingByUser = false;
  readonly execs = new Set<string>();

  #started = Promise.withResolvers<Task>();
  #exited = Promise.withResolvers<ExitStatus>();
  #ended = Promise.withResolvers<void>();
  readonly #removed = Promise.withResolvers<void>();

  constructor(record: ContainerRecord) {
    this.id = record.id;
    this.record = record;
  }

  get name(): string {
    return this.record.name;
  }

  get state(): ContainerState {
    return this.record.state;
  }

  /** Has a process, frozen or not. */
  get running(): boolean {
    return this.task !== undefined && (this.state.status === 'running' || this.state.status === 'paused');
  }

  /** The task of a running container. It may have ended since anybody looked: throws `conflict`. */
  get runningTask(): Task {
    if (!this.running) throw conflict(`container ${this.id} is not running`);
    return this.task!;
  }

  /** Docker's `Running`: also true while a restart policy waits. */
  get active(): boolean {
    return this.running || this.state.status === 'restarting';
  }

  /** The task that runs, or the one of the next start. */
  get started(): Promise<Task> {
    return this.running ? Promise.resolve(this.runningTask) : this.#started.promise;
  }

  /** The next exit. */
  get exited(): Promise<ExitStatus> {
    return this.#exited.promise;
  }

  /** The end of the run that is under way or begins next, also of one that failed to start. Output is in the log. */
  get ended(): Promise<void> {
    return this.#ended.promise;
  }

  get removed(): Promise<void> {
    return this.#removed.promise;
  }

  announceStart(task: Task): void {
    this.#started.resolve(task);
  }

  announceEnd(): void {
    this.#ended.resolve();
    this.#ended = Promise.withResolvers();
    this.#started = Promise.withResolvers();
  }

  announceExit(status: ExitStatus): void {
    this.#exited.resolve(status);
    this.#exited = Promise.withResolvers();
  }

  announceRemoval(): void {
    this.#ended.resolve();
    this.#removed.resolve();
    this.#exited.resolve({ code: this.state.exitCode, at: new Date(), oomKilled: false });
  }
}
