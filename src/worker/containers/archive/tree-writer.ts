import {
  constants,
  type FileHandle,
  lchown,
  link,
  lutimes,
  mkdir,
  open,
  readdir,
  rmdir,
  symlink,
  unlink,
} from 'node:fs/promises';
import { posix } from 'node:path';
import { conflict, invalid, isKind, unsupported } from '#errors/errors.ts';
import type { TarEntry } from '#tar/entry.ts';
import type { TarFile } from '#tar/reader.ts';
import { safePath, splitParent } from '#tar/safe-path.ts';
import type { ContainerTree, Location } from './container-tree.ts';
import type { ExtendedFiles } from './extended-files.ts';

export interface WriteOptions {
  /** Refuse to put a directory where something else is, and the reverse. */
  readonly keepTypes?: boolean;
  /** Whom everything is to belong to, whatever the archive says. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly signal?: AbortSignal;
}

/** Unpacks archive entries into a container's tree. What they name, and every link on the way, stays inside. */
export class TreeWriter {
  readonly #files: ExtendedFiles | undefined;

  constructor(files?: ExtendedFiles) {
    this.#files = files;
  }

  /** `directory` is a path of the tree; it exists. Throws `invalid` for a hostile archive, `conflict`. */
  async write(
    tree: ContainerTree,
    directory: string,
    archive: AsyncIterable<TarFile>,
    options: WriteOptions = {},
  ): Promise<void> {
    // A directory's time is set when nothing more is put into it.
    const times: { path: string; entry: TarEntry }[] = [];
    for await (const file of archive) {
      options.signal?.throwIfAborted();
      const path = posix.join(directory, safePath(file.entry.path));
      await this.#put(tree, directory, path, file, options);
      if (file.entry.type === 'directory') times.push({ path, entry: file.entry });
    }
    for (const { path, entry } of times.reverse()) {
      await using location = await tree.locate(path, { follow: true });
      if (!location.stats?.isDirectory()) continue;
      await using handle = await open(location.access, constants.O_DIRECTORY | constants.O_RDONLY);
      await setTime(handle, entry);
    }
  }

  async #put(
    tree: ContainerTree,
    directory: string,
    path: string,
    { entry, body }: TarFile,
    options: WriteOptions,
  ): Promise<void> {
    if (path !== directory) await makeParents(tree, splitParent(path)[0] || '/');
    await using location = await tree.locate(path, { follow: path === directory });
    if (entry.type === 'directory') {
      await this.#putDirectory(tree, location, entry, options);
      return;
    }
    if (path === directory) throw invalid(`invalid tar: its root is not a directory`);
    await makeRoom(tree, location, options);
    await this.#make(tree, directory, location.entry, entry, body, options);
  }

  async #putDirectory(
    tree: ContainerTree,
    location: Location,
    entry: TarEntry,
    options: WriteOptions,
  ): Promise<void> {
    if (location.stats && !location.stats.isDirectory())
      await makeRoom(tree, location, { ...options, directory: true });
    const path = location.stats?.isDirectory() ? location.access : location.entry;
    if (!location.stats?.isDirectory()) await mkdir(path, { mode: 0o700 });
    // An existing one is entered through its handle, a new one must not have become a link.
    const noFollow = location.stats?.isDirectory() ? 0 : constants.O_NOFOLLOW;
    await using handle = await open(path, constants.O_DIRECTORY | constants.O_RDONLY | noFollow);
    // The root of the tree has no name to reach it by.
    await this.#setAttributes(handle, location.isRoot ? undefined : location.entry, entry, options);
  }

  async #make(
    tree: ContainerTree,
    directory: string,
    target: string,
    entry: TarEntry,
    body: AsyncIterable<Uint8Array>,
    options: WriteOptions,
  ): Promise<void> {
    switch (entry.type) {
      case 'file': {
        const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
        await using handle = await open(target, flags, 0o600);
        for await (const chunk of body) await writeAll(handle, chunk);
        await this.#setAttributes(handle, target, entry, options);
        await setTime(handle, entry);
        return;
      }
      case 'symlink':
        await symlink(entry.linkPath ?? '', target);
        await setLinkAttributes(target, entry, options);
        return;
      case 'hardlink': {
        const path = posix.join(directory, safePath(entry.linkPath ?? ''));
        await using source = await tree.locate(path, { follow: false });
        if (!source.handle) throw invalid(`invalid tar: hard link to missing ${entry.linkPath}`);
        await link(source.entry, target);
        return;
      }
      case 'fifo':
      case 'character':
      case 'block': {
        if (!this.#files) throw unsupported(`cannot make the special file ${entry.path}`);
        const { deviceMajor = 0, deviceMinor = 0 } = entry;
        await this.#files.makeNode(target, entry.type, entry.mode & 0o7777, deviceMajor, deviceMinor);
        await setLinkAttributes(target, entry, options);
      }
    }
  }

  /** Through the open file: whatever its name means by now, it is this file that changes. */
  async #setAttributes(
    handle: FileHandle,
    path: string | undefined,
    entry: TarEntry,
    options: WriteOptions,
  ): Promise<void> {
    const { uid, gid } = ownerOf(entry, options);
    await handle.chown(uid, gid);
    await handle.chmod(entry.mode & 0o7777);
    if (!this.#files || path === undefined) return;
    for (const [name, value] of entry.xattrs ?? []) await this.#files.writeXattr(path, name, value);
  }
}

function ownerOf(entry: TarEntry, { owner }: WriteOptions): { uid: number; gid: number } {
  return owner ?? entry;
}

async function setLinkAttributes(path: string, entry: TarEntry, options: WriteOptions): Promise<void> {
  const { uid, gid } = ownerOf(entry, options);
  await lchown(path, uid, gid);
  await lutimes(path, timeOf(entry), timeOf(entry));
}

async function writeAll(handle: FileHandle, chunk: Uint8Array): Promise<void> {
  for (let written = 0; written < chunk.length; ) {
    written += (await handle.write(chunk, written)).bytesWritten;
  }
}

/** Directories that an archive implies but does not list. */
async function makeParents(tree: ContainerTree, path: string): Promise<void> {
  {
    await using location = await tree.locate(path, { follow: true }).catch((error: unknown) => {
      if (isKind(error, 'not-found')) return undefined;
      throw error;
    });
    if (location?.stats?.isDirectory()) return;
    if (location?.stats) throw invalid(`${path}: not a directory`);
  }
  await makeParents(tree, splitParent(path)[0] || '/');
  await using location = await tree.locate(path, { follow: true });
  if (!location.stats) await mkdir(location.entry, { mode: 0o755 });
}

/** Step by step through open directories: a path-based removal could be led astray by whoever moves them meanwhile. */
async function removeTree(tree: ContainerTree, location: Location): Promise<void> {
  if (!location.stats!.isDirectory()) return unlink(location.entry);
  for (const name of await readdir(location.access)) {
    const found = await tree.child(location, name);
    if (!found) continue;
    await using child = found;
    if (child.isMount) throw conflict(`cannot remove ${child.path}: it is a mount`);
    await removeTree(tree, child);
  }
  await rmdir(location.entry);
}

async function makeRoom(
  tree: ContainerTree,
  location: Location,
  options: WriteOptions & { directory?: boolean },
): Promise<void> {
  if (!location.stats) return;
  if (options.keepTypes && location.stats.isDirectory() !== (options.directory ?? false)) {
    throw conflict(
      location.stats.isDirectory()
        ? `cannot overwrite directory ${JSON.stringify(location.path)} with non-directory`
        : `cannot overwrite non-directory ${JSON.stringify(location.path)} with directory`,
    );
  }
  if (location.isMount) throw conflict(`cannot replace ${location.path}: it is a mount`);
  await removeTree(tree, location);
}

async function setTime(handle: FileHandle, entry: TarEntry): Promise<void> {
  await handle.utimes(timeOf(entry), timeOf(entry));
}

function timeOf(entry: TarEntry): number {
  return entry.mtime + (entry.mtimeNanoseconds ?? 0) / 1e9;
}
