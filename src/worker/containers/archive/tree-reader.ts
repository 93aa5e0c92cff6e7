import { createReadStream } from 'node:fs';
import { readdir, readlink } from 'node:fs/promises';
import type { TarEntry, TarEntryType } from '#tar/entry.ts';
import type { TarInput } from '#tar/writer.ts';
import type { ContainerTree, Location } from './container-tree.ts';
import type { ExtendedFiles } from './extended-files.ts';

const ZEROS = new Uint8Array(64 * 1024);

/** Reads parts of a container's tree as archive entries, parents before children, names in order. */
export class TreeReader {
  readonly #files: ExtendedFiles | undefined;

  constructor(files?: ExtendedFiles) {
    this.#files = files;
  }

  /**
   * `start` and everything below it, named `name` in the archive (empty: only what is below). The consumer
   * reads an entry's body before it asks for the next entry. Sockets are left out: an archive has no such type.
   */
  async *read(tree: ContainerTree, start: Location, name: string): AsyncGenerator<TarInput> {
    yield* this.#visit(tree, start, name, new Map());
  }

  async *#visit(
    tree: ContainerTree,
    location: Location,
    name: string,
    linked: Map<string, string>,
  ): AsyncGenerator<TarInput> {
    const input = name === '' ? undefined : await this.#input(location, name, linked);
    if (input) yield input;
    if (!location.stats!.isDirectory() || location.isOpaque) return;
    for (const child of (await readdir(location.access)).sort()) {
      const found = await tree.child(location, child);
      if (!found) continue;
      await using inner = found;
      yield* this.#visit(tree, inner, name === '' ? child : `${name}/${child}`, linked);
    }
  }

  async #input(location: Location, path: string, linked: Map<string, string>): Promise<TarInput | undefined> {
    const stats = location.stats!;
    const type = typeOf(location);
    if (!type) return undefined;
    const base: TarEntry = {
      path,
      type,
      mode: stats.mode & 0o7777,
      uid: stats.uid,
      gid: stats.gid,
      size: 0,
      mtime: Math.floor(stats.mtimeMs / 1000),
      mtimeNanoseconds: Math.round((stats.mtimeMs - Math.floor(stats.mtimeMs / 1000) * 1000) * 1e6),
    };
    if (type === 'symlink') return { entry: { ...base, linkPath: await readlink(location.entry) } };
    if (type !== 'directory' && stats.nlink > 1) {
      const key = `${stats.dev}:${stats.ino}`;
      const first = linked.get(key);
      if (first !== undefined) return { entry: { ...base, type: 'hardlink', linkPath: first } };
      linked.set(key, path);
    }
    const xattrs = location.isRoot ? undefined : await this.#files?.readXattrs(location.entry);
    const entry = { ...base, ...(xattrs?.size && { xattrs }) };
    if (type === 'character' || type === 'block') return { entry: { ...entry, ...device(stats.rdev) } };
    if (type !== 'file') return { entry };
    return { entry: { ...entry, size: stats.size }, body: content(location, stats.size) };
  }
}

function typeOf({ stats }: Location): TarEntryType | undefined {
  if (stats!.isFile()) return 'file';
  if (stats!.isDirectory()) return 'directory';
  if (stats!.isSymbolicLink()) return 'symlink';
  if (stats!.isFIFO()) return 'fifo';
  if (stats!.isCharacterDevice()) return 'character';
  return stats!.isBlockDevice() ? 'block' : undefined;
}

/** Exactly `size` bytes, as the header says, also of a file that grows or shrinks meanwhile. */
async function* content(location: Location, size: number): AsyncGenerator<Uint8Array> {
  if (size === 0) return;
  let missing = size;
  for await (const chunk of createReadStream(location.access, { end: size - 1, highWaterMark: 256 * 1024 })) {
    missing -= chunk.length;
    yield chunk;
  }
  while (missing > 0) {
    const zeros = ZEROS.subarray(0, Math.min(missing, ZEROS.length));
    missing -= zeros.length;
    yield zeros;
  }
}

/** Linux's encoding of a device number. */
function device(rdev: number): { deviceMajor: number; deviceMinor: number } {
  const high = Math.floor(rdev / 2 ** 32);
  const low = rdev % 2 ** 32;
  return {
    deviceMajor: ((low >>> 8) & 0xfff) + (high & 0xfffff000),
    deviceMinor: (low & 0xff) + ((low >>> 12) & 0xfff00),
  };
}
