import type { Writable } from 'node:stream';
import type { OciSpec } from './spec/oci-spec.ts';

/**
 * Runs containers as tasks: what runs inside one bundle. A task outlives the worker process: its monitor keeps
 * stdio, writes the log and records the exit, and `load` finds it again.
 *
 * Concurrency: calls for different ids run at once; for one id the caller orders create, start and delete.
 */
export interface Runtime {
  /**
   * Sets a container up to just before its first instruction. Throws `invalid` with the runtime's own words
   * (the CLI reads them: "executable file not found in $PATH" and the like), leaving nothing behind.
   */
  create(request: TaskRequest, options?: { signal?: AbortSignal }): Promise<Task>;

  /** A task that an earlier process created, running or exited; undefined when there is none. */
  load(id: string): Promise<Task | undefined>;

  /** Ids that have any trace on this machine, for reconciling at start. */
  list(): Promise<string[]>;

  /** Removes every trace of a task, killing what still runs. For reconciling; not finding it is no error. */
  destroy(id: string): Promise<void>;
}

export interface TaskRequest {
  readonly id: string;
  /** The `config.json` of the bundle; its root path is mounted already. */
  readonly spec: OciSpec;
  readonly terminal: boolean;
  /** Keep a stdin for the process (`docker run -i`). */
  readonly openStdin: boolean;
  /** Close stdin when its first writer leaves (`StdinOnce`). */
  readonly stdinOnce: boolean;
  /** Output goes here, in the format that `worker/logs` reads. */
  readonly logPath: string;
}

export interface ExitStatus {
  /** 0–255; killed by signal n: 128 + n. */
  readonly code: number;
  readonly at: Date;
  readonly oomKilled: boolean;
}

export interface Task {
  readonly id: string;
  /** Of the first process, in the host's PID namespace. */
  readonly pid: number;

  /** Throws `invalid` with the runtime's own words. */
  start(): Promise<void>;

  /** Resolves when the first process has ended and its output is in the log, however often it is called. */
  wait(): Promise<ExitStatus>;

  /** Signal by number. Throws `conflict` when it is not running. */
  kill(signal: number): Promise<void>;

  pause(): Promise<void>;
  resume(): Promise<void>;
  update(resources: NonNullable<OciSpec['linux']>['resources']): Promise<void>;

  /** Host PIDs of everything in the container. */
  pids(): Promise<number[]>;

  resize(size: { width: number; height: number }): Promise<void>;

  /**
   * Goes on with the log in a new file at its path, in place of the one that is there; nothing is lost or written
   * twice. It may take a moment. Throws `conflict` when it is not running.
   */
  reopenLog(): Promise<void>;

  /** A new writer to stdin; ending it closes stdin only when `stdinOnce`. Throws `conflict` without an open stdin. */
  stdin(): Promise<Writable>;

  /** Runs one more process inside. */
  exec(request: ExecRequest): Promise<ExecTask>;

  /** Frees everything the runtime holds for it. It has ended. */
  delete(): Promise<void>;
}

export interface ExecRequest {
  readonly id: string;
  readonly process: OciSpec['process'];
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly logPath: string;
}

/** A process in a running container, beside its first. Throws on creation as `Task.start` does. */
export interface ExecTask {
  readonly id: string;
  readonly pid: number;
  wait(): Promise<ExitStatus>;
  resize(size: { width: number; height: number }): Promise<void>;
  stdin(): Promise<Writable>;
  /** Frees what is kept for it; it has ended. */
  delete(): Promise<void>;
}
