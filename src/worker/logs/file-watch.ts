import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

/** How often to look where the machine has no inotify watch left. */
const POLL_INTERVAL = 100;

/** Wakes a reader that has come to the end of a growing file. */
export class FileWatch implements Disposable {
  readonly #path: string;
  #watcher: FSWatcher | undefined;
  #poll: NodeJS.Timeout | undefined;
  #woken = false;
  #wake: (() => void) | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Begins to watch; from here on no change is missed. While the file does not exist its directory is watched. */
  start(exists: boolean): void {
    this[Symbol.dispose]();
    try {
      const watched = exists ? this.#path : dirname(this.#path);
      this.#watcher = watch(watched, { persistent: false }, () => this.wake());
      this.#watcher.on('error', () => this.wake());
    } catch {
      this.#poll = setInterval(() => this.wake(), POLL_INTERVAL);
    }
  }

  wake(): void {
    this.#woken = true;
    this.#wake?.();
  }

  /** Resolves at the first change since the last call. */
  async changed(): Promise<void> {
    if (!this.#woken) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
    }
    this.#woken = false;
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    clearInterval(this.#poll);
  }
}
