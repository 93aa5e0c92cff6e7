import { createHash, type Hash } from 'node:crypto';
import { type FileNode, type FileTree, joinPath } from './file-tree.ts';
import type { SelectedSource } from './select-sources.ts';

const CHUNK_BYTES = 1024 * 1024;

/** What of a file's metadata counts for the cache, because it reaches the layer. */
export interface ChecksumOptions {
  /** Without it the copy gives all files an owner of its own. */
  readonly owners: boolean;
  readonly excludes?: (path: string) => boolean;
}

/**
 * A digest over what COPY would take of a tree: names, types, modes, links, xattrs and contents; never times
 * (Docker's rule: a fresh checkout of the same files is the same context).
 */
export class TreeChecksum {
  readonly #tree: FileTree;
  readonly #contents = new Map<string, string>();
  readonly #buffer = Buffer.allocUnsafe(CHUNK_BYTES);

  constructor(tree: FileTree) {
    this.#tree = tree;
  }

  of(sources: readonly SelectedSource[], options: ChecksumOptions): string {
    const hash = createHash('sha256');
    for (const source of sources) {
      // A directory's own name does not reach the destination, only what is in it.
      this.#add(hash, source.path, source.node.type === 'directory' ? '' : source.name, options);
      hash.update('\n');
    }
    return hash.digest('hex');
  }

  #add(hash: Hash, path: string, name: string, options: ChecksumOptions): void {
    const node = this.#tree.node(path);
    if (!node || options.excludes?.(name)) return;
    hash.update(JSON.stringify(this.#header(path, name, node, options)));
    if (node.type !== 'directory') return;
    for (const child of this.#tree.names(path)) {
      this.#add(hash, joinPath(path, child), joinPath(name, child), options);
    }
  }

  #header(path: string, name: string, node: FileNode, { owners }: ChecksumOptions): unknown[] {
    const xattrs = [...this.#tree.xattrs(path)].map(([key, value]) => [
      key,
      Buffer.from(value).toString('hex'),
    ]);
    return [
      name,
      node.type,
      node.mode,
      owners ? [node.uid, node.gid] : null,
      node.target ?? null,
      [node.deviceMajor ?? 0, node.deviceMinor ?? 0],
      xattrs,
      node.type === 'file' ? this.#content(path, node) : null,
    ];
  }

  #content(path: string, node: FileNode): string {
    const key = node.identity ?? path;
    const known = this.#contents.get(key);
    if (known !== undefined) return known;
    const hash = createHash('sha256');
    for (let offset = 0; ; ) {
      const bytes = this.#tree.read(path, this.#buffer, offset);
      if (bytes === 0) break;
      hash.update(this.#buffer.subarray(0, bytes));
      offset += bytes;
    }
    const digest = hash.digest('hex');
    this.#contents.set(key, digest);
    return digest;
  }
}
