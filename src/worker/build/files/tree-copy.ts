import {
  chmodSync,
  chownSync,
  constants,
  copyFileSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readlinkSync,
  rmSync,
  type Stats,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { invalid, notFound, systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import { mknod } from '#worker/snapshots/libc.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { copyXattrs, type FileTime, makeDirectories, modifiedAt, setTime } from './file-metadata.ts';
import type { FilterState, PathFilter } from './path-filter.ts';
import { rootPath, statOf } from './root-path.ts';
import type { Owner } from './rooted-directory.ts';

const { COPYFILE_EXCL, COPYFILE_FICLONE, S_IFMT } = constants as typeof constants & { S_IFMT: number };
const COPY = COPYFILE_EXCL | COPYFILE_FICLONE;
const DIRECTORY_MODE = 0o755;

export interface TreeCopyOptions {
  /** undefined: the sources' own. */
  readonly owner?: Owner;
  /** The mode that a file with another one gets; undefined: the same. */
  readonly mode?: (mode: number, isDirectory: boolean) => number;
  /** Of directories that have to be made on the way. */
  readonly parentMode?: number;
  readonly time?: FileTime;
  readonly filter?: PathFilter;
  /** What is at the destination gives way, whatever it is. */
  readonly replace: boolean;
}

/** A directory on the way to what a pattern selects: made when something in it is. */
interface PendingDirectory {
  readonly source: string;
  readonly target: string;
  readonly stats: Stats;
  made: boolean;
}

/**
 * Copies files of one root file system into another as BuildKit's COPY does. Synchronous, for a thread of its own.
 * Nobody else writes in either of them meanwhile; no link in them leads out.
 */
export class TreeCopy {
  readonly #sourceRoot: string;
  readonly #targetRoot: string;
  readonly #options: TreeCopyOptions;
  /** First copy of each file that has several names. */
  #linked = new Map<string, string>();
  #pending: PendingDirectory[] = [];

  constructor(roots: { source: string; target: string }, options: TreeCopyOptions) {
    this.#sourceRoot = roots.source;
    this.#targetRoot = roots.target;
    this.#options = options;
  }

  /**
   * `contents`: what is in a directory rather than the directory. A destination that ends in a slash, or is a
   * directory, takes a file under its own name. Throws `not-found` and `invalid`.
   */
  copy(source: string, destination: string, options: { contents: boolean; follow: boolean }): void {
    const made = this.#makeParents(destination);
    const target = rootPath(this.#targetRoot, destination);
    const from = rootPath(this.#sourceRoot, source, { followLast: options.follow });
    const stats = statOf(from);
    if (!stats) throw notFound(`lstat ${source}: no such file or directory`);
    const to = this.#targetOf(source, target, stats, options.contents);
    const isIn = options.contents && stats.isDirectory();
    const gives = isIn && this.#options.replace && statOf(to)?.isDirectory() === false;
    if (gives) unlinkSync(systemPath(to));
    made.push(...this.#makeDirectories(isIn && !gives ? to : parentOf(to)));
    this.#linked = new Map();
    if (stats.isDirectory()) this.#copyDirectory(from, '', stats, to);
    else this.#place(from, stats, to);
    const { time } = this.#options;
    if (time) for (const directory of made.reverse()) setTime(directory, time);
  }

  /** All of the source into a root that is empty, which then is as the source's. */
  import(): void {
    const stats = statOf(this.#sourceRoot);
    if (!stats?.isDirectory()) throw notFound('there is no such directory');
    this.#copyDirectory(this.#sourceRoot, '', stats, this.#targetRoot);
    this.#describe(this.#sourceRoot, stats, this.#targetRoot);
  }

  #makeParents(destination: string): string[] {
    const slash = destination.lastIndexOf('/');
    const name = destination.slice(slash + 1);
    const parent = name === '' || name === '.' ? destination : destination.slice(0, slash + 1);
    return this.#makeDirectories(rootPath(this.#targetRoot, parent));
  }

  #makeDirectories(path: string): string[] {
    const { owner, time, parentMode = DIRECTORY_MODE } = this.#options;
    try {
      return makeDirectories(path, parentMode, { ...(owner && { owner }), ...(time && { time }) });
    } catch (error) {
      if (systemCode(error) !== 'EEXIST' && systemCode(error) !== 'ENOTDIR') throw error;
      throw invalid(`cannot copy to non-directory: ${this.#shown(path)}`);
    }
  }

  #targetOf(source: string, target: string, stats: Stats, contents: boolean): string {
    const there = statOf(target);
    const inside = stats.isDirectory() ? !contents && there !== undefined : there?.isDirectory();
    if (!inside) return target;
    const name = source.replace(/\/+$/, '').split('/').at(-1);
    return name && name !== '.' ? `${target}/${name}` : target;
  }

  #copyDirectory(source: string, relative: string, stats: Stats, target: string, state?: FilterState): void {
    const { filter } = this.#options;
    const verdict = relative === '' ? undefined : filter?.check(relative, state);
    const before = statOf(target);
    const pending: PendingDirectory = { source, target, stats, made: false };
    const selected = verdict?.selected ?? true;
    if (selected) {
      this.#makePending();
      this.#makeDirectory(pending, before);
    }
    if (!selected && verdict?.final) return;
    this.#pending.push(pending);
    for (const file of listDirectory(source)) {
      const path = relative === '' ? file.name : `${relative}/${file.name}`;
      const to = `${target}/${file.name}`;
      if (file.stats.isDirectory()) {
        this.#copyDirectory(file.path, path, file.stats, to, verdict?.state);
      } else if (filter?.check(path, verdict?.state).selected ?? true) {
        this.#makePending();
        this.#place(file.path, file.stats, to);
      }
    }
    this.#pending.pop();
    if (!pending.made) return;
    // The directory that was named keeps what it was, if it was there; its time is the source's all the same.
    if (relative !== '' || !before?.isDirectory()) this.#describe(source, stats, target);
    else setTime(target, this.#options.time ?? modifiedAt(stats));
  }

  #makePending(): void {
    for (const pending of this.#pending) {
      if (!pending.made) this.#makeDirectory(pending, statOf(pending.target));
    }
  }

  #makeDirectory(pending: PendingDirectory, before: Stats | undefined): void {
    pending.made = true;
    if (before?.isDirectory()) return;
    if (before && !this.#options.replace) {
      throw invalid(`cannot copy to non-directory: ${this.#shown(pending.target)}`);
    }
    if (before) unlinkSync(systemPath(pending.target));
    mkdirSync(systemPath(pending.target), 0o700);
  }

  /** Puts anything but a directory at a path whose parent is real. */
  #place(source: string, stats: Stats, target: string): void {
    // A socket is nobody's content, and no layer can hold one.
    if (stats.isSocket()) return;
    const first = stats.nlink > 1 && stats.isFile() ? `${stats.dev}:${stats.ino}` : undefined;
    const linked = first && this.#linked.get(first);
    const create = () => {
      if (linked) linkSync(systemPath(linked), systemPath(target));
      else if (stats.isFile()) copyFileSync(systemPath(source), systemPath(target), COPY);
      else if (stats.isSymbolicLink()) {
        symlinkSync(readlinkSync(systemPath(source), 'buffer'), systemPath(target));
      } else {
        const { major, minor } = deviceOf(stats.rdev);
        mknod(target, (stats.mode & S_IFMT) | 0o600, major, minor);
      }
    };
    try {
      create();
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      this.#clear(target);
      create();
    }
    if (linked) return;
    if (first) this.#linked.set(first, target);
    this.#describe(source, stats, target);
  }

  #clear(target: string): void {
    const isDirectory = statOf(target)?.isDirectory();
    if (isDirectory && !this.#options.replace) {
      throw invalid(`cannot replace to directory ${this.#shown(target)} with file`);
    }
    rmSync(systemPath(target), { recursive: true, force: true });
  }

  #describe(source: string, stats: Stats, target: string): void {
    const { uid, gid } = this.#options.owner ?? stats;
    const isLink = stats.isSymbolicLink();
    const wanted = stats.mode & 0o7777;
    const mode = this.#options.mode?.(wanted, stats.isDirectory()) ?? wanted;
    if (isLink) {
      lchownSync(systemPath(target), uid, gid);
    } else {
      // Also to what it has: a directory may give its group on, and of one that was there, nothing is known.
      chownSync(systemPath(target), uid, gid);
      // A file was copied with its mode; a changed owner may have cost it some of that.
      const kept = stats.isFile() && mode === wanted && (mode & 0o7000) === 0;
      if (!kept) chmodSync(systemPath(target), mode);
    }
    copyXattrs(source, target);
    setTime(target, this.#options.time ?? modifiedAt(stats));
  }

  #shown(path: string): string {
    return path.slice(this.#targetRoot.length) || '/';
  }
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf('/'));
}

/** glibc's gnu_dev_major and gnu_dev_minor. */
function deviceOf(rdev: number): { major: number; minor: number } {
  const number = BigInt(rdev);
  return {
    major: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & 0xfffff000n)),
    minor: Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n)),
  };
}
