import { closeSync, constants, openSync, readlinkSync, readSync, type Stats } from 'node:fs';
import { unavailable } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import type { TarEntry } from '#tar/entry.ts';
import { END_OF_ARCHIVE, encodeEntry, padding } from '#tar/writer.ts';
import { getXattr, listXattrs, removeXattr } from '../libc.ts';
import type { ChunkBuffer } from './chunk-buffer.ts';
import { type ListedFile, listDirectory } from './directory-listing.ts';
import { isOpaque } from './layers-below.ts';
import { isOverlayXattr, OPAQUE_WHITEOUT, OPAQUE_XATTR, WHITEOUT_PREFIX } from './overlay-marks.ts';
import { isWhiteout } from './rooted-directories.ts';

/** How much is written between two chances for others. */
const SLICE_BYTES = 4 * 1024 * 1024;

/**
 * Writes an overlay's upper directory as a layer (OCI image-spec, layer.md). The same tree gives the same bytes:
 * entries in order, times in whole seconds, no names of users. Yields now and then so that the caller can let
 * others run; returns the bytes of file content. `settled`: see `settleChanges`; marks of overlayfs's own are taken away.
 */
export function* packLayer(
  root: string,
  output: ChunkBuffer,
  options: { mtime?: number | undefined; settled?: boolean } = {},
): Generator<undefined, number> {
  const packer = new LayerPacker(output, options);
  for (const file of walk(root, '')) {
    yield* packer.add(file);
  }
  output.append(END_OF_ARCHIVE);
  output.flush();
  return packer.bytes;
}

interface WalkedFile extends ListedFile {
  /** In the archive. */
  readonly entryPath: string;
}

function* walk(directory: string, prefix: string): Generator<WalkedFile> {
  for (const file of listDirectory(directory)) {
    const entryPath = prefix + file.name;
    yield { ...file, entryPath };
    if (file.stats.isDirectory()) yield* walk(file.path, `${entryPath}/`);
  }
}

class LayerPacker {
  readonly #output: ChunkBuffer;
  /** First path of every file that has several. */
  readonly #linked = new Map<number, string>();
  readonly #mtime: number | undefined;
  readonly #settled: boolean;
  #sinceYield = 0;
  bytes = 0;

  constructor(output: ChunkBuffer, options: { mtime?: number | undefined; settled?: boolean }) {
    this.#output = output;
    this.#mtime = options.mtime;
    this.#settled = options.settled ?? false;
  }

  *add(file: WalkedFile): Generator<undefined, void> {
    const { stats, entryPath } = file;
    if (stats.isSocket()) return;
    if (isWhiteout(stats)) {
      this.#append(mark(entryPath.slice(0, -file.name.length) + WHITEOUT_PREFIX + file.name, stats));
      return;
    }
    const first = stats.nlink > 1 && !stats.isDirectory() ? this.#linked.get(stats.ino) : undefined;
    if (first !== undefined) {
      this.#append({ ...describe(file), type: 'hardlink', size: 0, linkPath: first });
      return;
    }
    if (stats.nlink > 1 && !stats.isDirectory()) this.#linked.set(stats.ino, entryPath);
    const entry = describe(file);
    this.#append(entry);
    if (entry.type === 'file') yield* this.#content(file.path, entry.size);
    if (entry.type === 'directory' && isOpaque(file.path)) {
      if (this.#settled) removeXattr(file.path, OPAQUE_XATTR);
      else this.#append(mark(`${entryPath}/${OPAQUE_WHITEOUT}`, stats));
    }
    if (this.#sinceYield >= SLICE_BYTES) {
      this.#sinceYield = 0;
      yield;
    }
  }

  *#content(path: string, size: number): Generator<undefined, void> {
    const fd = size === 0 ? undefined : openSync(systemPath(path), constants.O_RDONLY | constants.O_NOFOLLOW);
    if (fd === undefined) return;
    try {
      for (let remaining = size; remaining > 0; ) {
        const space = this.#output.space();
        const read = readSync(fd, space, 0, Math.min(space.length, remaining), null);
        if (read === 0) throw unavailable(`${path} became shorter while it was read`);
        this.#output.advance(read);
        remaining -= read;
        this.#sinceYield += read;
        if (this.#sinceYield >= SLICE_BYTES) {
          this.#sinceYield = 0;
          yield;
        }
      }
    } finally {
      closeSync(fd);
    }
    this.bytes += size;
    this.#output.append(padding(size));
  }

  #append(entry: TarEntry): void {
    const bytes = encodeEntry(this.#mtime === undefined ? entry : { ...entry, mtime: this.#mtime });
    this.#sinceYield += bytes.length;
    this.#output.append(bytes);
  }
}

function describe({ stats, path, entryPath }: WalkedFile): TarEntry {
  const type = typeOf(stats);
  return {
    path: entryPath,
    type,
    mode: stats.mode & 0o7777,
    uid: stats.uid,
    gid: stats.gid,
    size: type === 'file' ? stats.size : 0,
    // Whole seconds, as Docker's own layers have them.
    mtime: Math.floor(stats.mtimeMs / 1000),
    ...(type === 'symlink' && { linkPath: decodeText(readlinkSync(systemPath(path), 'buffer')) }),
    ...((type === 'character' || type === 'block') && device(stats.rdev)),
    xattrs: xattrsOf(path),
  };
}

/** A whiteout's own attributes mean nothing; fixed ones keep the bytes the same. */
function mark(path: string, stats: Stats): TarEntry {
  return { path, type: 'file', mode: 0, uid: 0, gid: 0, size: 0, mtime: Math.floor(stats.mtimeMs / 1000) };
}

function typeOf(stats: Stats): TarEntry['type'] {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  if (stats.isSymbolicLink()) return 'symlink';
  if (stats.isCharacterDevice()) return 'character';
  return stats.isBlockDevice() ? 'block' : 'fifo';
}

/** glibc's gnu_dev_major and gnu_dev_minor, for the 32 bits that the kernel uses. */
function device(rdev: number): { deviceMajor: number; deviceMinor: number } {
  return { deviceMajor: (rdev >>> 8) & 0xfff, deviceMinor: (rdev & 0xff) | ((rdev >>> 12) & 0xfff00) };
}

/** User attributes, capabilities and ACLs travel with a layer; the host's own labels do not. */
function xattrsOf(path: string): ReadonlyMap<string, Uint8Array> | undefined {
  let xattrs: Map<string, Uint8Array> | undefined;
  for (const name of listXattrs(path)) {
    const travels =
      name.startsWith('user.') || name.startsWith('system.posix_acl_') || name === 'security.capability';
    if (!travels || isOverlayXattr(name)) continue;
    const value = getXattr(path, name);
    if (!value) continue;
    xattrs ??= new Map();
    xattrs.set(name, value);
  }
  return xattrs;
}
