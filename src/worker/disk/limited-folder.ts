import { existsSync } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, rm, stat, statfs, truncate } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { messageOf, unavailable } from '#errors/errors.ts';
import { runCommand } from '../networks/linux/command.ts';
import { LEAST_DISK } from './least-disk.ts';

interface DiskUsage {
  readonly limit: number;
  readonly used: number;
}

/**
 * A folder whose content takes at most so many bytes: it is a file system of its own (ext4), in a file beside it that has its
 * room from the start, so that what was promised is there. What does not fit fails as on a full disk, whoever writes it.
 */
export class LimitedFolder {
  readonly #folder: string;
  readonly #image: string;

  /** The file is `<folder>.disk`. */
  constructor(folder: string) {
    this.#folder = folder;
    this.#image = `${folder}.disk`;
  }

  /**
   * Holds it to a limit; null: to none. Nothing in it may be in use, except by what an earlier process has started: then it
   * grows, and all else is done the next time (false), as is what there is too much in it for. Throws `unavailable` when there is no room for it.
   */
  async open(limit: number | null): Promise<boolean> {
    await mkdir(this.#folder, { recursive: true, mode: 0o711 });
    if (!(await this.close())) return await this.resize(limit);
    if (!existsSync(this.#image)) {
      if (limit === null) return true;
      if (await hasMounts(this.#folder)) return false;
      await this.#create(limit);
    }
    // From a copy into the file that was cut off after it was whole.
    for (const name of await readdir(this.#folder)) await rm(join(this.#folder, name), { recursive: true });
    const isFit = await this.#fit(limit);
    await this.#mount(this.#image, this.#folder);
    return isFit;
  }

  /** While it is in use it only grows, where this process may have it grow (CAP_SYS_RESOURCE); false when it is not so. */
  async resize(limit: number | null): Promise<boolean> {
    if (!(await this.#isMounted())) return limit === null;
    const target = await this.#targetOf(limit);
    const { size } = await stat(this.#image);
    if (target <= size) return target === size;
    await this.#enlarge(target, limit);
    const device = await deviceOf(this.#image);
    await runCommand('losetup', ['--set-capacity', device!]);
    return await runCommand('resize2fs', [device!]).then(
      () => true,
      () => false,
    );
  }

  /** Takes it off, unless something in it is in use: false. */
  async close(): Promise<boolean> {
    if (!(await this.#isMounted())) return true;
    return await runCommand('umount', [this.#folder]).then(
      () => true,
      () => false,
    );
  }

  /** Undefined where there is no limit. */
  async usage(): Promise<DiskUsage | undefined> {
    if (!(await this.#isMounted())) return undefined;
    const { blocks, bfree, bsize } = await statfs(this.#folder);
    return { limit: blocks * bsize, used: (blocks - bfree) * bsize };
  }

  /** Everything in it, and it. Nothing may be mounted below. */
  async remove(): Promise<void> {
    if (await this.#isMounted()) await runCommand('umount', [this.#folder]);
    await rm(this.#image, { force: true });
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** With what is in the folder so far. */
  async #create(limit: number): Promise<void> {
    const made = `${this.#image}.new`;
    const place = `${this.#folder}.new`;
    if (existsSync(place)) await runCommand('umount', [place]).catch(() => {});
    await rm(made, { force: true });
    await this.#allocate(made, limit);
    await runCommand('mkfs.ext4', ['-q', '-F', '-m', '0', '-E', 'nodiscard,lazy_itable_init=1', made]);
    if ((await readdir(this.#folder)).length > 0) {
      await mkdir(place, { recursive: true });
      await this.#mount(made, place);
      try {
        await runCommand('cp', ['--archive', `${this.#folder}/.`, place]);
      } catch (cause) {
        throw unavailable(`what is there does not fit in ${limit} bytes: ${messageOf(cause)}`, { cause });
      } finally {
        await runCommand('umount', [place]);
      }
      await rm(place, { recursive: true, force: true });
    }
    await rename(made, this.#image);
  }

  async #allocate(file: string, bytes: number): Promise<void> {
    try {
      await runCommand('fallocate', ['--length', String(bytes), file]);
    } catch (cause) {
      if (file !== this.#image) await rm(file, { force: true });
      throw unavailable(`this worker has no room for a disk of ${bytes} bytes`, { cause });
    }
  }

  async #enlarge(target: number, limit: number | null): Promise<void> {
    if (limit === null) await truncate(this.#image, target);
    else await this.#allocate(this.#image, target);
  }

  /** While nobody uses it: as large as it is to be, or as small as what is in it lets it be. */
  async #fit(limit: number | null): Promise<boolean> {
    const target = await this.#targetOf(limit);
    const { size } = await stat(this.#image);
    if (target > size) await this.#enlarge(target, limit);
    if ((await contentSize(this.#image)) === target) return true;
    await runCommand('e2fsck', ['-f', '-p', this.#image]).catch((error) => {
      // It says so of what it has put right.
      if (!messageOf(error).includes('(exit code 1)')) throw error;
    });
    try {
      await runCommand('resize2fs', [this.#image, `${target / 1024}K`]);
    } catch {
      return false;
    }
    await truncate(this.#image, target);
    return true;
  }

  /** By the device that it has already, if it has one: two would each write as if they were alone. */
  async #mount(image: string, folder: string): Promise<void> {
    const device = await deviceOf(image);
    const source = device === undefined ? ['-o', 'loop,noatime', image] : ['-o', 'noatime', device];
    await runCommand('mount', ['-t', 'ext4', ...source, folder]);
  }

  /** Whole blocks. Without a limit: all that the disk below it has. */
  async #targetOf(limit: number | null): Promise<number> {
    if (limit !== null) return Math.max(LEAST_DISK, Math.floor(limit / 4096) * 4096);
    const { blocks, bsize } = await statfs(dirname(this.#folder));
    return blocks * bsize;
  }

  async #isMounted(): Promise<boolean> {
    const [own, above] = await Promise.all([stat(this.#folder), stat(dirname(this.#folder))]).catch(() => []);
    return own !== undefined && own.dev !== above!.dev;
  }
}

/** What the file system in a file says that it is large; its superblock follows 1 KiB of nothing. */
async function contentSize(image: string): Promise<number> {
  await using file = await open(image);
  const { buffer } = await file.read(Buffer.alloc(1024), 0, 1024, 1024);
  return buffer.readUInt32LE(4) * 1024 * 2 ** buffer.readUInt32LE(24);
}

async function deviceOf(image: string): Promise<string | undefined> {
  const said = await runCommand('losetup', ['--noheadings', '--output', 'NAME', '--associated', image]);
  return said.trim().split('\n')[0] || undefined;
}

async function hasMounts(folder: string): Promise<boolean> {
  const text = await readFile('/proc/self/mountinfo', 'utf8');
  return text.split('\n').some((line) => line.split(' ')[4]?.startsWith(`${folder}/`));
}
