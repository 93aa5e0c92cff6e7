import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readlinkSync,
  type Stats,
  symlinkSync,
} from 'node:fs';
import { decodeText, systemPath } from '#tar/byte-text.ts';
import type { TarEntry } from '#tar/entry.ts';
import { END_OF_ARCHIVE, encodeEntry } from '#tar/writer.ts';
import { listXattrs } from '#worker/snapshots/libc.ts';
import { ChunkBuffer } from '#worker/snapshots/tree/chunk-buffer.ts';
import { type ListedFile, listDirectory } from '#worker/snapshots/tree/directory-listing.ts';
import { type Below, lookBelow } from '#worker/snapshots/tree/layers-below.ts';
import { isOverlayXattr } from '#worker/snapshots/tree/overlay-marks.ts';
import { type FoundFile, sameFile, sameMetadata } from '#worker/snapshots/tree/same-file.ts';
import { copyContents } from './file-contents.ts';
import { type FileTime, modifiedAt, setTime } from './file-metadata.ts';
import { absolutePath, rootPath, statOf } from './root-path.ts';
import { SharedWriting, type WritingHelp } from './shared-writing.ts';
import type { TreeCopyOptions } from './tree-copy.ts';

const CHUNK_BYTES = 256 * 1024;
/** Every file system keeps times up to it, in seconds. */
const LATEST = 2 ** 31 - 1;
const NOT_SHARED = new SharedWriting(undefined);
const NOTHING: Below = { stats: undefined, path: undefined, directories: [] };

/** A layer as its tar is. */
export interface CopiedLayer {
  readonly diffId: string;
  /** Of file content. */
  readonly bytes: number;
  readonly tarBytes: number;
}

interface LayerCopyRequest {
  /** Root of the tree that is copied from. */
  readonly source: string;
  /** In it, as `TreeCopy.copy` takes it, but for what is a pattern. */
  readonly path: string;
  readonly destination: string;
  readonly contents: boolean;
  readonly follow: boolean;
  /** An empty directory that becomes the layer, and those that it stands on, top first. Not mounted. */
  readonly upper: string;
  readonly lowers: readonly string[];
  /** A thread that writes some of the files. */
  readonly help?: WritingHelp | undefined;
}

/** Somewhere in the layer, made when something in it is. */
interface Directory {
  readonly path: string;
  readonly entryPath: string;
  /** What it is in the layers below. */
  readonly below: readonly string[];
  readonly parent: Directory | undefined;
  readonly attributes: Attributes;
  made: boolean;
}

interface Attributes {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly time: FileTime;
}

/**
 * Copies as `TreeCopy` does, but into a layer of its own rather than into a mounted file system, and makes the layer's
 * digest of what it writes while it writes it: no file is looked at twice, and none goes through overlayfs. Answers
 * undefined, with the layer half done, where that is not plain: links on the way, attributes, devices, what gives way to
 * something else. Synchronous, for a thread of its own.
 */
export function copyIntoLayer(request: LayerCopyRequest, options: TreeCopyOptions): CopiedLayer | undefined {
  const sharing = new SharedWriting(request.help);
  try {
    return new LayerCopy(request, options, sharing).run();
  } catch (error) {
    if (error instanceof NotPlain) return undefined;
    throw error;
  } finally {
    sharing.close();
  }
}

class NotPlain extends Error {}

class LayerCopy {
  readonly #request: LayerCopyRequest;
  readonly #options: TreeCopyOptions;
  readonly #sharing: SharedWriting;
  readonly #now: FileTime;
  readonly #hash = createHash('sha256');
  readonly #output: ChunkBuffer;
  /** Of each file that has several names, the first. */
  readonly #linked = new Map<string, { path: string; entryPath: string }>();
  readonly #made: Directory[] = [];
  #bytes = 0;
  #tarBytes = 0;

  constructor(request: LayerCopyRequest, options: TreeCopyOptions, sharing: SharedWriting) {
    this.#request = request;
    this.#options = options;
    this.#sharing = sharing;
    this.#now = modifiedAt({ mtimeMs: Date.now() });
    this.#output = new ChunkBuffer(CHUNK_BYTES, (chunk) => {
      this.#hash.update(chunk);
      this.#tarBytes += chunk.length;
    });
  }

  run(): CopiedLayer {
    const { source, path, contents, follow } = this.#request;
    const from = rootPath(source, path, { followLast: follow });
    const stats = statOf(from);
    if (!stats || hasXattrs(from)) throw new NotPlain();
    if (!stats.isDirectory()) this.#copyFile({ name: namesOf(path).at(-1) ?? '', path: from, stats });
    else if (contents) this.#copyContents(from, stats);
    else throw new NotPlain();
    this.#sharing.finish();
    for (const directory of this.#made.reverse()) describeDirectory(directory);
    this.#output.append(END_OF_ARCHIVE);
    this.#output.flush();
    return {
      diffId: `sha256:${this.#hash.digest('hex')}`,
      bytes: this.#bytes,
      tarBytes: this.#tarBytes,
    };
  }

  #copyContents(from: string, stats: Stats): void {
    const time = this.#options.time ?? modifiedAt(stats);
    const target = this.#destination(this.#request.destination, time);
    // Where nothing comes of it, what is below may have to be given another time all the same.
    if (target.below.length === 0) this.#make(target);
    this.#copyDirectory(from, target);
    if (!target.made) throw new NotPlain();
  }

  /** A destination that ends in a slash, or is a directory, takes a file under its own name. */
  #copyFile(file: ListedFile): void {
    const { destination } = this.#request;
    const whole = absolutePath(destination);
    const slash = whole.lastIndexOf('/');
    const there = this.#below(whole).at(-1)?.stats;
    const into = /\/\.?$/.test(destination) || whole === '/' || there?.isDirectory();
    const parent = this.#destination(into ? whole : whole.slice(0, slash));
    const name = into ? file.name : whole.slice(slash + 1);
    const below = lookBelow(parent.below, name);
    // A link there is followed, as those on the way are.
    if (below.stats && !below.stats.isFile()) throw new NotPlain();
    if (this.#place(file, below, parent, name)) return;
    // It is there already: the layer is an empty one, or one with nothing but a directory's time.
    throw new NotPlain();
  }

  #copyDirectory(source: string, target: Directory): void {
    for (const file of listDirectory(source)) {
      if (file.stats.isSocket()) continue;
      if (hasXattrs(file.path)) throw new NotPlain();
      const below = target.below.length === 0 ? NOTHING : lookBelow(target.below, file.name);
      if (file.stats.isDirectory()) this.#copySubdirectory(file, below, target);
      else this.#place(file, below, target, file.name);
    }
  }

  #copySubdirectory(file: ListedFile, below: Below, parent: Directory): void {
    const directory = {
      path: `${parent.path}/${file.name}`,
      entryPath: joined(parent.entryPath, file.name),
      below: below.directories,
      parent,
      attributes: this.#attributes(file.stats),
      made: false,
    };
    if (!below.stats) this.#make(directory);
    else if (!isPlainDirectory(below)) throw new NotPlain();
    this.#copyDirectory(file.path, directory);
    if (directory.made) return;
    const before = { path: below.path!, stats: below.stats! };
    const after = foundAs(file, directory.attributes);
    const same = sameMetadata(before, after);
    if (same && before.stats.mtimeMs === after.stats.mtimeMs) return;
    // The time of a directory that was changed and changed back says nothing; which one that is, is not known here.
    if (same && after.stats.mtimeMs >= Date.now() - 1000) throw new NotPlain();
    this.#make(directory);
  }

  /** Puts anything but a directory into one. Answers false if that changes nothing. */
  #place(file: ListedFile, below: Below, parent: Directory, name: string): boolean {
    const { stats } = file;
    if (!stats.isFile() && !stats.isSymbolicLink()) throw new NotPlain();
    const key = stats.isFile() && stats.nlink > 1 ? `${stats.dev}:${stats.ino}` : undefined;
    const attributes = this.#attributes(stats);
    if (below.stats) {
      if (below.stats.isDirectory() || key !== undefined) throw new NotPlain();
      if (sameFile({ path: below.path!, stats: below.stats }, foundAs(file, attributes))) return false;
    }
    this.#make(parent);
    const path = `${parent.path}/${name}`;
    const entryPath = joined(parent.entryPath, name);
    const first = key === undefined ? undefined : this.#linked.get(key);
    if (first) {
      linkSync(systemPath(first.path), systemPath(path));
      this.#append({ path: entryPath, type: 'hardlink', size: 0, linkPath: first.entryPath }, attributes);
      return true;
    }
    if (key !== undefined) this.#linked.set(key, { path, entryPath });
    if (stats.isSymbolicLink()) this.#link(file.path, path, entryPath, attributes);
    else {
      this.#append({ path: entryPath, type: 'file', size: stats.size }, attributes);
      // One that gets another name is there at once.
      const sharing = key === undefined ? this.#sharing : NOT_SHARED;
      copyContents(file, { path, ...attributes }, this.#output, sharing);
      this.#bytes += stats.size;
    }
    return true;
  }

  #link(source: string, path: string, entryPath: string, attributes: Attributes): void {
    const { uid, gid, time } = attributes;
    const target = readlinkSync(systemPath(source), 'buffer');
    symlinkSync(target, systemPath(path));
    if (uid !== 0 || gid !== 0) lchownSync(systemPath(path), uid, gid);
    setTime(path, time);
    this.#append({ path: entryPath, type: 'symlink', size: 0, linkPath: decodeText(target) }, attributes);
  }

  /** What the layers below have at each part of a path. */
  #below(path: string): Below[] {
    const found: Below[] = [];
    let lowers = this.#request.lowers;
    for (const name of namesOf(path)) {
      const below = lookBelow(lowers, name);
      found.push(below);
      lowers = below.directories;
    }
    return found;
  }

  /**
   * The directory that a path is, or is to be. Those above keep the time they have, but the last that is there has what
   * is made in it to thank for a new one. `own`: the time of the directory itself; otherwise something is made in it.
   */
  #destination(path: string, own?: FileTime): Directory {
    const { upper, lowers } = this.#request;
    const { owner, parentMode = 0o755, time = this.#now } = this.#options;
    const names = namesOf(path);
    const found = this.#below(path);
    if (found.some((below) => below.stats && !isPlainDirectory(below))) throw new NotPlain();
    const missing = found.findIndex(({ stats }) => !stats);
    const { uid, gid } = owner ?? { uid: 0, gid: 0 };
    let directory: Directory = {
      path: upper,
      entryPath: '',
      below: lowers,
      parent: undefined,
      attributes: { mode: 0, uid: 0, gid: 0, time: this.#now },
      made: true,
    };
    for (const [at, { stats, directories }] of found.entries()) {
      const isLast = at === found.length - 1;
      const changed = at === missing - 1 || isLast;
      const attributes = stats
        ? {
            mode: stats.mode & 0o7777,
            uid: stats.uid,
            gid: stats.gid,
            time: changed ? this.#now : modifiedAt(stats),
          }
        : { mode: parentMode, uid, gid, time };
      directory = {
        path: `${directory.path}/${names[at]}`,
        entryPath: joined(directory.entryPath, names[at]!),
        below: directories,
        parent: directory,
        attributes: isLast && own ? { ...attributes, time: own } : attributes,
        made: false,
      };
    }
    return directory;
  }

  #attributes(stats: Stats): Attributes {
    const { owner = stats, mode, time = modifiedAt(stats) } = this.#options;
    const { uid, gid } = owner;
    if (time.seconds < 0 || time.seconds > LATEST) throw new NotPlain();
    const wanted = stats.mode & 0o7777;
    // A link has no mode of its own.
    return {
      mode: stats.isSymbolicLink() ? wanted : (mode?.(wanted, stats.isDirectory()) ?? wanted),
      uid,
      gid,
      time,
    };
  }

  #make(directory: Directory): void {
    if (directory.made) return;
    if (directory.parent) this.#make(directory.parent);
    directory.made = true;
    mkdirSync(systemPath(directory.path), 0o700);
    this.#made.push(directory);
    this.#append({ path: directory.entryPath, type: 'directory', size: 0 }, directory.attributes);
  }

  #append(entry: Pick<TarEntry, 'path' | 'type' | 'size' | 'linkPath'>, attributes: Attributes): void {
    const { mode, uid, gid, time } = attributes;
    this.#output.append(
      encodeEntry({ ...entry, mode, uid, gid, mtime: Math.floor(milliseconds(time) / 1000) }),
    );
  }
}

/** Last of all: its time changes with what is made in it, and its mode and owner would be given on. */
function describeDirectory({ path, attributes: { mode, uid, gid, time } }: Directory): void {
  chownSync(systemPath(path), uid, gid);
  chmodSync(systemPath(path), mode);
  setTime(path, time);
}

/** What a file will be found as. */
function foundAs({ path, stats }: ListedFile, { mode, uid, gid, time }: Attributes): FoundFile {
  const type = stats.mode & ~0o7777;
  const after = { mode: type | mode, uid, gid, mtimeMs: milliseconds(time) };
  return { path, stats: Object.assign(Object.create(stats) as Stats, after) };
}

/** As `Stats.mtimeMs` has it. */
function milliseconds({ seconds, nanoseconds }: FileTime): number {
  return seconds * 1000 + nanoseconds / 1e6;
}

/** What it has would otherwise be kept, or given on to what is made in it. */
function isPlainDirectory({ stats, path }: Below): boolean {
  return stats!.isDirectory() && (stats!.mode & 0o2000) === 0 && !hasXattrs(path!);
}

function hasXattrs(path: string): boolean {
  return listXattrs(path).some((name) => !isOverlayXattr(name));
}

function joined(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

function namesOf(path: string): string[] {
  return absolutePath(path).split('/').filter(Boolean);
}
