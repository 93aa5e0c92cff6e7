import { access, readFile } from 'node:fs/promises';
import type { CgroupFacts } from './host-facts.ts';

const ROOT = '/sys/fs/cgroup';

/** Which kind of control groups this host has and what they can limit. */
export async function probeCgroups(): Promise<CgroupFacts> {
  const unified = await readFile(`${ROOT}/cgroup.controllers`, 'utf8').catch(() => undefined);
  return unified === undefined ? probeV1() : probeV2(unified);
}

async function probeV2(controllers: string): Promise<CgroupFacts> {
  return {
    version: 'v2',
    controllers: new Set(controllers.trim().split(/\s+/).filter(Boolean)),
    // The files are missing in the root group only; without swap accounting the kernel has none at all.
    swapAccounting: await exists('/proc/swaps'),
    blkioWeight: controllers.includes('io'),
  };
}

async function probeV1(): Promise<CgroupFacts> {
  const [mounts, known] = await Promise.all([
    readFile('/proc/self/mounts', 'utf8'),
    readFile('/proc/cgroups', 'utf8'),
  ]);
  const names = new Set(known.split('\n').map((line) => line.split('\t')[0]));
  const mounted = mounts
    .split('\n')
    .map((line) => line.split(' '))
    .filter(([, , type]) => type === 'cgroup')
    .flatMap(([, , , options = '']) => options.split(','));
  const controllers = new Set(mounted.filter((option) => names.has(option)));
  return {
    version: /^\S+ \S+ cgroup2 /m.test(mounts) ? 'hybrid' : 'v1',
    controllers,
    swapAccounting: await exists(`${ROOT}/memory/memory.memsw.limit_in_bytes`),
    blkioWeight: await exists(`${ROOT}/blkio/blkio.weight`),
  };
}

const exists = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );
