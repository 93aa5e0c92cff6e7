import { posix } from 'node:path';
import type { Mount } from './mount.ts';

/** mount(2)'s MS_ flags by their names in fstab. */
const FLAGS: Readonly<Record<string, number>> = {
  ro: 1,
  nosuid: 2,
  nodev: 4,
  noexec: 8,
  sync: 16,
  noatime: 1024,
  nodiratime: 2048,
  bind: 4096,
  rbind: 4096 | 16384,
  relatime: 1 << 21,
};
const IGNORED = new Set(['rw', 'defaults']);

export const MS_BIND = 4096;
export const MS_REC = 16384;
export const MS_REMOUNT = 32;

/** What the kernel copies of a mount's data: one page, with its closing NUL. */
export const MAX_DATA_BYTES = 4095;

/** Splits fstab-like options into mount(2)'s flags and the file system's own data. */
export function mountArguments(options: readonly string[]): { flags: number; data: string[] } {
  let flags = 0;
  const data: string[] = [];
  for (const option of options) {
    const flag = FLAGS[option];
    if (flag !== undefined) flags |= flag;
    else if (!IGNORED.has(option)) data.push(option);
  }
  return { flags, data };
}

/**
 * The directory that all of an overlay's directories share, and its data with paths relative to that: how 125
 * layers fit into the one page that mount(2) takes.
 */
export function relativeOverlay(data: readonly string[]): { base: string; data: string[] } {
  const paths = data.flatMap(overlayPaths);
  const base = commonDirectory(paths);
  return {
    base,
    data: data.map((option) => {
      const [name, value] = splitOption(option);
      if (!isPathOption(name)) return option;
      const relative = splitLowers(value).map((path) => posix.relative(base, path) || '.');
      return `${name}=${relative.join(':')}`;
    }),
  };
}

/** A path as overlayfs reads it in `lowerdir`: colons, commas and backslashes escaped. */
export function escapeOverlayPath(path: string): string {
  return path.replace(/[\\:,]/g, (character) => `\\${character}`);
}

export function overlayMount(lowers: readonly string[], upper?: { directory: string; work: string }): Mount {
  const options = [`lowerdir=${lowers.map(escapeOverlayPath).join(':')}`];
  if (upper) {
    options.push(
      `upperdir=${escapeOverlayPath(upper.directory)}`,
      `workdir=${escapeOverlayPath(upper.work)}`,
      // Some distributions' kernels turn these on; an upper directory would not hold whole files any more.
      'metacopy=off',
      'redirect_dir=off',
      'index=off',
    );
  } else {
    options.unshift('ro');
  }
  return { type: 'overlay', source: 'overlay', options };
}

/**
 * The same mount without the sync that overlayfs does when it is unmounted (and when a program asks for one): a
 * quarter of a second on a busy disk. For what need not survive the machine's power, such as build steps and
 * `--rm` containers. Other mounts are answered as they are.
 */
export function volatileMount(mount: Mount): Mount {
  const writable = mount.options.some((option) => option.startsWith('upperdir='));
  return writable ? { ...mount, options: [...mount.options, 'volatile'] } : mount;
}

function overlayPaths(option: string): string[] {
  const [name, value] = splitOption(option);
  return isPathOption(name) ? splitLowers(value) : [];
}

function isPathOption(name: string): boolean {
  return name === 'lowerdir' || name === 'upperdir' || name === 'workdir';
}

function splitOption(option: string): [name: string, value: string] {
  const equals = option.indexOf('=');
  return equals < 0 ? [option, ''] : [option.slice(0, equals), option.slice(equals + 1)];
}

/** Splits at colons that are not escaped; the pieces stay escaped. */
function splitLowers(value: string): string[] {
  return value.split(/(?<!\\):/);
}

function commonDirectory(paths: readonly string[]): string {
  const [first = [], ...rest] = paths.map((path) => posix.dirname(path).split('/'));
  let length = first.length;
  for (const parts of rest) {
    let shared = 0;
    while (shared < length && parts[shared] === first[shared]) shared++;
    length = shared;
  }
  return first.slice(0, length).join('/') || '/';
}
