import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Makes directories so that they, and the names in them, survive a power cut. */
export class DurableDirectories {
  readonly #known = new Set<string>();

  /** Makes `path` and what is missing above it; each new name is synced in its parent. */
  async ensure(path: string): Promise<void> {
    if (this.#known.has(path)) return;
    const first = await mkdir(path, { recursive: true });
    for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
      await this.sync(dirname(made));
    }
    this.#known.add(path);
  }

  /** Makes the names in `path` durable: what was created there, renamed into it or removed from it. */
  async sync(path: string): Promise<void> {
    const directory = await open(path, 'r');
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  }
}
