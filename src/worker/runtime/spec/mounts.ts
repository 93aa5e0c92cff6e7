import { existsSync } from 'node:fs';
import type { OciMount } from './oci-spec.ts';
import type { SpecMount, SpecRequest } from './spec-request.ts';

const DEFAULT_SHM = 64 * 1024 * 1024;
const PROPAGATION = /^r?(private|shared|slave|unbindable)$/;
/** Their content is the kernel's and a read-only root file system leaves them writable. */
const ALWAYS_WRITABLE = new Set(['/proc', '/dev', '/dev/pts', '/dev/shm', '/dev/mqueue']);

/** Everything that is mounted over the root file system, in order. */
export function mountsFor(request: SpecRequest, options: { writableCgroups: boolean }): OciMount[] {
  const own = request.mounts.map(ownMount);
  const replaced = new Set(own.map((mount) => mount.destination));
  const defaults = defaultMounts(request, options.writableCgroups)
    .filter((mount) => !replaced.has(mount.destination))
    .filter((mount) => !(replaced.has('/dev') && mount.destination.startsWith('/dev/')));
  return [...defaults, ...own];
}

function defaultMounts(request: SpecRequest, writableCgroups: boolean): OciMount[] {
  const system = request.privileged && !request.readonlyRootfs ? 'rw' : 'ro';
  const cgroup = system === 'rw' || writableCgroups ? 'rw' : 'ro';
  const mounts: OciMount[] = [
    { destination: '/proc', type: 'proc', source: 'proc', options: ['nosuid', 'noexec', 'nodev'] },
    {
      destination: '/dev',
      type: 'tmpfs',
      source: 'tmpfs',
      options: ['nosuid', 'strictatime', 'mode=755', 'size=65536k'],
    },
    {
      destination: '/dev/pts',
      type: 'devpts',
      source: 'devpts',
      options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'],
    },
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', system] },
    {
      destination: '/sys/fs/cgroup',
      type: 'cgroup',
      source: 'cgroup',
      options: [cgroup, 'nosuid', 'noexec', 'nodev'],
    },
    ...ipcMounts(request),
  ];
  return mounts.map((mount) =>
    request.readonlyRootfs && !ALWAYS_WRITABLE.has(mount.destination) ? readOnly(mount) : mount,
  );
}

/**
 * Message queues and shared memory go with the IPC namespace. A container that shares another's has to be given its
 * /dev/shm among the mounts, from a mount of the host's: one container's mounts cannot be bound into another.
 */
function ipcMounts({ namespaces: { ipc }, shmSize }: SpecRequest): OciMount[] {
  if (ipc === 'host') {
    return ['/dev/shm', '/dev/mqueue'].filter((path) => existsSync(path)).map((path) => bind(path, path));
  }
  const mqueue: OciMount = {
    destination: '/dev/mqueue',
    type: 'mqueue',
    source: 'mqueue',
    options: ['nosuid', 'noexec', 'nodev'],
  };
  if (ipc === 'none') return [mqueue];
  return [
    mqueue,
    {
      destination: '/dev/shm',
      type: 'tmpfs',
      source: 'shm',
      options: ['nosuid', 'noexec', 'nodev', 'mode=1777', `size=${shmSize || DEFAULT_SHM}`],
    },
  ];
}

function ownMount(mount: SpecMount): OciMount {
  const options = [...(mount.options ?? [])];
  const access = mount.readonly ? 'ro' : 'rw';
  if (!options.includes('ro') && !options.includes('rw')) options.push(access);
  if (mount.type === 'tmpfs') {
    for (const flag of ['nosuid', 'nodev', 'noexec']) {
      const opposite = flag.slice(2);
      if (!options.includes(flag) && !options.includes(opposite)) options.push(flag);
    }
    return { destination: mount.destination, type: 'tmpfs', source: 'tmpfs', options };
  }
  if (!options.includes('bind') && !options.includes('rbind')) options.unshift('rbind');
  if (!options.some((option) => PROPAGATION.test(option))) options.push('rprivate');
  return { destination: mount.destination, type: 'bind', source: mount.source, options };
}

/** What the root file system's own propagation has to be so that a shared mount in it can be. */
export function rootPropagationFor(mounts: readonly SpecMount[]): string | undefined {
  const all = mounts.flatMap((mount) => mount.options ?? []);
  if (all.some((option) => option === 'shared' || option === 'rshared')) return 'rshared';
  if (all.some((option) => option === 'slave' || option === 'rslave')) return 'rslave';
  return undefined;
}

const bind = (source: string, destination: string): OciMount => ({
  destination,
  type: 'bind',
  source,
  options: ['rbind', 'rprivate', 'rw'],
});

const readOnly = (mount: OciMount): OciMount => ({
  ...mount,
  options: [...(mount.options ?? []).filter((option) => option !== 'ro' && option !== 'rw'), 'ro'],
});
