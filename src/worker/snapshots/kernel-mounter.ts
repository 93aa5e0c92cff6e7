import { isKind, messageOf, systemCode, unavailable } from '#errors/errors.ts';
import * as libc from './libc.ts';
import type { Mount, Mounter } from './mount.ts';
import {
  MAX_DATA_BYTES,
  MS_BIND,
  MS_REC,
  MS_REMOUNT,
  mountArguments,
  relativeOverlay,
} from './mount-options.ts';
import { mountPoints } from './mountinfo.ts';

const MNT_DETACH = 2;
const UMOUNT_NOFOLLOW = 8;
/** More than anything stacks on one directory; a loop that reaches it is not making progress. */
const MAX_STACKED = 64;

/** Mounts with mount(2), in the mount namespace of this process. */
export class KernelMounter implements Mounter {
  async mount(mount: Mount, target: string): Promise<void> {
    try {
      if (mount.type === 'bind') await this.#bind(mount, target);
      else if (mount.type === 'overlay') await this.#overlay(mount, target);
      else await this.#plain(mount, target);
    } catch (cause) {
      if (isKind(cause, 'unavailable')) throw cause;
      throw unavailable(`cannot mount ${mount.type} at ${target}: ${messageOf(cause)}`, { cause });
    }
  }

  async unmount(target: string): Promise<void> {
    for (let flags = UMOUNT_NOFOLLOW, i = 0; i < MAX_STACKED; i++) {
      try {
        await libc.unmount(target, flags);
      } catch (cause) {
        const code = systemCode(cause);
        if (code === 'EINVAL' || code === 'ENOENT') return;
        if (code !== 'EBUSY' || flags & MNT_DETACH) {
          throw unavailable(`cannot unmount ${target}: ${messageOf(cause)}`, { cause });
        }
        flags |= MNT_DETACH;
      }
    }
  }

  async mountsBelow(directory: string): Promise<string[]> {
    const prefix = directory.endsWith('/') ? directory : `${directory}/`;
    const below = (await mountPoints()).filter((path) => path.startsWith(prefix));
    // Last mounted first is deepest first, also where mounts are stacked on one directory.
    return below.reverse();
  }

  async #bind(mount: Mount, target: string): Promise<void> {
    const { flags } = mountArguments(mount.options);
    const recursive = flags & MS_REC;
    await libc.mount(mount.source, target, 'none', MS_BIND | recursive, '');
    // The kernel ignores all other flags when it binds; they take effect in a second call.
    const rest = flags & ~(MS_BIND | MS_REC);
    if (rest === 0) return;
    try {
      await libc.mount('none', target, 'none', MS_BIND | MS_REMOUNT | rest, '');
    } catch (error) {
      await this.unmount(target);
      throw error;
    }
  }

  async #plain(mount: Mount, target: string): Promise<void> {
    const { flags, data } = mountArguments(mount.options);
    await libc.mount(mount.source, target, mount.type, flags, data.join(','));
  }

  async #overlay(mount: Mount, target: string): Promise<void> {
    const { flags, data } = mountArguments(mount.options);
    const text = data.join(',');
    if (Buffer.byteLength(text) <= MAX_DATA_BYTES) {
      await libc.mount(mount.source, target, 'overlay', flags, text);
      return;
    }
    const relative = relativeOverlay(data);
    const short = relative.data.join(',');
    if (Buffer.byteLength(short) > MAX_DATA_BYTES) {
      throw unavailable(`cannot mount overlay at ${target}: its layers' paths do not fit into mount options`);
    }
    mountFrom(relative.base, () => libc.mountSync(mount.source, target, 'overlay', flags, short));
  }
}

/**
 * Runs `task` in another working directory. The directory belongs to the whole process, so nothing may happen
 * between: no await, and every other path of the worker is absolute.
 */
function mountFrom(directory: string, task: () => void): void {
  const before = process.cwd();
  process.chdir(directory);
  try {
    task();
  } finally {
    process.chdir(before);
  }
}
