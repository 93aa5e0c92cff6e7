import { lstat, opendir } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#errors/errors.ts';

/**
 * Bytes of the files below a directory, one with several names counted once. What disappears meanwhile counts
 * nothing; other file systems mounted below are left out.
 */
export async function directorySize(root: string, options: { signal?: AbortSignal } = {}): Promise<number> {
  const linked = new Set<string>();
  const { dev } = await lstat(root);
  let size = 0;
  const waiting = [root];
  for (let directory = waiting.pop(); directory !== undefined; directory = waiting.pop()) {
    options.signal?.throwIfAborted();
    for await (const entry of entriesOf(directory)) {
      const path = join(directory, entry);
      const stat = await lstat(path).catch(ignoreGone);
      if (!stat || stat.dev !== dev) continue;
      if (stat.isDirectory()) waiting.push(path);
      else if (stat.nlink === 1) size += stat.size;
      else if (!linked.has(String(stat.ino))) {
        linked.add(String(stat.ino));
        size += stat.size;
      }
    }
  }
  return size;
}

async function* entriesOf(directory: string): AsyncGenerator<string> {
  const handle = await opendir(directory).catch(ignoreGone);
  if (!handle) return;
  for await (const entry of handle) yield entry.name;
}

function ignoreGone(error: unknown): undefined {
  if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return undefined;
  throw error;
}
