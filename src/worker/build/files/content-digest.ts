import { createHash } from 'node:crypto';
import { readlinkSync, type Stats } from 'node:fs';
import { notFound } from '#errors/errors.ts';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import { getXattr, listXattrs } from '#worker/snapshots/libc.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { isOverlayXattr } from '#worker/snapshots/tree/overlay-marks.ts';
import type { FileDigests } from './file-digests.ts';
import { findSources } from './find-sources.ts';
import { type FilterState, PathFilter } from './path-filter.ts';
import { absolutePath, rootPath, statOf } from './root-path.ts';

/** Which of a tree's files count: what a COPY would take, or what a mount shows. */
export interface ContentSelector {
  /** Absolute in the tree. */
  readonly path: string;
  readonly wildcard?: boolean;
  /** A link at the path's end stands for what it points to. */
  readonly follow?: boolean;
  readonly includePatterns?: readonly string[];
  readonly excludePatterns?: readonly string[];
  readonly requiredPaths?: readonly string[];
}

/**
 * A digest over the selected files: names, types, modes, owners, links, devices, xattrs and contents, and never
 * times (a fresh checkout of the same files is the same context). Throws `not-found` when a path that is no pattern
 * is not there.
 */
export class ContentDigest {
  readonly #root: string;
  readonly #files: FileDigests;

  constructor(root: string, files: FileDigests) {
    this.#root = root;
    this.#files = files;
  }

  of(selector: ContentSelector): string {
    const filter = PathFilter.of(selector);
    if (!selector.wildcard) return this.#one(selector.path, selector, filter);
    const found = findSources(this.#root, selector.path, { follow: selector.follow ?? false });
    const hash = createHash('sha256');
    const name = absolutePath(selector.path).split('/').at(-1);
    // A pattern that stands for one file of that name is that file.
    if (found.length === 1 && found[0]!.split('/').at(-1) === name) {
      return this.#one(found[0]!, selector, filter);
    }
    for (const path of found) hash.update(`${JSON.stringify(path)} ${this.#one(path, selector, filter)}\n`);
    return hash.digest('hex');
  }

  #one(path: string, selector: ContentSelector, filter: PathFilter | undefined): string {
    const real = rootPath(this.#root, absolutePath(path), { followLast: selector.follow ?? false });
    const stats = statOf(real);
    if (!stats) throw notFound(`${JSON.stringify(absolutePath(path))}: not found`);
    if (!filter || !stats.isDirectory()) return this.#whole(real, stats);
    const lines: string[] = [];
    this.#select(real, '', [], { filter, lines, state: undefined });
    for (const required of selector.requiredPaths ?? []) this.#require(path, required, lines);
    const header = path.endsWith('/') ? '' : this.#header(real, stats);
    return digest([header, ...lines]);
  }

  /** All that a file is; of a directory, with everything in it. */
  #whole(path: string, stats: Stats): string {
    // Piece by piece: a directory may hold a million files.
    const hash = createHash('sha256').update(this.#header(path, stats));
    if (stats.isFile()) hash.update(`\n${this.#files.of(path, stats)}`);
    if (stats.isDirectory()) {
      for (const file of listDirectory(path)) {
        if (file.stats.isSocket()) continue;
        hash.update(`\n${JSON.stringify(file.name)} ${this.#whole(file.path, file.stats)}`);
      }
    }
    return hash.digest('hex');
  }

  /** Adds what the filter selects, and the directories on the way to it. */
  #select(
    directory: string,
    relative: string,
    pending: readonly string[],
    walk: { filter: PathFilter; lines: string[]; state: FilterState | undefined },
  ): void {
    const { filter, lines } = walk;
    let above = pending;
    for (const file of listDirectory(directory)) {
      const path = relative === '' ? file.name : `${relative}/${file.name}`;
      const { selected, final, state } = filter.check(path, walk.state);
      const isDirectory = file.stats.isDirectory();
      if (file.stats.isSocket() || (!selected && (!isDirectory || final))) continue;
      const line = `${JSON.stringify(path)} ${this.#header(file.path, file.stats)}`;
      if (selected) {
        const content = file.stats.isFile() ? this.#files.of(file.path, file.stats) : '';
        lines.push(...above, `${line} ${content}`);
        above = [];
      }
      if (!isDirectory) continue;
      const before = lines.length;
      this.#select(file.path, path, selected ? [] : [...above, line], { filter, lines, state });
      if (lines.length > before) above = [];
    }
  }

  #require(path: string, required: string, lines: readonly string[]): void {
    const wanted = absolutePath(required).slice(absolutePath(path).replace(/\/$/, '').length + 1);
    const start = JSON.stringify(wanted).slice(0, -1);
    if (!lines.some((line) => line.startsWith(start))) throw notFound(`${JSON.stringify(required)}`);
  }

  #header(path: string, stats: Stats): string {
    const xattrs = listXattrs(path)
      .filter((name) => !isOverlayXattr(name))
      .sort()
      .map((name) => [name, getXattr(path, name)?.toString('hex')]);
    const link = stats.isSymbolicLink() ? decodeText(readlinkSync(systemPath(path), 'buffer')) : null;
    const isDevice = stats.isCharacterDevice() || stats.isBlockDevice();
    const size = stats.isFile() ? stats.size : 0;
    const { mode, uid, gid, rdev } = stats;
    return JSON.stringify([mode, uid, gid, size, link, isDevice ? rdev : 0, ...xattrs]);
  }
}

function digest(lines: readonly string[]): string {
  return createHash('sha256').update(lines.join('\n')).digest('hex');
}
