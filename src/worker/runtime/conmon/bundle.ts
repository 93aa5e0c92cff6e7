import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { conflict, systemCode } from '#errors/errors.ts';

/** What a bundle remembers of its task for a worker that did not create it. */
export interface TaskRecord {
  readonly id: string;
  readonly terminal: boolean;
  readonly openStdin: boolean;
  readonly stdinOnce: boolean;
  readonly logPath: string;
  readonly cgroupPath: string;
}

/**
 * The directory that holds one monitored process:
 * ```
 * config.json   the OCI configuration (of an exec: process.json)
 * task.json     TaskRecord, written before anything runs
 * pid           of the process, by the runtime once it is set up
 * conmon.pid    of its monitor
 * oci.log       the runtime's errors, JSON lines
 * conmon.log    the monitor's complaints before it is on its own
 * attach, ctl   the monitor's stdin socket and its control fifo
 * oom           exists after the kernel killed for memory
 * exec/<id>/    the same for each exec
 * ```
 */
export class Bundle {
  readonly path: string;

  constructor(path: string) {
    this.path = path;
  }

  file(name: string): string {
    return join(this.path, name);
  }

  exec(id: string): Bundle {
    return new Bundle(join(this.path, 'exec', id));
  }

  /** Throws `conflict` when it exists. */
  async create(files: Record<string, string>): Promise<void> {
    try {
      await mkdir(this.path, { mode: 0o700 });
    } catch (error) {
      if (systemCode(error) === 'EEXIST') throw conflict(`the runtime has a task at ${this.path} already`);
      throw error;
    }
    await Promise.all(
      Object.entries(files).map(([name, text]) => writeFile(this.file(name), text, { mode: 0o600 })),
    );
  }

  /** A file's text, undefined when it does not exist. */
  async read(name: string): Promise<string | undefined> {
    try {
      return await readFile(this.file(name), 'utf8');
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  /** A file that holds one process id. */
  async readPid(name: string): Promise<number | undefined> {
    const pid = Number.parseInt((await this.read(name)) ?? '', 10);
    return pid > 0 ? pid : undefined;
  }

  async remove(): Promise<void> {
    await rm(this.path, { recursive: true, force: true });
  }
}
