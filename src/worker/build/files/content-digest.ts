import { createHash } from 'node:crypto';
import { readlinkSync, type Stats } from 'node:fs';
import { notFound } from '#errors/errors.ts';
import { encodeText, systemPath } from '#tar/byte-text.ts';
import { getXattr, listXattrs } from '#worker/snapshots/libc.ts';
import { listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { isOverlayXattr } from '#worker/snapshots/tree/overlay-marks.ts';
import { hasWildcards } from '../context/path-match.ts';
import type { ContentManifest } from './content-manifest.ts';
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

interface Listed {
  /** As it is hashed: what follows the part without wildcards. */
  readonly path: string;
  readonly digest: string;
}

/** A directory on the way to what may be selected. */
interface Above {
  readonly path: string;
  readonly file: string;
  readonly stats: Stats;
  listed: boolean;
}

interface Walk {
  readonly selector: ContentSelector;
  readonly filter: PathFilter | undefined;
  readonly listed: Listed[];
}

/**
 * A digest over the selected files: names, types, modes, owners, links, xattrs and contents, and never times (a fresh
 * checkout of the same files is the same context). It is BuildKit's (cache/contenthash), byte for byte, so that
 * records of either builder's cache are found by the other; but numbers of devices count here.
 */
export class ContentDigest {
  readonly #root: string;
  readonly #files: FileDigests;
  readonly #rootKnown: boolean;
  readonly #manifest: ContentManifest | undefined;

  /**
   * `rootKnown`: whether the root's own mode and owner are part of the tree; of what a client sent they are not.
   * `manifest`: takes down what is selected.
   */
  constructor(
    root: string,
    files: FileDigests,
    { rootKnown, manifest }: { rootKnown: boolean; manifest?: ContentManifest },
  ) {
    this.#root = root;
    this.#files = files;
    this.#rootKnown = rootKnown;
    this.#manifest = manifest;
  }

  /** Throws `not-found` when a path that is no pattern is not there. */
  of(selectors: readonly ContentSelector[]): string {
    return sha256(
      deduped(selectors)
        .map((selector) => this.#one(selector))
        .join('\0'),
    );
  }

  #one(selector: ContentSelector): string {
    const path = absolutePath(selector.path);
    const filter = PathFilter.of(selector);
    if (!selector.wildcard && !filter) return this.#plain(path, selector.follow ?? false);
    const walk: Walk = { selector, filter, listed: [] };
    const { base, prefix, tops } = this.#tops(path, selector);
    for (const top of tops) this.#list(walk, top, top.slice(base.length), '', []);
    for (const required of selector.requiredPaths ?? []) {
      const wanted = absolutePath(required);
      if (!walk.listed.some((one) => `${prefix}${one.path}`.startsWith(wanted))) {
        throw notFound(`${JSON.stringify(required)}: not found`);
      }
    }
    // A pattern that stands for one file of that name is that file.
    const [only, ...others] = walk.listed;
    if (only && others.length === 0 && nameOf(`${prefix}${only.path}`) === nameOf(path)) return only.digest;
    const hash = createHash('sha256');
    for (const one of walk.listed) hash.update(keyOf(one.path)).update(one.digest);
    return `sha256:${hash.digest('hex')}`;
  }

  /** Where the listing begins on the disk, how that is written, and what is listed there. */
  #tops(path: string, { wildcard, follow = false }: ContentSelector) {
    if (!wildcard) {
      const real = rootPath(this.#root, path, { followLast: false });
      if (!statOf(real)) throw notFound(`${JSON.stringify(path)}: not found`);
      return { base: real, prefix: path === '/' ? '' : path, tops: [real] };
    }
    const parts = path.split('/').slice(1);
    const fixed = parts.slice(0, parts.findIndex(hasWildcards)).join('/');
    const base = rootPath(this.#root, fixed, { followLast: true });
    const found = findSources(this.#root, path, { follow });
    const tops = found.map((one) => `${this.#root}${one}`).filter((top) => top.startsWith(`${base}/`));
    return { base, prefix: fixed && `/${fixed}`, tops };
  }

  /** Lists what is selected, and the directories on the way to it. */
  #list(
    walk: Walk,
    file: string,
    path: string,
    relative: string,
    above: readonly Above[],
    before?: FilterState,
  ) {
    const stats = statOf(file);
    if (!stats || stats.isSocket()) return;
    const isWhole = file === this.#root;
    const verdict = isWhole ? undefined : walk.filter?.check(relative, before);
    const selected = verdict?.selected ?? true;
    if (!stats.isDirectory()) {
      if (!selected) return;
      this.#listAbove(walk, above);
      // Only what is named itself is followed, as a copy does.
      const followed = stats.isSymbolicLink() && walk.selector.follow && above.length === 0;
      const digest = followed ? this.#plain(file.slice(this.#root.length), true) : this.#file(file, stats);
      walk.listed.push({ path, digest });
      return;
    }
    // A copy of the root is one of what is in it.
    const own: Above = { path, file, stats, listed: false };
    const chain = isWhole ? above : [...above, own];
    if (selected && !isWhole) this.#listAbove(walk, chain);
    if (verdict?.final) return;
    for (const child of listDirectory(file)) {
      const name = relative === '' ? child.name : `${relative}/${child.name}`;
      this.#list(walk, child.path, `${path}/${child.name}`, name, chain, verdict?.state);
    }
  }

  #listAbove(walk: Walk, above: readonly Above[]): void {
    for (const directory of above) {
      if (directory.listed) continue;
      directory.listed = true;
      walk.listed.push({ path: directory.path, digest: this.#directory(directory.file, directory.stats) });
    }
  }

  #plain(path: string, follow: boolean): string {
    const real = rootPath(this.#root, path, { followLast: follow });
    const stats = statOf(real);
    if (!stats) throw notFound(`${JSON.stringify(absolutePath(path))}: not found`);
    return this.#whole(real, stats);
  }

  /** All that a file is; of a directory, with everything in it. */
  #whole(path: string, stats: Stats): string {
    if (!stats.isDirectory()) return this.#file(path, stats);
    const known = this.#files.whole(path, (name, entry) => this.#manifest?.addKnown(name, entry));
    if (known !== undefined) return known;
    // Piece by piece: a directory may hold a million files.
    const hash = createHash('sha256');
    const bare = path === this.#root && !this.#rootKnown;
    hash.update('\0').update(bare ? `sha256:${sha256Of('')}` : this.#directory(path, stats));
    for (const file of listDirectory(path)) {
      if (file.stats.isSocket()) continue;
      hash.update(encodeText(`\0${file.name}`)).update(this.#whole(file.path, file.stats));
    }
    const digest = `sha256:${hash.digest('hex')}`;
    this.#files.noteWhole(path, digest);
    return digest;
  }

  #file(path: string, stats: Stats): string {
    const header = () => this.#header(path, stats);
    const digest = stats.isFile() ? this.#files.of(path, stats, header) : sha256Of(header());
    return this.#noted(path, stats, digest);
  }

  /** Of a directory itself. */
  #directory(path: string, stats: Stats): string {
    return this.#noted(path, stats, sha256Of(this.#header(path, stats)));
  }

  #noted(path: string, stats: Stats, digest: string): string {
    this.#files.note(path, stats, digest);
    this.#manifest?.add(path.slice(this.#root.length + 1), stats, digest);
    return `sha256:${digest}`;
  }

  /** As of an archive's entry, in the old form that is called tarsum. */
  #header(path: string, stats: Stats): Buffer {
    const link = stats.isSymbolicLink() ? readlinkSync(systemPath(path), 'buffer') : undefined;
    const isDevice = stats.isCharacterDevice() || stats.isBlockDevice();
    const mode = (stats.mode & 0o7777) | (link ? 0o777 : 0);
    const { uid, gid } = stats;
    const size = stats.isFile() ? stats.size : 0;
    const device = isDevice ? stats.rdev : 0;
    const xattrs = listXattrs(path)
      .filter((name) => !isOverlayXattr(name) && isCounted(name))
      .sort()
      .flatMap((name) => [Buffer.from(name), getXattr(path, name) ?? Buffer.of()]);
    return Buffer.concat([
      Buffer.from(`namemode${mode}uid${uid}gid${gid}size${size}typeflag${typeOf(stats)}linkname`),
      link ?? Buffer.of(),
      Buffer.from(`unamegnamedevmajor${device >> 8}devminor${device & 0xff}`),
      ...xattrs,
    ]);
  }
}

function isCounted(xattr: string): boolean {
  return xattr === 'security.capability' || !/^(?:security|system)\./.test(xattr);
}

function typeOf(stats: Stats): string {
  if (stats.isDirectory()) return '5';
  if (stats.isSymbolicLink()) return '2';
  if (stats.isCharacterDevice()) return '3';
  if (stats.isBlockDevice()) return '4';
  return stats.isFIFO() ? '6' : '0';
}

/** Without those that others contain, by path. */
function deduped(selectors: readonly ContentSelector[]): readonly ContentSelector[] {
  if (selectors.length === 0) return [{ path: '/' }];
  const isPlain = (one: ContentSelector) => !one.wildcard && PathFilter.of(one) === undefined;
  const plain = [false, true].flatMap((follow) => {
    const paths = selectors
      .filter((one) => isPlain(one) && (one.follow ?? false) === follow)
      .map(({ path }) => path);
    return outermost(paths).map((path) => ({ path, follow }));
  });
  return [...plain, ...selectors.filter((one) => !isPlain(one))].sort((a, b) =>
    Buffer.compare(encodeText(a.path), encodeText(b.path)),
  );
}

function outermost(paths: readonly string[]): readonly string[] {
  if (paths.length <= 1) return paths;
  const different = [...new Set(paths)];
  return different.filter(
    (path) => !different.some((other) => other !== path && path.startsWith(other.replace(/\/?$/, '/'))),
  );
}

function nameOf(path: string): string {
  return path.split('/').findLast((part) => part !== '') ?? '/';
}

function keyOf(path: string): Buffer {
  return encodeText(path === '' ? '\0' : path.replaceAll('/', '\0'));
}

function sha256(text: string): string {
  return `sha256:${sha256Of(text)}`;
}

function sha256Of(data: string | Buffer): string {
  return createHash('sha256').update(data).digest('hex');
}
