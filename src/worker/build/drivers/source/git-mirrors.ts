import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { KeyedLock } from '#async/keyed-lock.ts';

/** The repositories that were fetched, each a directory below `root`; whoever uses one holds its lock. */
export class GitMirrors {
  readonly #root: string;
  readonly #locks: KeyedLock;
  readonly #keepBytes: number;

  constructor(root: string, { locks, keepBytes }: { locks: KeyedLock; keepBytes: number }) {
    this.#root = root;
    this.#locks = locks;
    this.#keepBytes = keepBytes;
  }

  /** Removes those that were used least recently, until the rest is small enough. */
  async trim(): Promise<void> {
    const names = await readdir(this.#root).catch(() => []);
    const mirrors = await Promise.all(
      names.map(async (name) => {
        const path = join(this.#root, name);
        const used = await stat(path).catch(() => undefined);
        return { path, bytes: await bytesBelow(path), usedAt: used?.mtimeMs ?? 0 };
      }),
    );
    let total = mirrors.reduce((sum, { bytes }) => sum + bytes, 0);
    for (const { path, bytes } of mirrors.sort((a, b) => a.usedAt - b.usedAt)) {
      if (total <= this.#keepBytes) return;
      await this.#locks.run(path, () => rm(path, { recursive: true, force: true }));
      total -= bytes;
    }
  }
}

/** Removes what a git that was killed had begun to write below a directory. Its user holds the lock. */
export async function removeUnfinished(directory: string): Promise<void> {
  const unfinished = (await filesBelow(directory)).filter((path) =>
    /\/(?:tmp_[^/]+|[^/]+\.lock)$/.test(path),
  );
  for (const path of unfinished) await rm(path, { force: true });
}

async function bytesBelow(directory: string): Promise<number> {
  const stats = await Promise.all(
    (await filesBelow(directory)).map((path) => stat(path).catch(() => undefined)),
  );
  return stats.reduce((sum, found) => sum + (found?.size ?? 0), 0);
}

async function filesBelow(directory: string): Promise<string[]> {
  const entries = await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name));
}
