import { closeSync, fdatasync, fsyncSync, openSync } from 'node:fs';
import { dirname } from 'node:path';
import { promisify } from 'node:util';

const datasync = promisify(fdatasync);

/**
 * Makes SQLite's commits durable off the main thread, and those that come at the same time with one sync. With
 * `synchronous = normal` SQLite leaves the end of its write-ahead log to the system; a commit is durable once
 * that log is synced after it, which is all that `synchronous = full` would do, one commit after another and
 * while everything else waits.
 */
export class WalSync {
  readonly #log: number;
  #running: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  /** To be made after a first commit: the log exists from then on, and as long as the connection does. */
  constructor(databaseFile: string) {
    const directory = openSync(dirname(databaseFile), 'r');
    fsyncSync(directory);
    closeSync(directory);
    this.#log = openSync(`${databaseFile}-wal`, 'r+');
  }

  /** Resolves when everything committed before the call is on the disk. */
  synced(): Promise<void> {
    // A sync that runs may have begun before our commit: the one after it is everybody's who asks meanwhile.
    this.#next ??= (this.#running ?? Promise.resolve()).then(() => this.#start());
    return this.#next;
  }

  async close(): Promise<void> {
    await this.#next?.catch(() => {});
    await this.#running?.catch(() => {});
    closeSync(this.#log);
  }

  #start(): Promise<void> {
    const sync = datasync(this.#log);
    this.#next = undefined;
    const done = sync
      .catch(() => {})
      .then(() => {
        if (this.#running === done) this.#running = undefined;
      });
    this.#running = done;
    return sync;
  }
}
