import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';

const MAX_SYMLINKS = 40;

/**
 * The host path that a path has for a process that is chrooted into `root`: links are followed inside, `..` stops at
 * the root, and what does not exist is taken as written. Without `followLast` a link at the end is itself meant.
 *
 * Only safe while nobody else writes below the root. Throws `invalid` for links without end.
 */
export function rootPath(root: string, path: string, options: { followLast?: boolean } = {}): string {
  const pending = partsOf(path).reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    resolved.push(part);
    if (pending.length === 0 && options.followLast === false) break;
    const candidate = [root, ...resolved].join('/');
    if (!statOf(candidate)?.isSymbolicLink()) continue;
    if (++links > MAX_SYMLINKS) throw invalid(`too many levels of symbolic links: ${path}`);
    const target = decodeText(readlinkSync(systemPath(candidate), 'buffer'));
    resolved.pop();
    if (target.startsWith('/')) resolved.length = 0;
    pending.push(...partsOf(target).reverse());
  }
  return [root, ...resolved].join('/');
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

export function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '' && part !== '.');
}

/** `/a/../../b/` as `/b`, as Go's path.Join('/', path) has it. */
export function absolutePath(path: string): string {
  const parts: string[] = [];
  for (const part of partsOf(path)) {
    if (part === '..') parts.pop();
    else parts.push(part);
  }
  return `/${parts.join('/')}`;
}
