import { constants } from 'node:fs';
import type { FoundPackages } from '../attest/sbom/find-packages.ts';
import type { FilePool } from '../files/file-pool.ts';
import type { PathStat } from '../files/read-tree.ts';
import type { FileStat } from '../frontend/frontend.ts';
import type { Ref } from '../solve/ref.ts';
import type { RefViews } from './ref-views.ts';

const MAX_BYTES = 16 * 1024 * 1024;

interface ReadOptions {
  readonly signal: AbortSignal;
}

/** Reads refs' files for frontends: see `Bridge`. */
export class RefReader {
  readonly #ports: { readonly views: RefViews; readonly files: FilePool };

  constructor(ports: { views: RefViews; files: FilePool }) {
    this.#ports = ports;
  }

  async readFile(
    ref: Ref,
    path: string,
    options: ReadOptions & { range?: { offset: number; length: number } },
  ): Promise<Uint8Array> {
    await using view = await this.#ports.views.open(ref, options);
    const { offset = 0, length } = options.range ?? {};
    const part = { root: view.root, path, offset, length, maxBytes: MAX_BYTES };
    return await this.#ports.files.run('readPart', part, options);
  }

  async readDirectory(
    ref: Ref,
    path: string,
    options: ReadOptions & { include?: string },
  ): Promise<FileStat[]> {
    await using view = await this.#ports.views.open(ref, options);
    const request = { root: view.root, path, include: options.include };
    return (await this.#ports.files.run('readDirectory', request, options)).map(fileStat);
  }

  /** What package managers know of what is in a ref, for a bill of materials. */
  async packages(ref: Ref, options: ReadOptions): Promise<FoundPackages> {
    await using view = await this.#ports.views.open(ref, options);
    return await this.#ports.files.run('packages', { root: view.root }, options);
  }

  async statFile(ref: Ref, path: string, options: ReadOptions): Promise<FileStat> {
    await using view = await this.#ports.views.open(ref, options);
    return fileStat(await this.#ports.files.run('stat', { root: view.root, path }, options));
  }
}

function fileStat({ rdev, mode, size, seconds, nanoseconds, ...stat }: PathStat): FileStat {
  const device = BigInt(rdev);
  return {
    ...stat,
    mode: goMode(mode),
    size: BigInt(size),
    modTime: BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds),
    devmajor: Number(((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n)),
    devminor: Number((device & 0xffn) | ((device >> 12n) & 0xffffff00n)),
  };
}

const GO_TYPES: ReadonlyMap<number, number> = new Map([
  [constants.S_IFDIR, 2 ** 31],
  [constants.S_IFLNK, 2 ** 27],
  [constants.S_IFBLK, 2 ** 26],
  [constants.S_IFCHR, 2 ** 26 + 2 ** 21],
  [constants.S_IFIFO, 2 ** 25],
  [constants.S_IFSOCK, 2 ** 24],
]);

/** st_mode as Go's os.FileMode. */
function goMode(mode: number): number {
  const setuid = mode & 0o4000 ? 2 ** 23 : 0;
  const setgid = mode & 0o2000 ? 2 ** 22 : 0;
  const sticky = mode & 0o1000 ? 2 ** 20 : 0;
  return (GO_TYPES.get(mode & constants.S_IFMT) ?? 0) + setuid + setgid + sticky + (mode & 0o777);
}
