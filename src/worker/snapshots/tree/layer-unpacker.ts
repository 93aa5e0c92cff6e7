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
  realpathSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import type { TarEntry } from '#tar/entry.ts';
import type { TarSink } from '#tar/parser.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';
import { mknod, setFileTimes, setPathTimes, setXattr } from '../libc.ts';
import {
  isOverlayXattr,
  META_PREFIX,
  makeWhiteout,
  OPAQUE_WHITEOUT,
  OPAQUE_XATTR,
  WHITEOUT_PREFIX,
} from './overlay-marks.ts';
import { isWhiteout, RootedDirectories } from './rooted-directories.ts';

const { O_CREAT, O_EXCL, O_NOFOLLOW, O_WRONLY, S_IFBLK, S_IFCHR, S_IFIFO } = constants;
const CREATE_NEW = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW;
const YES = Buffer.from('y');

/**
 * Writes a layer's entries into an overlay's upper directory. Synchronous, for a thread of its own: a file takes
 * three to six system calls, and waiting for each of them asynchronously would take ten times as long.
 *
 * It creates first and asks only when that fails: in a layer nearly nothing exists twice.
 */
export class LayerUnpacker implements TarSink {
  readonly #root: string;
  readonly #directories: RootedDirectories;
  readonly #plain: boolean;
  /** Modes that the umask would change need a chmod, and so do setuid, setgid and sticky. */
  readonly #needsChmod = process.umask() | 0o7000;
  readonly #directoryTimes = new Map<string, { seconds: number; nanoseconds: number }>();
  #file: { fd: number; entry: TarEntry; path: string } | undefined;
  #replaced = false;
  /** Of file content, so far. */
  bytes = 0;

  /** `plain`: an archive that is no layer. Its files are root's, and its names are names. */
  constructor(root: string, { plain = false } = {}) {
    this.#root = root;
    this.#plain = plain;
    this.#directories = new RootedDirectories(root);
  }

  /** Directories that no entry described, relative to the root. */
  get impliedDirectories(): string[] {
    return [...this.#directories.implied].map((path) => path.slice(this.#root.length + 1));
  }

  entry(read: TarEntry): void {
    const entry = this.#plain ? { ...read, uid: 0, gid: 0 } : read;
    const path = safePath(entry.path);
    if (path === '') {
      this.#describeRoot(entry);
      return;
    }
    const [parent, name] = splitParent(path);
    if (!this.#plain && name.startsWith(WHITEOUT_PREFIX)) {
      this.#whiteout(parent, name);
      return;
    }
    const target = `${this.#directories.resolve(parent)}/${name}`;
    try {
      this.#create(entry, target);
    } catch (error) {
      if (systemCode(error) === 'ENAMETOOLONG') throw invalid('invalid tar: a file name is too long');
      throw error;
    }
  }

  data(bytes: Uint8Array): void {
    const file = this.#file;
    if (!file) return;
    for (let offset = 0; offset < bytes.length; ) {
      offset += writeSync(file.fd, bytes, offset, bytes.length - offset);
    }
    this.bytes += bytes.length;
  }

  end(): void {
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { fd, entry, path } = file;
    try {
      // In this order: chown clears setuid and capabilities, and everything touches the times.
      if (entry.uid !== 0 || entry.gid !== 0) fchownSync(fd, entry.uid, entry.gid);
      if (entry.mode & this.#needsChmod) fchmodSync(fd, entry.mode);
      if (entry.xattrs) setXattrs(path, entry.xattrs);
      setFileTimes(fd, entry.mtime, entry.mtimeNanoseconds ?? 0);
    } finally {
      closeSync(fd);
    }
  }

  /** Call when the archive ended well: a directory's time is right only after all that is in it. */
  finish(): void {
    for (const [path, { seconds, nanoseconds }] of this.#directoryTimes) {
      // Where a later entry put a symbolic link in a directory's place, the path may lead out by now.
      if (this.#replaced && !isRealPath(path)) continue;
      setPathTimes(path, seconds, nanoseconds);
    }
  }

  /** Call in any case. */
  close(): void {
    if (this.#file) closeSync(this.#file.fd);
    this.#file = undefined;
  }

  #create(entry: TarEntry, target: string): void {
    switch (entry.type) {
      case 'file':
        this.#file = {
          fd: this.#replacing(target, () => openSync(systemPath(target), CREATE_NEW, entry.mode)),
          entry,
          path: target,
        };
        return;
      case 'directory':
        this.#directory(entry, target);
        return;
      case 'hardlink':
        this.#hardLink(entry, target);
        return;
      case 'symlink':
        this.#replacing(target, () => symlinkSync(systemPath(entry.linkPath ?? ''), systemPath(target)));
        lchownSync(systemPath(target), entry.uid, entry.gid);
        break;
      default:
        this.#replacing(target, () => makeNode(entry, target));
        chownSync(systemPath(target), entry.uid, entry.gid);
        chmodSync(systemPath(target), entry.mode);
    }
    if (entry.xattrs) setXattrs(target, entry.xattrs);
    setPathTimes(target, entry.mtime, entry.mtimeNanoseconds ?? 0);
  }

  #directory(entry: TarEntry, target: string): void {
    try {
      mkdirSync(systemPath(target), entry.mode);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      const stats = lstatSync(systemPath(target));
      if (!stats.isDirectory()) {
        unlinkSync(systemPath(target));
        this.#forget();
        mkdirSync(systemPath(target), entry.mode);
        if (isWhiteout(stats)) setXattr(target, OPAQUE_XATTR, YES);
      }
    }
    this.#directories.implied.delete(target);
    this.#describeDirectory(entry, target);
  }

  #describeRoot(entry: TarEntry): void {
    if (entry.type !== 'directory') throw invalid('invalid tar: its root is not a directory');
    this.#describeDirectory(entry, this.#root);
  }

  #describeDirectory(entry: TarEntry, path: string): void {
    chownSync(systemPath(path), entry.uid, entry.gid);
    chmodSync(systemPath(path), entry.mode);
    if (entry.xattrs) setXattrs(path, entry.xattrs);
    this.#directoryTimes.set(path, { seconds: entry.mtime, nanoseconds: entry.mtimeNanoseconds ?? 0 });
  }

  /** link(2) does not follow a last symbolic link, and the directories on the way stay inside of the root. */
  #hardLink(entry: TarEntry, target: string): void {
    const source = safePath(entry.linkPath ?? '');
    const [parent, name] = splitParent(source);
    if (name === '') throw invalid('invalid tar: a hard link to the root');
    const path = `${this.#directories.resolve(parent)}/${name}`;
    if (path === target) return;
    try {
      this.#replacing(target, () => linkSync(systemPath(path), systemPath(target)));
    } catch (error) {
      const code = systemCode(error);
      if (code !== 'ENOENT' && code !== 'EPERM') throw error;
      const why = code === 'ENOENT' ? 'that is not in the archive' : 'to a directory';
      throw invalid(
        `invalid tar: ${JSON.stringify(entry.path)} is a hard link ${why}: ${JSON.stringify(source)}`,
      );
    }
  }

  #whiteout(parent: string, name: string): void {
    const directory = this.#directories.resolve(parent);
    if (name === OPAQUE_WHITEOUT) {
      setXattr(directory, OPAQUE_XATTR, YES);
      return;
    }
    if (name.startsWith(META_PREFIX)) return;
    const deleted = name.slice(WHITEOUT_PREFIX.length);
    if (deleted === '' || deleted === '.' || deleted === '..') {
      throw invalid(`invalid tar: ${JSON.stringify(name)} is not a whiteout`);
    }
    const target = `${directory}/${deleted}`;
    try {
      makeWhiteout(directory, deleted);
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
      // A whiteout speaks of the layers below, never of this one's own: what this layer has, stays, and hides them.
      if (lstatSync(systemPath(target)).isDirectory()) setXattr(target, OPAQUE_XATTR, YES);
    }
  }

  /** Runs `create`; when something is in its place, removes that and tries again: the later entry wins. */
  #replacing<T>(target: string, create: () => T): T {
    try {
      return create();
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
    rmSync(systemPath(target), { recursive: true, force: true });
    this.#forget();
    return create();
  }

  #forget(): void {
    this.#replaced = true;
    this.#directories.forget();
  }
}

function isRealPath(path: string): boolean {
  try {
    return decodeText(realpathSync.native(systemPath(path), 'buffer')) === path;
  } catch {
    return false;
  }
}

function makeNode(entry: TarEntry, target: string): void {
  const type = entry.type === 'character' ? S_IFCHR : entry.type === 'block' ? S_IFBLK : S_IFIFO;
  mknod(target, type | (entry.mode & 0o777), entry.deviceMajor ?? 0, entry.deviceMinor ?? 0);
}

function setXattrs(path: string, xattrs: ReadonlyMap<string, Uint8Array>): void {
  for (const [name, value] of xattrs) {
    if (isOverlayXattr(name)) continue;
    try {
      setXattr(path, name, value);
    } catch (error) {
      // A namespace that this file system or kernel does not have; the file is good without.
      if (systemCode(error) !== 'EOPNOTSUPP') throw error;
    }
  }
}
