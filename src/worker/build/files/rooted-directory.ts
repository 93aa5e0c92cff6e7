import { chmodSync, chownSync, lstatSync, mkdirSync, readlinkSync, type Stats } from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { walkRooted } from '#tar/rooted-path.ts';

export interface Owner {
  readonly uid: number;
  readonly gid: number;
}

/**
 * Destinations below a root file system, found as a process chrooted into it would: links are followed inside,
 * `..` stops at the root, and missing directories are made on the way.
 *
 * Only safe while nobody else writes below the root.
 */
export class RootedDirectory {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  get root(): string {
    return this.#root;
  }

  /** The host path of a directory; it and its missing parents are made with mode 0755 for `owner`. Throws `invalid`. */
  make(path: string, owner: Owner): string {
    const found = this.#walk(path, (missing) => makeDirectory(missing, owner));
    if (!lstatSync(found).isDirectory()) throw notADirectory(path);
    return found;
  }

  /**
   * The host path that a file is to be written to: its parents as in `make`, and a last component that is a link
   * stands for what it points to, whether that exists or not.
   */
  locate(path: string, owner: Owner): { path: string; stats: Stats | undefined } {
    let last: string | undefined;
    const found = this.#walk(path, (missing, isLast) => {
      if (isLast) last = missing;
      else makeDirectory(missing, owner);
    });
    return { path: found, stats: last === undefined ? statOf(found) : undefined };
  }

  /** The host paths of the components that do not exist, outermost first. */
  missing(path: string): string[] {
    const found: string[] = [];
    try {
      this.#walk(path, (missing) => found.push(missing));
    } catch {
      // A file or too many links are in the way: whoever wants to go there will say so.
    }
    return found;
  }

  #walk(path: string, onMissing: (path: string, isLast: boolean) => void): string {
    const found = walkRooted(path, (relative, isLast) => {
      const candidate = `${this.#root}/${relative}`;
      const stats = statOf(candidate);
      if (stats?.isSymbolicLink()) return { target: readlinkSync(candidate) };
      if (!stats) onMissing(candidate, isLast);
      else if (!stats.isDirectory() && !isLast) throw notADirectory(path);
      return 'here';
    });
    return found ? `${this.#root}/${found}` : this.#root;
  }
}

function makeDirectory(path: string, owner: Owner): void {
  mkdirSync(path);
  chmodSync(path, 0o755);
  chownSync(path, owner.uid, owner.gid);
}

function notADirectory(path: string) {
  return invalid(`cannot copy to non-directory: ${path}`);
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENAMETOOLONG') throw invalid(`file name too long: ${path.slice(-100)}`);
    throw error;
  }
}
