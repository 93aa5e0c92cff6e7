import { lstatSync, mkdirSync, readlinkSync, type Stats, unlinkSync } from 'node:fs';
import { posix } from 'node:path';
import { invalid, systemCode } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import { setXattr } from '../libc.ts';
import { OPAQUE_XATTR } from './overlay-marks.ts';

/** As many as the kernel follows (path_resolution(7)). */
const MAX_SYMLINKS = 40;

/**
 * Finds the directories of an archive below a root, as a process that is chrooted there would: a symbolic link
 * on the way is followed inside of the root, `..` stops at it, what is missing is made. What was found is kept,
 * for most entries of an archive share their parent with the one before.
 *
 * Only safe while nobody else writes below the root.
 */
export class RootedDirectories {
  readonly #root: string;
  readonly #found = new Map<string, string>();
  /** Made because an entry needed them; real paths. */
  readonly implied = new Set<string>();

  constructor(root: string) {
    this.#root = root;
    this.#found.set('', root);
  }

  /** The real path of a directory given by its safe path ('' is the root). Throws `invalid`. */
  resolve(path: string): string {
    const known = this.#found.get(path);
    if (known !== undefined) return known;
    const slash = path.lastIndexOf('/');
    const parent = this.resolve(slash < 0 ? '' : path.slice(0, slash));
    const real = this.#step(parent, path.slice(slash + 1), { links: 0 });
    this.#found.set(path, real);
    return real;
  }

  /** Call after a directory or a symbolic link was removed or replaced: what was found may be wrong. */
  forget(): void {
    this.#found.clear();
    this.#found.set('', this.#root);
  }

  #step(parent: string, name: string, hops: { links: number }): string {
    const path = `${parent}/${name}`;
    const stats = statOf(path);
    if (!stats) return this.#make(path);
    if (stats.isDirectory()) return path;
    if (stats.isSymbolicLink()) return this.#follow(parent, path, hops);
    if (isWhiteout(stats)) {
      // Deleted below and needed again: a new directory that hides the old one.
      unlinkSync(systemPath(path));
      this.#make(path);
      setXattr(path, OPAQUE_XATTR, Buffer.from('y'));
      return path;
    }
    throw invalid(`invalid tar: ${JSON.stringify(posix.relative(this.#root, path))} is not a directory`);
  }

  #follow(parent: string, link: string, hops: { links: number }): string {
    if (++hops.links > MAX_SYMLINKS) throw invalid('invalid tar: too many levels of symbolic links');
    const target = decodeText(readlinkSync(systemPath(link), 'buffer'));
    let current = target.startsWith('/') ? this.#root : parent;
    for (const part of target.split('/')) {
      if (part === '' || part === '.') continue;
      if (part !== '..') current = this.#step(current, part, hops);
      else if (current !== this.#root) current = posix.dirname(current);
    }
    return current;
  }

  #make(path: string): string {
    mkdirSync(systemPath(path), 0o755);
    this.implied.add(path);
    return path;
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(systemPath(path), { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENAMETOOLONG') throw invalid('invalid tar: a file name is too long');
    throw error;
  }
}

export function isWhiteout(stats: Stats): boolean {
  return stats.isCharacterDevice() && stats.rdev === 0;
}
