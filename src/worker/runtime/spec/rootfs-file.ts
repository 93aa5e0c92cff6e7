import { lstat, open, readlink } from 'node:fs/promises';
import { join, sep } from 'node:path';
import { invalid, systemCode } from '#errors/errors.ts';

const MAX_LINKS = 40;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * A small text file of a container's root file system, empty when there is none. The image wrote every link on
 * the way, so each is followed inside the rootfs: a link to `/etc/passwd` is the image's, never the host's.
 */
export async function readRootfsFile(rootfs: string, path: string): Promise<string> {
  const file = await resolveInRootfs(rootfs, path);
  if (file === undefined) return '';
  // A FIFO would block its reader for ever, a device could do anything: only regular files are opened.
  const stats = await lstat(file).catch(() => undefined);
  if (!stats?.isFile()) return '';
  await using handle = await open(file, 'r');
  const { buffer, bytesRead } = await handle.read({ buffer: Buffer.alloc(Math.min(stats.size, MAX_BYTES)) });
  return buffer.toString('utf8', 0, bytesRead);
}

/** The host path that `path` means inside the rootfs; undefined when some part of it does not exist. */
export async function resolveInRootfs(rootfs: string, path: string): Promise<string | undefined> {
  const pending = parts(path).reverse();
  const resolved: string[] = [];
  let links = 0;
  while (pending.length > 0) {
    const part = pending.pop()!;
    if (part === '..') {
      resolved.pop();
      continue;
    }
    const candidate = join(rootfs, ...resolved, part);
    const target = await linkTarget(candidate);
    if (target === undefined) return undefined;
    if (target === false) {
      resolved.push(part);
      continue;
    }
    if (++links > MAX_LINKS) throw invalid(`too many levels of symbolic links in ${path}`);
    if (target.startsWith(sep)) resolved.length = 0;
    pending.push(...parts(target).reverse());
  }
  return join(rootfs, ...resolved);
}

/** A link's target, false for anything else that exists, undefined for what does not. */
async function linkTarget(path: string): Promise<string | false | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'EINVAL') return false;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

const parts = (path: string): string[] => path.split(sep).filter((part) => part !== '' && part !== '.');
