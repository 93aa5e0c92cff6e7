import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { KeyedLock } from '#async/keyed-lock.ts';
import { isKind, messageOf, unavailable } from '#errors/errors.ts';
import { runCommand, runLocked } from '../networks/linux/command.ts';
import { LEAST_DISK } from './least-disk.ts';

/** What is left to everybody else on the disk below, in bytes. */
export const RESERVE = 256 * 1024 * 1024;
/** How long a tool that an earlier process has started is waited for, in seconds. */
const PATIENCE = 30;
/** A device that is taken off is gone a little later, in milliseconds. */
const DETACHED = 1_000;
const LOOK = 50;

interface DiskUsage {
  readonly limit: number;
  readonly used: number;
}

/**
 * A folder whose content takes at most so many bytes: it is a file system of its own (ext4), in a file beside it that has its
 * room from the start, so that what was promised is there. What does not fit fails as on a full disk, whoever writes it.
 *
 * A process that ends leaves tools behind that go on: all that write to the file keep a lock as long as they run.
 */
export class LimitedFolder {
  /** Of the disks below: what one takes of it, the next one finds taken. */
  static readonly #allocations = new KeyedLock();
  readonly #folder: string;
  readonly #image: string;
  readonly #made: string;
  /** Where it gets what was in the folder before. */
  readonly #place: string;
  readonly #lock: string;
  readonly #patience: number;

  /** The file is `<folder>~disk`; names that begin with `<folder>~` are its own. `patience`: seconds for an earlier process's tools. */
  constructor(folder: string, { patience = PATIENCE } = {}) {
    this.#folder = folder;
    this.#image = `${folder}~disk`;
    this.#made = `${folder}~disk.new`;
    this.#place = `${folder}~new`;
    this.#lock = `${folder}~lock`;
    this.#patience = patience;
  }

  /**
   * Holds it to a limit; null: to none. False when it is not so and stays as it was: what is in it is in use (then it only grows),
   * it does not fit into the limit, or there is no room for more. Throws `unavailable` when there is no room for a first one,
   * or when an earlier process's tools still work on it.
   */
  async open(limit: number | null): Promise<boolean> {
    await mkdir(this.#folder, { recursive: true, mode: 0o711 });
    if (!(await this.close())) return await this.resize(limit);
    await this.#settle();
    if (!existsSync(this.#image)) {
      if (limit === null) return true;
      if (await hasMounts(this.#folder)) return false;
      if (!(await this.#create(limit))) return false;
    }
    // From a copy into the file that was cut off after it was whole.
    for (const name of await readdir(this.#folder)) await rm(join(this.#folder, name), { recursive: true });
    // In another mount namespace it is in use still.
    const isElsewhere = await hasDevice(this.#image);
    const isFit = !isElsewhere && (await this.#fit(limit));
    await this.#mount(this.#image, this.#folder);
    return isElsewhere ? await this.resize(limit) : isFit;
  }

  /** While it is in use it only grows, where this process may have it grow (CAP_SYS_RESOURCE) and there is room; false when it is not so. */
  async resize(limit: number | null): Promise<boolean> {
    if (!(await isMounted(this.#folder))) return limit === null;
    const device = await deviceOf(this.#image);
    if (device === undefined) return false;
    const target = await this.#targetOf(limit);
    const size = await contentSize(device);
    if (target <= size) return target === size;
    if (!(await this.#enlarge(target, limit))) return false;
    try {
      await runCommand('losetup', ['--set-capacity', device]);
      await this.#run('resize2fs', [device]);
      return true;
    } catch {
      return false;
    }
  }

  /** Takes it off, unless something in it is in use: false. */
  async close(): Promise<boolean> {
    if (!(await isMounted(this.#folder))) return true;
    return await runCommand('umount', [this.#folder]).then(
      () => true,
      () => false,
    );
  }

  /** Undefined where there is no limit. */
  async usage(): Promise<DiskUsage | undefined> {
    if (!(await isMounted(this.#folder))) return undefined;
    const { blocks, bfree, bsize } = await statfs(this.#folder);
    return { limit: blocks * bsize, used: (blocks - bfree) * bsize };
  }

  /** Everything in it, and it. Nothing may be mounted below. */
  async remove(): Promise<void> {
    if (await isMounted(this.#folder)) await runCommand('umount', [this.#folder]);
    await this.#settle();
    await rm(this.#image, { force: true });
    await rm(this.#folder, { recursive: true, force: true });
    await rm(this.#lock, { force: true });
  }

  /** Waits for what an earlier process has begun, and takes away what is left of a creation that was cut off. */
  async #settle(): Promise<void> {
    if (existsSync(this.#lock)) await this.#run('true', []);
    while (await isMounted(this.#place)) await runCommand('umount', [this.#place]);
    await rm(this.#place, { recursive: true, force: true });
    await rm(this.#made, { force: true });
  }

  /** With what is in the folder so far; false when that does not fit in it, or it not on the worker. */
  async #create(limit: number): Promise<boolean> {
    const isFirst = (await readdir(this.#folder)).length === 0;
    try {
      if (!(await this.#allocate(this.#made, await this.#targetOf(limit)))) {
        if (isFirst) throw unavailable(`this worker has no room for a disk of ${limit} bytes`);
        return false;
      }
      await this.#run('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1', this.#made]);
      if (!isFirst && !(await this.#copy())) return false;
      await rename(this.#made, this.#image);
      return true;
    } finally {
      await rm(this.#made, { force: true });
    }
  }

  async #copy(): Promise<boolean> {
    await mkdir(this.#place, { recursive: true });
    await this.#mount(this.#made, this.#place);
    try {
      await this.#run('cp', ['--archive', `${this.#folder}/.`, this.#place]);
      return true;
    } catch (error) {
      if (isKind(error, 'unavailable')) return false;
      throw error;
    } finally {
      await runCommand('umount', [this.#place]);
      await rm(this.#place, { recursive: true });
    }
  }

  /** Room for so many bytes from the start; false, and the file as it was, where the disk below has no room for them and others. */
  async #allocate(file: string, bytes: number): Promise<boolean> {
    return await LimitedFolder.#allocations.run(dirname(file), async () => {
      const former = await stat(file).catch(() => undefined);
      const missing = bytes - (former?.blocks ?? 0) * 512;
      if (former && former.size >= bytes && missing <= 0) return true;
      const { bavail, bsize } = await statfs(dirname(file));
      if (missing > bavail * bsize - RESERVE) return false;
      try {
        await this.#run('fallocate', ['--length', String(bytes), file]);
        return true;
      } catch {
        // What there was of it is taken already.
        if (former) await truncate(file, former.size);
        else await rm(file, { force: true });
        return false;
      }
    });
  }

  async #enlarge(target: number, limit: number | null): Promise<boolean> {
    const { size } = await stat(this.#image);
    if (target <= size) return true;
    if (limit !== null) return await this.#allocate(this.#image, target);
    await truncate(this.#image, target);
    return true;
  }

  /** While nobody uses it: as large as it is to be, or as small as what is in it lets it be. */
  async #fit(limit: number | null): Promise<boolean> {
    const target = await this.#targetOf(limit);
    if ((await contentSize(this.#image)) !== target) {
      if (!(await this.#enlarge(target, limit))) return false;
      await this.#run('e2fsck', ['-f', '-p', this.#image]).catch((error) => {
        // It says so of what it has put right.
        if (!messageOf(error).includes('(exit code 1)')) throw error;
      });
      try {
        await this.#run('resize2fs', [this.#image, `${target / 1024}K`]);
      } catch {
        return false;
      }
    }
    if ((await stat(this.#image)).size > target) await truncate(this.#image, target);
    // Without a limit it had no room of its own.
    return limit === null || (await this.#allocate(this.#image, target));
  }

  /** A tool that writes to the file, or to what is in it: alone, also when it outlives this process. */
  #run(tool: string, args: readonly string[]): Promise<string> {
    return runLocked({ lock: this.#lock, patience: this.#patience }, tool, args);
  }

  /** By the device that it has already, if it has one: two would each write as if they were alone. */
  async #mount(image: string, folder: string): Promise<void> {
    const device = await deviceOf(image);
    const source = device === undefined ? ['-o', 'loop,noatime', image] : ['-o', 'noatime', device];
    await this.#run('mount', ['-t', 'ext4', ...source, folder]);
  }

  /** Whole blocks. Without a limit: all that the disk below it has. */
  async #targetOf(limit: number | null): Promise<number> {
    if (limit !== null) return Math.max(LEAST_DISK, Math.floor(limit / 4096) * 4096);
    const { blocks, bsize } = await statfs(dirname(this.#folder));
    return blocks * bsize;
  }
}

async function isMounted(folder: string): Promise<boolean> {
  const [own, above] = await Promise.all([stat(folder), stat(dirname(folder))]).catch(() => []);
  return own !== undefined && own.dev !== above!.dev;
}

/** What a file system says that it is large, on its device or in its file; its superblock follows 1 KiB of nothing. */
async function contentSize(path: string): Promise<number> {
  await using file = await open(path);
  const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 1024);
  return buffer.readUInt32LE(4) * 1024 * 2 ** buffer.readUInt32LE(24);
}

async function deviceOf(image: string): Promise<string | undefined> {
  const said = await runCommand('losetup', ['--noheadings', '--output', 'NAME', '--associated', image]);
  return said.trim().split('\n')[0] || undefined;
}

/** Whether it has one, that is not about to go. */
async function hasDevice(image: string): Promise<boolean> {
  for (let waited = 0; waited < DETACHED; waited += LOOK) {
    if ((await deviceOf(image)) === undefined) return false;
    await sleep(LOOK);
  }
  return true;
}

async function hasMounts(folder: string): Promise<boolean> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').some((line) => line.split(' ')[4]?.startsWith(`${folder}/`));
}
