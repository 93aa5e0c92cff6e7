import { createHash } from 'node:crypto';
import { constants } from 'node:fs';
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Subject } from '../attest/attestation.ts';

/** Every regular file below a directory, by its path in it, as what a statement is about. Links are not followed. */
export async function fileSubjects(root: string, options: { signal: AbortSignal }): Promise<Subject[]> {
  const subjects: Subject[] = [];
  const pending = [''];
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    const entries = await readdir(join(root, directory), { withFileTypes: true });
    for (const entry of entries) {
      options.signal.throwIfAborted();
      const path = directory === '' ? entry.name : `${directory}/${entry.name}`;
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile())
        subjects.push({ name: path, digest: { sha256: await sha256(join(root, path)) } });
    }
  }
  return subjects.sort((a, b) => (a.name < b.name ? -1 : 1));
}

async function sha256(path: string): Promise<string> {
  await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  const hash = createHash('sha256');
  for await (const chunk of file.createReadStream({ autoClose: false })) hash.update(chunk);
  return hash.digest('hex');
}
