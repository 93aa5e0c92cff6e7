import { type FSWatcher, watch } from 'node:fs';
import { readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#errors/errors.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';

export interface ExitRecord {
  readonly code: number;
  readonly at: Date;
}

interface Waiter {
  readonly monitor: ProcessIdentity | undefined;
  readonly promise: Promise<ExitRecord | undefined>;
  readonly resolve: (record: ExitRecord | undefined) => void;
}

const POLL_INTERVAL = 1_000;

/**
 * The files in which monitors leave exit codes, one named after each container. One inotify watch serves all
 * containers; a slow poll of the monitors covers the one case without a file, a monitor that was killed.
 */
export class ExitRecords implements Disposable {
  readonly directory: string;
  readonly #waiting = new Map<string, Waiter>();
  #watcher: FSWatcher | undefined;
  #poll: NodeJS.Timeout | undefined;

  constructor(directory: string) {
    this.directory = directory;
  }

  /** Resolves when `id` has ended: with undefined when its monitor is gone and left no record. */
  wait(id: string, monitor: ProcessIdentity | undefined): Promise<ExitRecord | undefined> {
    const already = this.#waiting.get(id);
    if (already) return already.promise;
    const { promise, resolve } = Promise.withResolvers<ExitRecord | undefined>();
    this.#waiting.set(id, { monitor, promise, resolve });
    this.#watcher ??= this.#watch();
    this.#poll ??= setInterval(() => this.#checkMonitors(), POLL_INTERVAL);
    // It may have ended before anybody watched.
    this.#settle(id);
    if (!monitor || !isAlive(monitor)) this.#giveUp(id);
    return promise;
  }

  async read(id: string): Promise<ExitRecord | undefined> {
    const path = join(this.directory, id);
    try {
      // conmon renames a finished file into place, so it is never seen half-written.
      const [text, stats] = await Promise.all([readFile(path, 'utf8'), stat(path)]);
      return { code: Number.parseInt(text, 10) & 0xff, at: stats.mtime };
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  async remove(id: string): Promise<void> {
    await rm(join(this.directory, id), { force: true });
  }

  /** Stops watching; whoever waits goes on waiting for ever. */
  [Symbol.dispose](): void {
    this.#watcher?.close();
    clearInterval(this.#poll);
    this.#waiting.clear();
  }

  #watch(): FSWatcher | undefined {
    try {
      const watcher = watch(this.directory, { persistent: false }, (_, name) => this.#settle(name));
      return watcher.on('error', () => undefined);
    } catch {
      // The machine is out of inotify watches: the poll finds the ends too, only later.
      return undefined;
    }
  }

  #settle(id: string | null): void {
    if (id === null || !this.#waiting.has(id)) return;
    this.read(id).then(
      (record) => record && this.#finish(id, record),
      () => undefined,
    );
  }

  #checkMonitors(): void {
    for (const [id, { monitor }] of this.#waiting) if (!monitor || !isAlive(monitor)) this.#giveUp(id);
  }

  /** The monitor is gone, and nothing follows any more: what is not recorded now never will be. */
  #giveUp(id: string): void {
    this.read(id).then(
      (record) => this.#finish(id, record),
      () => this.#finish(id, undefined),
    );
  }

  #finish(id: string, record: ExitRecord | undefined): void {
    this.#waiting.get(id)?.resolve(record);
    this.#waiting.delete(id);
    if (this.#waiting.size > 0) return;
    clearInterval(this.#poll);
    this.#poll = undefined;
  }
}
