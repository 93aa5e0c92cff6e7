import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import { walkRooted, withinRoot } from '#tar/rooted-path.ts';

/**
 * The host path that a path has for a process that is chrooted into `root`: links are followed inside, `..` stops at
 * the root, and what does not exist is taken as written. Without `followLast` a link at the end is itself meant.
 *
 * Only safe while nobody else writes below the root. Throws `invalid` for links without end, and for a NUL.
 */
export function rootPath(root: string, path: string, options: { followLast?: boolean } = {}): string {
  refuseNul(path);
  const found = walkRooted(path, (candidate, isLast) => {
    if (isLast && options.followLast === false) return 'here';
    const file = `${root}/${candidate}`;
    if (!statOf(file)?.isSymbolicLink()) return 'here';
    return { target: decodeText(readlinkSync(systemPath(file), 'buffer')) };
  });
  return found ? `${root}/${found}` : root;
}

/** undefined when there is nothing; does not follow a link at the end. Throws `invalid` for names that are too long. */
export function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false });
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOTDIR') return undefined;
    if (code === 'ENAMETOOLONG') throw invalid(`file name too long: ${path.slice(-100)}`);
    throw error;
  }
}

/** `/a/../../b/` as `/b`, as Go's path.Join('/', path) has it. Throws `invalid` for a NUL. */
export function absolutePath(path: string): string {
  refuseNul(path);
  return `/${withinRoot(path)}`;
}

/** The kernel would take it for the end. */
function refuseNul(path: string): void {
  if (path.includes('\0')) throw invalid(`${JSON.stringify(path.slice(0, 200))}: invalid argument`);
}
