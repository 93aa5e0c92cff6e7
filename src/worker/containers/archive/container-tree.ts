import type { Stats } from 'node:fs';
import { constants, type FileHandle, open, readlink } from 'node:fs/promises';
import { posix } from 'node:path';
import { invalid, notFound, systemCode } from '#errors/errors.ts';
import { isKernelFileSystem } from './kernel-file-system.ts';

/** Names a file without opening it: no device wakes up, no FIFO blocks. Not in Node's constants. */
export const O_PATH = 0o10000000;
const MAX_LINKS = 255;

/** A mount of the container that its root file system alone does not show. */
export interface TreeMount {
  readonly destination: string;
  readonly source: string;
}

/**
 * A container's file tree as its own processes see it: absolute links and `..` stay within its root. Every step
 * goes through an open directory and follows no link by itself, so whatever a process of the container changes
 * meanwhile, nothing outside of the tree is reached.
 */
export class ContainerTree {
  readonly #root: string;
  readonly #mounts: ReadonlyMap<string, string>;

  /** `root` is a host directory that the container cannot replace. */
  constructor(root: string, mounts: readonly TreeMount[] = []) {
    this.#root = root;
    this.#mounts = new Map(mounts.map((mount) => [mount.destination, mount.source]));
  }

  /**
   * Finds a path. A link at its end is followed unless `follow` is false or the path does not end in `/`.
   * The caller disposes of the result. Throws `not-found` when a directory on the way is missing, `invalid` for
   * one that is none or for endless links.
   */
  async locate(path: string, options: { follow: boolean }): Promise<Location> {
    const follow = options.follow || /\/\.?$/.test(path);
    const root = await open(this.#root, O_PATH | constants.O_DIRECTORY);
    const way: Step[] = [{ name: '', handle: root, dev: (await root.stat()).dev, isOpaque: false }];
    const rest = path.split('/').reverse();
    let links = 0;
    let missing: string | undefined;
    try {
      while (rest.length > 0) {
        const part = rest.pop()!;
        if (part === '' || part === '.') continue;
        if (missing !== undefined) throw notFound(`${path}: no such file or directory`);
        if (way.at(-1)!.isOpaque) {
          missing = part;
          continue;
        }
        if (part === '..') {
          if (way.length > 1) await way.pop()!.handle.close();
          continue;
        }
        const parent = way.at(-1)!;
        const handle = await this.#open(pathOf(way, part), parent.handle, part);
        if (!handle) {
          missing = part;
          continue;
        }
        const stats = await handle.stat();
        const last = rest.every((other) => other === '' || other === '.');
        if (stats.isSymbolicLink() && (follow || !last)) {
          await handle.close();
          if (++links > MAX_LINKS) throw invalid(`${path}: too many levels of symbolic links`);
          const target = await readlink(within(parent.handle, part));
          if (target.startsWith('/')) await closeAll(way.splice(1));
          rest.push(...target.split('/').reverse());
          continue;
        }
        const isOpaque = stats.isDirectory() && stats.dev !== parent.dev && (await isKernels(handle));
        way.push({ name: part, handle, dev: stats.dev, isOpaque });
        if (!stats.isDirectory() && !last) throw invalid(`${path}: not a directory`);
      }
    } catch (error) {
      await closeAll(way);
      throw error;
    }
    return this.#arrive(way, missing);
  }

  /** Opens a directory's child without following it; a mount's source where one is mounted. */
  async child(parent: Location, name: string): Promise<Location | undefined> {
    const path = posix.join(parent.path, name);
    const handle = await this.#open(path, parent.handle!, name);
    if (!handle) return undefined;
    const stats = await handle.stat();
    // Nobody who copies a whole tree means devices, processes or the kernel's settings.
    const isBorder = stats.isDirectory() && stats.dev !== parent.stats!.dev;
    const isOpaque = isBorder && (path === '/dev' || (await isKernels(handle)));
    const state = { stats, isMount: this.#mounts.has(path), isOpaque };
    return new Location(path, handle, undefined, state, parent);
  }

  async #arrive(way: Step[], missing: string | undefined): Promise<Location> {
    const path = pathOf(way, missing);
    const mounted = this.#mounts.has(path);
    if (missing !== undefined) {
      const parent = way.pop()!;
      await closeAll(way);
      return new Location(path, undefined, parent.handle, { isMount: mounted, isOpaque: false });
    }
    const { handle, isOpaque } = way.pop()!;
    const parent = way.pop();
    await closeAll(way);
    const state = { stats: await handle.stat(), isMount: mounted, isOpaque };
    return new Location(path, handle, parent?.handle, state);
  }

  async #open(path: string, parent: FileHandle, name: string): Promise<FileHandle | undefined> {
    const mounted = this.#mounts.get(path);
    try {
      if (mounted !== undefined) return await open(mounted, O_PATH);
      return await open(within(parent, name), O_PATH | constants.O_NOFOLLOW);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return undefined;
      if (systemCode(error) === 'ENOTDIR') throw invalid(`${path}: not a directory`);
      throw error;
    }
  }
}

interface Step {
  readonly name: string;
  readonly handle: FileHandle;
  readonly dev: number;
  readonly isOpaque: boolean;
}

interface LocationState {
  /** Undefined where nothing exists. */
  readonly stats?: Stats;
  readonly isMount: boolean;
  readonly isOpaque: boolean;
}

/** A place in a container's tree, held open. */
export class Location implements AsyncDisposable {
  /** Absolute in the container, all links resolved. */
  readonly path: string;
  /** Undefined where nothing exists. */
  readonly handle: FileHandle | undefined;
  readonly stats: Stats | undefined;
  readonly isMount: boolean;
  /** A directory that counts as empty: the kernel's own files. */
  readonly isOpaque: boolean;
  /** Its own, or borrowed from the location that it was reached from. */
  readonly #parent: FileHandle | undefined;
  readonly #borrowed: FileHandle | undefined;

  constructor(
    path: string,
    handle: FileHandle | undefined,
    parent: FileHandle | undefined,
    { stats, isMount, isOpaque }: LocationState,
    from?: Location,
  ) {
    this.path = path;
    this.handle = handle;
    this.stats = stats;
    this.isMount = isMount;
    this.isOpaque = isOpaque;
    this.#parent = parent;
    this.#borrowed = from?.handle;
  }

  get name(): string {
    return posix.basename(this.path);
  }

  get isRoot(): boolean {
    return this.path === '/';
  }

  /** A host path to open it by, good as long as this is. */
  get access(): string {
    return `/proc/self/fd/${this.handle!.fd}`;
  }

  /** A host path to make, link or remove it by: through its parent directory. */
  get entry(): string {
    return within((this.#parent ?? this.#borrowed)!, this.name);
  }

  /** The host path of a child's entry in this directory. */
  childEntry(name: string): string {
    return within(this.handle!, name);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.handle?.close();
    await this.#parent?.close();
  }
}

function isKernels(handle: FileHandle): Promise<boolean> {
  return isKernelFileSystem(`/proc/self/fd/${handle.fd}`);
}

function within(directory: FileHandle, name: string): string {
  return `/proc/self/fd/${directory.fd}/${name}`;
}

function pathOf(way: readonly Step[], last?: string): string {
  const names = [...way.slice(1).map((step) => step.name), ...(last === undefined ? [] : [last])];
  return `/${names.join('/')}`;
}

async function closeAll(way: readonly Step[]): Promise<void> {
  await Promise.all(way.map((step) => step.handle.close()));
}
