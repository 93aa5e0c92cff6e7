import { closeSync, openSync, readSync } from 'node:fs';
import { invalid, tooLarge } from '#errors/errors.ts';
import type { TarEntry } from '#tar/entry.ts';
import { TarParser } from '#tar/parser.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';
import type { FileNode, FileTree } from './file-tree.ts';
import { joinPath, resolvePath } from './file-tree.ts';

interface ArchiveNode {
  readonly node: FileNode;
  readonly xattrs?: ReadonlyMap<string, Uint8Array>;
  /** Where a file's content begins in the archive. */
  offset: number;
  /** Of a directory. */
  readonly children?: Set<string>;
}

export interface ArchiveLimits {
  readonly maxEntries: number;
}

const CHUNK_BYTES = 1024 * 1024;
const NO_XATTRS: ReadonlyMap<string, Uint8Array> = new Map();

/**
 * A tar file as a tree, without unpacking it: an index of its entries, whose contents stay where they are. A
 * hostile archive has nothing to escape from, a cached build writes no file, and a copy reads each byte once.
 */
export class ArchiveTree implements FileTree, Disposable {
  readonly #fd: number;
  readonly #nodes = new Map<string, ArchiveNode>();

  /** Throws `invalid` for a broken archive, `too-large`, and `unsupported` for sparse files. */
  constructor(file: string, limits: ArchiveLimits) {
    this.#fd = openSync(file, 'r');
    this.#nodes.set('', { node: impliedDirectory(), offset: 0, children: new Set() });
    try {
      this.#index(limits);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  node(path: string): FileNode | undefined {
    return this.#nodes.get(path)?.node;
  }

  names(path: string): string[] {
    return [...(this.#nodes.get(path)?.children ?? [])].sort();
  }

  xattrs(path: string): ReadonlyMap<string, Uint8Array> {
    return this.#nodes.get(path)?.xattrs ?? NO_XATTRS;
  }

  read(path: string, buffer: Uint8Array, offset: number): number {
    const found = this.#nodes.get(path);
    const length = Math.min(buffer.length, (found?.node.size ?? 0) - offset);
    return found && length > 0 ? readSync(this.#fd, buffer, 0, length, found.offset + offset) : 0;
  }

  /** Takes away what the rules ignore; directories stay while something in them does. */
  exclude(ignores: (path: string) => boolean): void {
    const visit = (path: string): boolean => {
      const { children } = this.#nodes.get(path)!;
      for (const name of children ?? []) {
        if (visit(joinPath(path, name))) children!.delete(name);
      }
      const gone = path !== '' && !children?.size && ignores(path);
      if (gone) this.#nodes.delete(path);
      return gone;
    };
    visit('');
  }

  [Symbol.dispose](): void {
    closeSync(this.#fd);
  }

  #index(limits: ArchiveLimits): void {
    let current: ArchiveNode | undefined;
    let base = 0;
    const buffer = Buffer.allocUnsafe(CHUNK_BYTES);
    const parser = new TarParser(
      {
        entry: (entry) => {
          if (this.#nodes.size > limits.maxEntries) {
            throw tooLarge(`the archive has more than ${limits.maxEntries} files`);
          }
          current = this.#add(entry);
        },
        data: (bytes) => {
          // The first piece of an entry's content tells where it is.
          if (current) current.offset = base + (bytes.byteOffset - buffer.byteOffset);
          current = undefined;
        },
        end: () => {
          current = undefined;
        },
      },
      { maxEntries: limits.maxEntries },
    );
    for (;;) {
      const bytes = readSync(this.#fd, buffer, 0, buffer.length, base);
      if (bytes === 0) break;
      parser.write(buffer.subarray(0, bytes));
      base += bytes;
    }
    parser.finish();
  }

  #add(entry: TarEntry): ArchiveNode | undefined {
    const path = safePath(entry.path);
    if (path === '') return undefined;
    const [parentPath, name] = splitParent(path);
    const parent = this.#directory(parentPath);
    const real = joinPath(parent, name);
    const before = this.#nodes.get(real);
    const added = entry.type === 'hardlink' ? this.#link(entry) : describe(entry, before);
    if (before?.children && !added.children) this.#remove(real);
    this.#nodes.set(real, added);
    this.#nodes.get(parent)!.children!.add(name);
    // A hard link is another name for content that has its place already.
    return entry.type === 'file' ? added : undefined;
  }

  #link(entry: TarEntry): ArchiveNode {
    const target = safePath(entry.linkPath ?? '');
    const path = resolvePath(this, target, { followLast: false });
    const found = path === undefined ? undefined : this.#nodes.get(path);
    if (!found || found.children) {
      throw invalid(`invalid tar: ${JSON.stringify(entry.path)} is a hard link to a file that is not there`);
    }
    if (found.node.identity !== undefined) return found;
    const shared = { ...found, node: { ...found.node, identity: path! } };
    this.#nodes.set(path!, shared);
    return shared;
  }

  /** The real path of a directory, made when nothing described it; symbolic links are followed in the tree. */
  #directory(path: string): string {
    if (this.#nodes.get(path)?.children) return path;
    const known = resolvePath(this, path);
    if (known !== undefined) {
      if (this.#nodes.get(known)!.children) return known;
      throw invalid(`invalid tar: ${JSON.stringify(path)} is not a directory`);
    }
    const [parentPath, name] = splitParent(path);
    const parent = this.#directory(parentPath);
    const real = joinPath(parent, name);
    if (this.#nodes.has(real)) throw invalid(`invalid tar: ${JSON.stringify(path)} leads nowhere`);
    this.#nodes.set(real, { node: impliedDirectory(), offset: 0, children: new Set() });
    this.#nodes.get(parent)!.children!.add(name);
    return real;
  }

  #remove(path: string): void {
    for (const name of this.#nodes.get(path)?.children ?? []) this.#remove(joinPath(path, name));
    this.#nodes.delete(path);
  }
}

function describe(entry: TarEntry, before: ArchiveNode | undefined): ArchiveNode {
  const type = entry.type === 'hardlink' ? 'file' : entry.type;
  const node: FileNode = {
    type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    size: entry.size,
    mtime: entry.mtime,
    mtimeNanoseconds: entry.mtimeNanoseconds ?? 0,
    ...(type === 'symlink' && { target: entry.linkPath ?? '' }),
    ...((type === 'character' || type === 'block') && {
      deviceMajor: entry.deviceMajor ?? 0,
      deviceMinor: entry.deviceMinor ?? 0,
    }),
  };
  return {
    node,
    offset: 0,
    ...(entry.xattrs?.size && { xattrs: entry.xattrs }),
    ...(type === 'directory' && { children: before?.children ?? new Set<string>() }),
  };
}

/** A directory that no entry describes is as one that was made just now. */
function impliedDirectory(): FileNode {
  const mtime = Math.floor(Date.now() / 1000);
  return { type: 'directory', mode: 0o755, uid: 0, gid: 0, size: 0, mtime, mtimeNanoseconds: 0 };
}
