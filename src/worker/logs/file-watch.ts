import { type FSWatcher, watch } from 'node:fs';
import { dirname } from 'node:path';

/** Wakes a reader that has come to the end of a growing file. */
export class FileWatch implements Disposable {
  readonly #path: string;
  #watcher: FSWatcher | undefined;
  #woken = false;
  #wake: (() => void) | undefined;

  constructor(path: string) {
    this.#path = path;
  }

  /** Begins to watch; from here on no change is missed. While the file does not exist its directory is watched. */
  start(exists: boolean): void {
    this.#watcher?.close();
    this.#watcher = watch(exists ? this.#path : dirname(this.#path), { persistent: false }, () =>
      this.wake(),
    );
    this.#watcher.on('error', () => this.wake());
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
  }
}
