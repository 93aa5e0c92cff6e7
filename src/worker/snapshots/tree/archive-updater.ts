import { hash } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync, symlinkSync } from 'node:fs';
import { invalid, systemCode } from '#errors/errors.ts';
import { systemPath } from '#tar/byte-text.ts';
import type { TarEntry } from '#tar/entry.ts';
import type { TarSink } from '#tar/parser.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';
import { setPathTimes } from '../libc.ts';
import { forgetBelow, type IndexedEntry } from './archive-index.ts';
import { ComparedFile, NewFile, SmallFile } from './archived-file.ts';
import { LayerUnpacker } from './layer-unpacker.ts';

/** Files up to it are held in memory until it is known whether they have changed. */
const MAX_HELD_BYTES = 1024 * 1024;
/** An index of more is not kept: it would have to be in memory as a whole. */
const MAX_INDEXED = 200_000;

/** The contents of a file while they are read. `finish` answers their SHA-256, and whether they were there already. */
export interface ArchivedFile {
  data(bytes: Uint8Array): void;
  finish(): { content: string; changed: boolean };
  close(): void;
}

/**
 * Makes a directory equal to an archive by writing what has changed since the archive that it was last made equal to.
 * What it held is known from an index, so that files which are as they were take no system call. Modification times are
 * kept right, but are no change.
 *
 * It does so as long as the archive is as simple as those of clients are: directories come before what is in them, and
 * nothing comes twice. From the first entry on that is otherwise everything is unpacked, by the rules for any archive,
 * over what the entries before it have made; then no index is left.
 */
export class ArchiveUpdater implements TarSink {
  readonly #root: string;
  readonly #known: Map<string, IndexedEntry>;
  readonly #now = new Map<string, IndexedEntry>();
  /** Directories whose times have to be set. */
  readonly #touched = new Set<string>();
  readonly #needsChmod = process.umask() | 0o7000;
  #file: { readonly path: string; readonly entry: TarEntry; readonly body: ArchivedFile } | undefined;
  #plain: LayerUnpacker | undefined;
  #changed = false;
  /** Of file content, so far. */
  bytes = 0;

  /** `known`: what is in the directory; it is used up. */
  constructor(root: string, known: Map<string, IndexedEntry>) {
    this.#root = root;
    this.#known = known;
  }

  /** What the directory holds now; undefined: it cannot be told. After `finish`. */
  get index(): ReadonlyMap<string, IndexedEntry> | undefined {
    return this.#plain ? undefined : this.#now;
  }

  /** Whether the index is another one than before. After `finish`. */
  get changed(): boolean {
    return this.#changed;
  }

  entry(entry: TarEntry): void {
    const path = safePath(entry.path);
    if (!this.#plain && !this.#isSimple(path, entry)) this.#unpackFromHere();
    if (this.#plain) {
      this.#plain.entry(entry);
      return;
    }
    try {
      if (entry.type === 'file') this.#beginFile(path, entry);
      else if (entry.type === 'directory') this.#directory(path, entry);
      else this.#link(path, entry);
    } catch (error) {
      if (systemCode(error) === 'ENAMETOOLONG') throw invalid('invalid tar: a file name is too long');
      throw error;
    }
  }

  data(bytes: Uint8Array): void {
    if (this.#plain) {
      this.#plain.data(bytes);
      return;
    }
    this.bytes += bytes.length;
    this.#file?.body.data(bytes);
  }

  end(): void {
    if (this.#plain) {
      this.#plain.end();
      return;
    }
    const file = this.#file;
    if (!file) return;
    this.#file = undefined;
    const { path, entry } = file;
    const { content, changed } = file.body.finish();
    const known = this.#known.get(path);
    const target = this.#path(path);
    if (changed) {
      if (entry.mode & this.#needsChmod) chmodSync(systemPath(target), entry.mode);
      this.#touch(path);
    } else if (known?.mode !== entry.mode) {
      chmodSync(systemPath(target), entry.mode);
    }
    this.#settle(path, entry, content, changed);
  }

  /** Call when the archive ended well. */
  finish(): void {
    if (this.#plain) {
      this.#plain.finish();
      this.bytes += this.#plain.bytes;
      return;
    }
    this.#removeStale();
    for (const path of this.#touched) {
      const entry = this.#now.get(path);
      if (entry) setPathTimes(this.#path(path), ...timeOf(entry));
    }
  }

  /** Call in any case. */
  close(): void {
    this.#file?.body.close();
    this.#file = undefined;
    this.#plain?.close();
  }

  #isSimple(path: string, { type, xattrs }: TarEntry): boolean {
    if (type !== 'file' && type !== 'directory' && type !== 'symlink') return false;
    if (xattrs || this.#now.has(path) || this.#now.size >= MAX_INDEXED) return false;
    if (path === '') return type === 'directory';
    const [parent] = splitParent(path);
    return parent === '' || this.#now.get(parent)?.type === 'directory';
  }

  /** What is on the disk is then what unpacking the archive so far would have made. */
  #unpackFromHere(): void {
    this.#removeStale();
    this.#plain = new LayerUnpacker(this.#root, { plain: true });
    for (const [path, entry] of this.#now) {
      if (entry.type !== 'directory') continue;
      const [mtime, mtimeNanoseconds] = timeOf(entry);
      this.#plain.entry({
        ...{ path, type: 'directory', mode: entry.mode, uid: 0, gid: 0, size: 0 },
        ...{ mtime, mtimeNanoseconds },
      });
    }
    this.#now.clear();
  }

  #beginFile(path: string, entry: TarEntry): void {
    const known = this.#known.get(path);
    const target = this.#path(path);
    const create = () => new NewFile(target, entry.mode);
    let body: ArchivedFile;
    if (known?.type !== 'file' || known.size !== entry.size) {
      if (known) this.#remove(path);
      body = create();
    } else if (entry.size <= MAX_HELD_BYTES) {
      body = new SmallFile(target, { content: known.content, mode: entry.mode });
    } else {
      body = new ComparedFile(target, { content: known.content, mode: entry.mode });
    }
    this.#file = { path, entry, body };
  }

  #directory(path: string, entry: TarEntry): void {
    const known = this.#known.get(path);
    const target = this.#path(path);
    const isThere = path === '' || known?.type === 'directory';
    if (!isThere) {
      if (known) this.#remove(path);
      mkdirSync(systemPath(target), entry.mode);
      this.#touch(path);
    }
    if (!isThere || known?.mode !== entry.mode) chmodSync(systemPath(target), entry.mode);
    if (!isThere || known?.mtime !== mtimeOf(entry)) this.#touched.add(path);
    this.#note(path, entry, '');
  }

  #link(path: string, entry: TarEntry): void {
    const known = this.#known.get(path);
    const content = entry.linkPath ?? '';
    const isThere = known?.type === 'symlink' && known.content === content;
    if (!isThere) {
      if (known) this.#remove(path);
      symlinkSync(systemPath(content), systemPath(this.#path(path)));
      this.#touch(path);
    }
    this.#settle(path, entry, content, !isThere);
  }

  #settle(path: string, entry: TarEntry, content: string, changed: boolean): void {
    if (changed || this.#known.get(path)?.mtime !== mtimeOf(entry)) {
      setPathTimes(this.#path(path), entry.mtime, entry.mtimeNanoseconds ?? 0);
    }
    this.#note(path, entry, content);
  }

  #note(path: string, entry: TarEntry, content: string): void {
    const { mode, size } = entry;
    const type = entry.type as IndexedEntry['type'];
    const noted = { type, mode, size, mtime: mtimeOf(entry), content };
    const known = this.#known.get(path);
    this.#changed ||= !known || JSON.stringify(known) !== JSON.stringify(noted);
    this.#now.set(path, noted);
    this.#known.delete(path);
  }

  /** What the archive does not have (any more). */
  #removeStale(): void {
    // Of an archive that does not say what its root is.
    if (!this.#now.has('')) chmodSync(this.#root, 0o755);
    if (this.#known.delete('')) this.#changed = true;
    // Parents first: what goes with them is not looked at.
    for (const path of [...this.#known.keys()].sort()) if (this.#known.has(path)) this.#remove(path);
  }

  #remove(path: string): void {
    rmSync(systemPath(this.#path(path)), { recursive: true, force: true });
    forgetBelow(this.#known, path);
    this.#touch(path);
  }

  /** Its directory is another one now. */
  #touch(path: string): void {
    this.#changed = true;
    this.#touched.add(splitParent(path)[0]);
  }

  #path(path: string): string {
    return path === '' ? this.#root : `${this.#root}/${path}`;
  }
}

/** Stands for all that an archive has made, but for times. */
export function contentOf(index: ReadonlyMap<string, IndexedEntry>): string {
  const lines = [...index].map(([path, { type, mode, size, content }]) =>
    JSON.stringify([path, type, mode, size, content]),
  );
  return hash('sha256', lines.sort().join('\n'), 'hex');
}

function mtimeOf({ mtime, mtimeNanoseconds = 0 }: TarEntry): string {
  return `${mtime} ${mtimeNanoseconds}`;
}

function timeOf({ mtime }: IndexedEntry): [seconds: number, nanoseconds: number] {
  const [seconds = 0, nanoseconds = 0] = mtime.split(' ').map(Number);
  return [seconds, nanoseconds];
}
