import {
  closeSync,
  constants,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  readSync,
  type Stats,
} from 'node:fs';
import { systemCode } from '#errors/errors.ts';
import { getXattr, listXattrs } from '#worker/snapshots/libc.ts';
import { isOverlayXattr } from '#worker/snapshots/tree/overlay-marks.ts';
import type { FileNode, FileTree, FileType } from './file-tree.ts';

/** A directory of this machine as a tree: a stage's or an image's mounted root file system. */
export class DirectoryTree implements FileTree, Disposable {
  readonly #root: string;
  #open: { readonly path: string; readonly fd: number } | undefined;

  constructor(root: string) {
    this.#root = root;
  }

  node(path: string): FileNode | undefined {
    let stats: Stats | undefined;
    try {
      stats = lstatSync(this.#path(path), { throwIfNoEntry: false });
    } catch (error) {
      if (systemCode(error) === 'ENOTDIR' || systemCode(error) === 'ENAMETOOLONG') return undefined;
      throw error;
    }
    const type = stats && typeOf(stats);
    if (!stats || !type) return undefined;
    return {
      type,
      mode: stats.mode & 0o7777,
      uid: stats.uid,
      gid: stats.gid,
      size: type === 'file' ? stats.size : 0,
      ...timeOf(stats),
      ...(type === 'symlink' && { target: readlinkSync(this.#path(path)) }),
      ...((type === 'character' || type === 'block') && deviceOf(stats.rdev)),
      ...(stats.nlink > 1 && type !== 'directory' && { identity: `${stats.dev}:${stats.ino}` }),
    };
  }

  names(path: string): string[] {
    return readdirSync(this.#path(path)).sort();
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    const file = this.#path(path);
    const found = new Map<string, Uint8Array>();
    for (const name of listXattrs(file).sort()) {
      const value = isOverlayXattr(name) ? undefined : getXattr(file, name);
      if (value) found.set(name, value);
    }
    return found;
  }

  read(path: string, buffer: Uint8Array, offset: number): number {
    if (this.#open?.path !== path) {
      this[Symbol.dispose]();
      const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
      this.#open = { path, fd: openSync(this.#path(path), flags) };
    }
    const bytes = readSync(this.#open!.fd, buffer, 0, buffer.length, offset);
    if (bytes === 0) this[Symbol.dispose]();
    return bytes;
  }

  /** Closes the file that was read last. */
  [Symbol.dispose](): void {
    if (this.#open) closeSync(this.#open.fd);
    this.#open = undefined;
  }

  #path(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }
}

/** A socket is nobody's content: it counts as not there. */
function typeOf(stats: Stats): FileType | undefined {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isCharacterDevice()) return 'character';
  if (stats.isBlockDevice()) return 'block';
  return stats.isFIFO() ? 'fifo' : undefined;
}

function timeOf(stats: Stats): { mtime: number; mtimeNanoseconds: number } {
  const mtime = Math.floor(stats.mtimeMs / 1000);
  return { mtime, mtimeNanoseconds: Math.max(0, Math.round((stats.mtimeMs - mtime * 1000) * 1e6)) % 1e9 };
}

/** glibc's gnu_dev_major and gnu_dev_minor. */
function deviceOf(device: number): { deviceMajor: number; deviceMinor: number } {
  const number = BigInt(device);
  return {
    deviceMajor: Number(((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn)),
    deviceMinor: Number((number & 0xffn) | ((number >> 12n) & 0xffffff00n)),
  };
}
