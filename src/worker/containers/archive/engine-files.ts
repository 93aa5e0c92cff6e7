import type { Change } from '../../snapshots/diff.ts';

/**
 * What the engine and the runtime make in a root file system as places to mount at. Docker keeps them in a layer
 * below the container's, so that neither `docker diff` nor a commit shows them.
 */
export const ENGINE_FILES = [
  '/.dockerenv',
  '/dev',
  '/dev/console',
  '/dev/mqueue',
  '/dev/pts',
  '/dev/shm',
  '/etc',
  '/etc/hostname',
  '/etc/hosts',
  '/etc/mtab',
  '/etc/resolv.conf',
  '/proc',
  '/sys',
];

/** Changes that are the container's own doing. `mountedAt`: its mounts, whose places the runtime makes too. */
export function ownChanges(changes: readonly Change[], mountedAt: readonly string[]): Change[] {
  const engine = new Set([...ENGINE_FILES, ...mountedAt]);
  const own = changes.filter(({ path, kind }) => !(kind === 'added' && engine.has(path)));
  const dropped = changes.length - own.length;
  if (dropped === 0) return own;
  // A directory that counts as modified only because something was made in it for a mount.
  const parents = new Set(own.flatMap(({ path }) => parentsOf(path)));
  const touched = new Set([...engine].flatMap(parentsOf));
  return own.filter(({ path, kind }) => kind !== 'modified' || !touched.has(path) || parents.has(path));
}

function parentsOf(path: string): string[] {
  const parts = path.split('/').slice(1, -1);
  return parts.map((_, index) => `/${parts.slice(0, index + 1).join('/')}`);
}
