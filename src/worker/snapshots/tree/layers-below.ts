import { lstatSync, type Stats } from 'node:fs';
import { systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { getXattr } from '../libc.ts';
import { listNames } from './directory-listing.ts';
import { OPAQUE_XATTR } from './overlay-marks.ts';
import { isWhiteout } from './rooted-directories.ts';

/** What a name is in the layers below a directory, all together. */
export interface Below {
  /** undefined when it is not there. */
  readonly stats: Stats | undefined;
  /** Where that is. */
  readonly path: string | undefined;
  /** The directories of that name that are merged, top first. */
  readonly directories: string[];
}

/** `lowers`: one directory in all layers that show it, top first. */
export function lookBelow(lowers: readonly string[], name: string): Below {
  let found: { stats: Stats; path: string } | undefined;
  const directories: string[] = [];
  for (const lower of lowers) {
    const path = `${lower}/${name}`;
    const stats = statOf(path);
    if (!stats) continue;
    if (isWhiteout(stats)) break;
    if (found && !stats.isDirectory()) break;
    found ??= { stats, path };
    if (!stats.isDirectory()) break;
    directories.push(path);
    if (isOpaque(path)) break;
  }
  return { stats: found?.stats, path: found?.path, directories };
}

/** Names in a directory of the layers below, deleted ones among them. */
export function namesBelow(lowers: readonly string[]): Set<string> {
  const names = new Set<string>();
  for (const lower of lowers) for (const name of listNames(lower)) names.add(name);
  return names;
}

export function isOpaque(directory: string): boolean {
  return getXattr(directory, OPAQUE_XATTR)?.toString() === 'y';
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENOTDIR') return undefined;
    throw error;
  }
}
