import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { Refusal } from '../refusal.ts';

/**
 * Holds a directory for this process. The lock is SQLite's on an empty database, thus the kernel's on a file: it
 * ends with the process however that ends, and a file left behind locks nothing.
 */
export class InstanceLock implements Disposable {
  readonly #database: DatabaseSync;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Takes the lock, waiting up to `patience` ms for a process that is about to end. Throws `Refusal` when another
   * process keeps it.
   */
  static async acquire(directory: string, options: { patience?: number } = {}): Promise<InstanceLock> {
    mkdirSync(directory, { recursive: true });
    const database = new DatabaseSync(join(directory, 'lock'));
    const deadline = Date.now() + (options.patience ?? 0);
    const pidFile = join(directory, 'pid');
    try {
      database.exec('PRAGMA locking_mode = EXCLUSIVE');
      while (!tryLock(database)) {
        if (Date.now() >= deadline) throw new Refusal(`${holder(pidFile)} already uses ${directory}`);
        await sleep(25);
      }
      writeFileSync(pidFile, `${process.pid}\n`);
      return new InstanceLock(database);
    } catch (error) {
      database.close();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }
}

function tryLock(database: DatabaseSync): boolean {
  try {
    database.exec('BEGIN EXCLUSIVE; COMMIT');
    return true;
  } catch (error) {
    if (error instanceof Error && /locked|busy/.test(error.message)) return false;
    throw error;
  }
}

function holder(pidFile: string): string {
  try {
    return `another Slipway (process ${readFileSync(pidFile, 'utf8').trim()})`;
  } catch {
    return 'another Slipway';
  }
}
