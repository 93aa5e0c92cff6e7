import { lstatSync, readdirSync, type Stats } from 'node:fs';
import { systemCode } from '#errors/errors.ts';

export interface ListedFile {
  readonly name: string;
  readonly path: string;
  readonly stats: Stats;
}

/** What a directory holds, by name in byte order, so that the same tree is always walked the same way. */
export function* listDirectory(directory: string): Generator<ListedFile> {
  const names = readdirSync(directory);
  // UTF-16 order differs from byte order only beyond the basic plane; it is as stable.
  names.sort();
  for (const name of names) {
    const path = `${directory}/${name}`;
    try {
      yield { name, path, stats: lstatSync(path) };
    } catch (error) {
      // Gone since it was listed.
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
}
