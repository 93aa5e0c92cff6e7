import { invalid } from '#errors/errors.ts';

const MAX_PATH_BYTES = 4096;

/**
 * An archive's path made relative to the root that it is unpacked into: `./a//b/` is `a/b`, `/etc` is `etc`,
 * the root itself is ''. Throws `invalid` for one that climbs out, is too long or holds a NUL. This is lexical:
 * symbolic links on the way are the unpacker's business.
 */
export function safePath(path: string): string {
  if (path.includes('\0')) throw invalid('invalid tar: a path contains NUL');
  if (path.length > MAX_PATH_BYTES) throw invalid('invalid tar: a path is too long');
  // Nearly every path is clean already.
  if (CLEAN.test(path)) return path;
  const parts: string[] = [];
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue;
    if (part !== '..') parts.push(part);
    else if (parts.pop() === undefined) {
      throw invalid(
        `invalid tar: the path ${JSON.stringify(path.slice(0, 200))} leads out of the archive's root`,
      );
    }
  }
  return parts.join('/');
}

const CLEAN = /^(?!\.{1,2}(?:\/|$))[^/]+(?:\/(?!\.{1,2}(?:\/|$))[^/]+)*$/;

/** `a/b/c` as `['a/b', 'c']`; a name without slash has the parent ''. */
export function splitParent(path: string): [parent: string, name: string] {
  const slash = path.lastIndexOf('/');
  return slash < 0 ? ['', path] : [path.slice(0, slash), path.slice(slash + 1)];
}
