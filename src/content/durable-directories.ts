import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { SharedRuns } from '#async/shared-runs.ts';
import { systemCode } from '#errors/errors.ts';

/** How many directories are remembered: more than content is written to at a time. */
const REMEMBERED = 1000;

/** Makes directories, those at and below `root`, so that they and the names in them survive a power cut. */
export class DurableDirectories {
  readonly #root: string;
  readonly #made = new Map<string, Promise<void>>();
  readonly #syncs = new Map<string, SharedRuns>();

  constructor(root: string) {
    this.#root = root;
  }

  /** Makes `path`, what is missing above it, and their names durable. */
  ensure(path: string): Promise<void> {
    return remembered(this.#made, path, () => {
      const making = this.#make(path);
      making.catch(() => this.#made.delete(path));
      return making;
    });
  }

  /**
   * Makes the names in `path` durable: what was created there, renamed into it or removed from it before the call.
   * Those who ask at the same time share a sync.
   */
  sync(path: string): Promise<void> {
    return remembered(this.#syncs, path, () => new SharedRuns(() => syncDirectory(path))).run();
  }

  async #make(path: string): Promise<void> {
    if (path.length > this.#root.length) {
      await this.ensure(dirname(path));
      // Another process may have made it, and not synced it yet.
      await mkdir(path).catch(ignoreExisting);
      await this.sync(dirname(path));
      return;
    }
    const first = await mkdir(path, { recursive: true });
    for (let made = path; first !== undefined && made.length >= first.length; made = dirname(made)) {
      await this.sync(dirname(made));
    }
  }
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r');
  try {
    await directory.sync();
  } finally {
    await directory.close();
  }
}

function ignoreExisting(error: unknown): void {
  if (systemCode(error) !== 'EEXIST') throw error;
}

/** What is kept for a path, made when there is nothing; what was made first is forgotten first. */
function remembered<T>(kept: Map<string, T>, path: string, make: () => T): T {
  let found = kept.get(path);
  if (found) return found;
  found = make();
  kept.set(path, found);
  const oldest = kept.size > REMEMBERED ? kept.keys().next().value : undefined;
  if (oldest !== undefined) kept.delete(oldest);
  return found;
}
