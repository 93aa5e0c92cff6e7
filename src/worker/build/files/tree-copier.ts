import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  lchownSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  type Stats,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { mknod, setFileTimes, setPathTimes, setXattr } from '#worker/snapshots/libc.ts';
import { type FileNode, type FileTree, joinPath } from './file-tree.ts';
import type { Owner, RootedDirectory } from './rooted-directory.ts';
import type { SelectedSource } from './select-sources.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, S_IFBLK, S_IFCHR, S_IFIFO } = constants;
const CREATE_NEW = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
const CHUNK_BYTES = 1024 * 1024;

export interface CopyOptions {
  /** For everything that is copied; undefined keeps the sources' owners. */
  readonly owner: Owner | undefined;
  /** For directories that have to be made on the way. */
  readonly parentOwner: Owner;
  readonly mode?: number;
  readonly excludes?: (path: string) => boolean;
}

/** Writes files of a tree into a root file system. Synchronous, for a thread of its own. */
export class TreeCopier {
  readonly #tree: FileTree;
  readonly #target: RootedDirectory;
  readonly #options: CopyOptions;
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);
  /** First copy of each file that has several names. */
  readonly #linked = new Map<string, string>();

  constructor(tree: FileTree, target: RootedDirectory, options: CopyOptions) {
    this.#tree = tree;
    this.#target = target;
    this.#options = options;
  }

  /**
   * Copies as COPY does: what is in a directory, or a file under its name when the destination is a directory or
   * `asDirectory` says that it is to be one. Throws `invalid` where a file and a directory are in each other's way.
   */
  copy(source: SelectedSource, destination: string, asDirectory: boolean): void {
    if (source.node.type === 'directory') {
      this.#copyContents(source.path, source.node, destination);
      return;
    }
    const { parentOwner } = this.#options;
    if (asDirectory) this.#target.make(destination, parentOwner);
    const { path, stats } = this.#target.locate(destination, parentOwner);
    const target = stats?.isDirectory() ? `${path}/${source.name}` : path;
    if (!this.#options.excludes?.(source.name)) this.#place(source.path, source.node, target);
  }

  #copyContents(path: string, node: FileNode, destination: string): void {
    const { path: target, stats } = this.#target.locate(destination, this.#options.parentOwner);
    if (stats && !stats.isDirectory()) throw invalid(`cannot copy to non-directory: ${destination}`);
    if (!stats) mkdirSync(target, 0o755);
    this.#copyChildren(path, '', target);
    // A directory that was there keeps what it is.
    if (!stats) this.#describe(path, node, target);
  }

  #copyChildren(path: string, relative: string, target: string): void {
    for (const name of this.#tree.names(path)) {
      const child = joinPath(path, name);
      const childRelative = joinPath(relative, name);
      const node = this.#tree.node(child);
      if (!node || this.#options.excludes?.(childRelative)) continue;
      if (node.type !== 'directory') this.#place(child, node, `${target}/${name}`);
      else {
        this.#makeDirectory(`${target}/${name}`);
        this.#copyChildren(child, childRelative, `${target}/${name}`);
        this.#describe(child, node, `${target}/${name}`);
      }
    }
  }

  #makeDirectory(target: string): void {
    try {
      mkdirSync(target, 0o755);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      // As tar does it: a directory takes the place of a link or a file.
      if (lstatSync(target).isDirectory()) return;
      unlinkSync(target);
      mkdirSync(target, 0o755);
    }
  }

  /** Puts anything but a directory at a path whose parent is real. */
  #place(path: string, node: FileNode, target: string): void {
    const before = statOf(target);
    if (before?.isDirectory()) {
      throw invalid(`cannot replace to directory ${target.slice(this.#target.root.length)} with file`);
    }
    if (before) unlinkSync(target);
    const first = node.identity === undefined ? undefined : this.#linked.get(node.identity);
    if (first !== undefined && statOf(first)?.isFile()) {
      linkSync(first, target);
      return;
    }
    if (node.type === 'file') this.#writeFile(path, node, target);
    else this.#makeSpecial(path, node, target);
    if (node.identity !== undefined && node.type === 'file') this.#linked.set(node.identity, target);
  }

  #writeFile(path: string, node: FileNode, target: string): void {
    const fd = openSync(target, CREATE_NEW, 0o600);
    try {
      for (let offset = 0; ; ) {
        const bytes = this.#tree.read(path, this.#buffer, offset);
        if (bytes === 0) break;
        for (let written = 0; written < bytes; ) {
          written += writeSync(fd, this.#buffer, written, bytes - written);
        }
        offset += bytes;
      }
      // In this order: chown clears setuid and capabilities, and everything touches the times.
      const { uid, gid } = this.#options.owner ?? node;
      if (uid !== 0 || gid !== 0) fchownSync(fd, uid, gid);
      fchmodSync(fd, this.#options.mode ?? node.mode);
      this.#copyXattrs(path, target);
      setFileTimes(fd, node.mtime, node.mtimeNanoseconds);
    } finally {
      closeSync(fd);
    }
  }

  #makeSpecial(path: string, node: FileNode, target: string): void {
    if (node.type === 'symlink') symlinkSync(node.target!, target);
    else {
      const type = node.type === 'character' ? S_IFCHR : node.type === 'block' ? S_IFBLK : S_IFIFO;
      mknod(target, type | 0o600, node.deviceMajor ?? 0, node.deviceMinor ?? 0);
    }
    const { uid, gid } = this.#options.owner ?? node;
    lchownSync(target, uid, gid);
    if (node.type !== 'symlink') chmodSync(target, this.#options.mode ?? node.mode);
    this.#copyXattrs(path, target);
    setPathTimes(target, node.mtime, node.mtimeNanoseconds);
  }

  #describe(path: string, node: FileNode, target: string): void {
    const { uid, gid } = this.#options.owner ?? node;
    chownSync(target, uid, gid);
    chmodSync(target, this.#options.mode ?? node.mode);
    this.#copyXattrs(path, target);
    setPathTimes(target, node.mtime, node.mtimeNanoseconds);
  }

  #copyXattrs(path: string, target: string): void {
    for (const [name, value] of this.#tree.xattrs(path)) {
      try {
        setXattr(target, name, value);
      } catch (error) {
        // A namespace that this file system or kernel does not have; the file is good without.
        if (systemCode(error) !== 'EOPNOTSUPP') throw error;
      }
    }
  }
}

function statOf(path: string): Stats | undefined {
  try {
    return lstatSync(path, { throwIfNoEntry: false });
  } catch (error) {
    if (systemCode(error) === 'ENAMETOOLONG') throw invalid(`file name too long: ${path.slice(-100)}`);
    throw error;
  }
}
