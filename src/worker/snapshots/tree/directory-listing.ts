import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { systemCode } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';

export interface ListedFile {
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
}

/** What a directory holds, by name in byte order, so that the same tree is always walked the same way. */
export function* listDirectory(directory: string): Generator<ListedFile> {
  const names = listNames(directory);
  // UTF-16 order differs from byte order only beyond the basic plane; it is as stable.
  names.sort();
  for (const name of names) {
    const path = `${directory}/${name}`;
    try {
      yield { name, path, stats: lstatSync(systemPath(path)) };
    } catch (error) {
      // Gone since it was listed.
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
}

export function listNames(directory: string): string[] {
  const path = systemPath(directory);
  const names = readdirSync(path);
  // Only then one of them may not be UTF-8.
  if (!names.some((name) => name.includes('\ufffd'))) return names;
  return readdirSync(path, 'buffer').map(decodeText);
}
