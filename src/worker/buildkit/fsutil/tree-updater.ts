import {
  type BigIntStats,
  chmodSync,
  closeSync,
  constants,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  unlinkSync,
} from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { mknod, setPathTimes, setXattr } from '#worker/snapshots/libc.ts';
import type { Stat } from '../proto/github.com/tonistiigi/fsutil/types/stat_pb.ts';
import { type FileType, goMode, permissionsOfGoMode, typeOfGoMode } from './go-mode.ts';
import { compareNames, comparePaths, splitPath } from './path-order.ts';

/** A directory on the way to where the list is. */
interface Level {
  readonly path: string;
  /** What was in it before, sorted; from `next` on not met in the list yet. */
  readonly names: readonly string[];
  next: number;
  readonly stat: Stat | undefined;
  /** Its time has to be set again. */
  touched: boolean;
}

/** `wanted`: its contents have to be fetched; nothing is at its path until then. */
export interface Applied {
  readonly regular: boolean;
  readonly wanted: boolean;
}

/** Whoever has changed more looks at all of it. */
const MAX_DIRECTORIES = 10_000;

const S_IFBLK = 0o060000;
const S_IFCHR = 0o020000;
const S_IFIFO = 0o010000;

/**
 * Makes a directory equal to a list of files in the order of a walk, one at a time: what is not in the list goes.
 * Every directory on the way was listed before and is a real one, so no path leads out of the root.
 */
export class TreeUpdater {
  readonly #root: string;
  readonly #everything: boolean;
  readonly #levels: Level[];
  /** Made at the end, when what they lead to has its contents. */
  readonly #links: Stat[] = [];
  readonly #times: { readonly path: string; readonly modTime: bigint }[] = [];
  #last: string | undefined;
  #changed = false;
  /** Those in which something has changed, and those that have changed themselves. */
  readonly #directories = new Set<string>();

  /** `everything`: no file is taken for what it was. */
  constructor(root: string, { everything = false }: { everything?: boolean } = {}) {
    this.#root = root;
    this.#everything = everything;
    this.#levels = [{ path: '', names: sortedNames(root), next: 0, stat: undefined, touched: false }];
  }

  get changed(): boolean {
    return this.#changed;
  }

  /** As of `TreeChanges`; undefined: they are too many to be told. */
  get directories(): readonly string[] | undefined {
    return this.#directories.size > MAX_DIRECTORIES ? undefined : [...this.#directories];
  }

  /** Throws `invalid` for an entry that cannot come next. */
  apply(stat: Stat): Applied {
    const names = splitPath(stat.path);
    if (this.#last !== undefined && comparePaths(this.#last, stat.path) >= 0) {
      throw invalid(`the file list is not in order: ${stat.path} after ${this.#last}`);
    }
    this.#last = stat.path;
    if (stat.size < 0n) throw invalid(`invalid size in the file list: ${stat.path}`);
    const name = names.at(-1)!;
    const level = this.#enter(names.slice(0, -1).join('/'), stat.path);
    const existing = this.#advance(level, name) ? this.#stat(stat.path) : undefined;
    const type = typeOfGoMode(stat.mode);
    if (type === 'directory') {
      this.#directory(level, stat, existing);
      return { regular: false, wanted: false };
    }
    const hardlink = type === 'file' && stat.linkname !== '';
    const same = hardlink
      ? this.#linked(stat, existing)
      : !this.#everything && existing !== undefined && isSame(existing, stat, type, this.#path(stat.path));
    if (same) return { regular: type === 'file', wanted: false };
    this.#touch(level);
    if (existing) this.#remove(stat.path, existing.isDirectory());
    if (hardlink) this.#links.push(stat);
    else if (type === 'file' && stat.size > 0n) return { regular: true, wanted: true };
    else this.#create(stat, type);
    return { regular: type === 'file', wanted: false };
  }

  /** No more entries follow; the contents of files may. */
  endOfList(): void {
    while (this.#levels.length > 0) this.#leave();
  }

  /** The contents are there too. Throws `invalid` for a link to what is no file. */
  finish(): void {
    for (const link of this.#links) {
      if (!this.#stat(link.linkname)?.isFile()) throw badLink(link);
      linkSync(this.#path(link.linkname), this.#path(link.path));
    }
    for (const { path, modTime } of this.#times) setPathTimes(this.#path(path), ...seconds(modTime));
  }

  /** Leaves directories until the parent is reached. */
  #enter(parent: string, path: string): Level {
    for (;;) {
      const level = this.#levels.at(-1)!;
      if (level.path === parent) return level;
      if (level.path === '') throw invalid(`the file list has ${path} without its directory`);
      this.#leave();
    }
  }

  #leave(): void {
    const level = this.#levels.pop()!;
    for (; level.next < level.names.length; level.next++) this.#removeStale(level, level.names[level.next]!);
    if (level.touched && level.stat) this.#times.push({ path: level.path, modTime: level.stat.modTime });
  }

  /** Removes what the list has passed over. Answers whether there is something of this name. */
  #advance(level: Level, name: string): boolean {
    for (; level.next < level.names.length; level.next++) {
      const order = compareNames(level.names[level.next]!, name);
      if (order > 0) return false;
      if (order === 0) {
        level.next++;
        return true;
      }
      this.#removeStale(level, level.names[level.next]!);
    }
    return false;
  }

  #directory(parent: Level, stat: Stat, existing: BigIntStats | undefined): void {
    const path = this.#path(stat.path);
    const kept = existing?.isDirectory() === true;
    if (!kept) {
      this.#touch(parent);
      if (existing) this.#remove(stat.path, false);
      mkdirSync(path, { mode: 0o700 });
    }
    const same = kept && hasModeAndOwner(existing, stat);
    if (!same) {
      this.#note(stat.path);
      setOwnerAndMode(path, stat);
      if (!kept) setXattrs(path, stat);
    }
    this.#levels.push({
      path: stat.path,
      names: kept ? sortedNames(path) : [],
      next: 0,
      stat,
      touched: !kept || existing.mtimeNs !== stat.modTime,
    });
  }

  #create(stat: Stat, type: FileType): void {
    const path = this.#path(stat.path);
    const permissions = permissionsOfGoMode(stat.mode);
    const [major, minor] = [Number(stat.devmajor), Number(stat.devminor)];
    if (type === 'file') closeSync(openSync(path, constants.O_CREAT | constants.O_EXCL | constants.O_WRONLY));
    else if (type === 'symlink') symlinkSync(stat.linkname, path);
    else if (type === 'fifo') mknod(path, S_IFIFO | permissions, 0, 0);
    else if (type === 'block') mknod(path, S_IFBLK | permissions, major, minor);
    else if (type === 'character') mknod(path, S_IFCHR | permissions, major, minor);
    else throw invalid(`the file list has something of an unknown kind at ${stat.path}`);
    setOwnerAndMode(path, stat);
    setXattrs(path, stat);
    setPathTimes(path, ...seconds(stat.modTime));
  }

  /** Whether the entry is a link to its target already. Throws `invalid` for a target that was not listed before. */
  #linked(stat: Stat, existing: BigIntStats | undefined): boolean {
    const names = splitPath(stat.linkname);
    const parents = names.slice(0, -1).map((_, at) => names.slice(0, at + 1).join('/'));
    const before = comparePaths(stat.linkname, stat.path) < 0;
    if (!before || !parents.every((parent) => this.#stat(parent)?.isDirectory())) throw badLink(stat);
    return existing !== undefined && existing.ino === this.#stat(stat.linkname)?.ino;
  }

  #removeStale(level: Level, name: string): void {
    this.#touch(level);
    const path = level.path === '' ? name : `${level.path}/${name}`;
    this.#remove(path, true);
  }

  #remove(path: string, deep: boolean): void {
    if (deep) rmSync(this.#path(path), { recursive: true, force: true });
    else unlinkSync(this.#path(path));
  }

  #touch(level: Level): void {
    this.#note(level.path);
    level.touched = true;
  }

  #note(directory: string): void {
    this.#changed = true;
    if (this.#directories.size <= MAX_DIRECTORIES) this.#directories.add(directory);
  }

  #stat(path: string): BigIntStats | undefined {
    return lstatSync(this.#path(path), { bigint: true, throwIfNoEntry: false });
  }

  #path(path: string): string {
    return `${this.#root}/${path}`;
  }
}

/** Whose files are made here. */
export const OWNER = { uid: process.geteuid?.(), gid: process.getegid?.() };

/** Whole seconds and the nanoseconds beyond them. */
export function seconds(nanoseconds: bigint): [number, number] {
  const rest = ((nanoseconds % 1_000_000_000n) + 1_000_000_000n) % 1_000_000_000n;
  return [Number((nanoseconds - rest) / 1_000_000_000n), Number(rest)];
}

function isSame(existing: BigIntStats, stat: Stat, type: FileType, path: string): boolean {
  if (!hasModeAndOwner(existing, stat) || existing.mtimeNs !== stat.modTime) return false;
  if (type === 'file') return existing.size === stat.size;
  if (type === 'symlink') return readlinkSync(path) === stat.linkname;
  // Devices are few: they are made again.
  return type === 'fifo';
}

/** Symbolic links have no mode of their own. */
function hasModeAndOwner(existing: BigIntStats, stat: Stat): boolean {
  const mode = goMode(Number(existing.mode));
  const sameType = typeOfGoMode(mode) === typeOfGoMode(stat.mode);
  const sameMode = existing.isSymbolicLink() || permissionsOfGoMode(mode) === permissionsOfGoMode(stat.mode);
  return sameType && sameMode && Number(existing.uid) === stat.uid && Number(existing.gid) === stat.gid;
}

function setOwnerAndMode(path: string, stat: Stat): void {
  if (stat.uid !== OWNER.uid || stat.gid !== OWNER.gid) lchownSync(path, stat.uid, stat.gid);
  if (typeOfGoMode(stat.mode) !== 'symlink') chmodSync(path, permissionsOfGoMode(stat.mode));
}

/** Of others' attributes only what means the same here; overlayfs would act on its own. */
export function setXattrs(path: string, stat: Pick<Stat, 'path' | 'xattrs'>): void {
  for (const [name, value] of Object.entries(stat.xattrs)) {
    if (!name.startsWith('user.') && name !== 'security.capability') continue;
    try {
      setXattr(path, name, value);
    } catch (error) {
      const code = systemCode(error);
      // A file system that has none: the file is good without.
      if (code === 'EOPNOTSUPP') continue;
      if (code === undefined || !['E2BIG', 'ENOSPC', 'ERANGE', 'EINVAL'].includes(code)) throw error;
      throw invalid(`cannot keep the attribute ${name} of ${stat.path}: ${code}`, { cause: error });
    }
  }
}

function sortedNames(directory: string): string[] {
  return readdirSync(directory).sort(compareNames);
}

function badLink(stat: Stat): Error {
  return invalid(`the file list has a link to what is no file before it: ${stat.path} to ${stat.linkname}`);
}
