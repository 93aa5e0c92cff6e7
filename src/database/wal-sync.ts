import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';
import { SharedRuns } from '#async/shared-runs.ts';

const datasync = promisify(fdatasync);

/**
 * Makes SQLite's commits durable off the main thread, and those that come at the same time with one sync. With
 * `synchronous = normal` SQLite leaves the end of its write-ahead log to the system; a commit is durable once
 * that log is synced after it, which is all that `synchronous = full` would do, one commit after another and
 * while everything else waits.
 */
export class WalSync {
  readonly #log: number;
  readonly #syncs: SharedRuns;

  /** To be made after a first commit: the log exists from then on, and as long as the connection does. */
  constructor(databaseFile: string) {
    const directory = openSync(dirname(databaseFile), 'r');
    fsyncSync(directory);
    closeSync(directory);
    this.#log = openSync(`${databaseFile}-wal`, 'r+');
    this.#syncs = new SharedRuns(() => datasync(this.#log));
  }

  /** Resolves when everything committed before the call is on the disk. */
  synced(): Promise<void> {
    return this.#syncs.run();
  }

  async close(): Promise<void> {
    await this.#syncs.idle();
    closeSync(this.#log);
  }
}
