import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '#errors/errors.ts';

const ROOT = '/sys/fs/cgroup';
/** The kernel's usual period, in microseconds. */
const PERIOD = 100_000;

/** Bytes, cores, processes; null: any. */
interface GroupLimits {
  readonly memory: number | null;
  readonly cpus: number | null;
  readonly pids: number | null;
}

/**
 * What everything below a control group may take together; makes the group. Answers what the kernel does not take as
 * of now: a limit below what is in use, or cores fewer than somebody in it was given.
 */
export async function limitGroup(path: string, limits: GroupLimits): Promise<(keyof GroupLimits)[]> {
  const isUnified = existsSync(join(ROOT, 'cgroup.controllers'));
  const write = isUnified ? await unified(path) : await separate(path);
  const refused: (keyof GroupLimits)[] = [];
  for (const kind of ['memory', 'cpus', 'pids'] as const) {
    const files = isUnified ? unifiedFiles(kind, limits[kind]) : separateFiles(kind, limits[kind]);
    if (!(await write(files))) refused.push(kind);
  }
  return refused;
}

type Files = readonly (readonly [controller: string, file: string, value: string])[];
type Write = (files: Files) => Promise<boolean>;

async function unified(path: string): Promise<Write> {
  let parent = ROOT;
  for (const name of path.split('/').filter(Boolean)) {
    // A controller that this machine does not have has no limits to be written either.
    for (const controller of ['memory', 'cpu', 'pids'])
      await written(join(parent, 'cgroup.subtree_control'), `+${controller}`);
    parent = join(parent, name);
    await mkdir(parent, { recursive: true });
  }
  return async (files) =>
    (await Promise.all(files.map(([, file, value]) => written(join(parent, file), value)))).every(Boolean);
}

async function separate(path: string): Promise<Write> {
  for (const controller of ['memory', 'cpu', 'pids']) {
    await mkdir(join(ROOT, controller, path), { recursive: true });
  }
  return async (files) => {
    // What memory may be is never above what memory and swap may be together: one order is for up, one for down.
    for (const order of [files, files.toReversed()]) {
      const done: boolean[] = [];
      for (const [controller, file, value] of order)
        done.push(await written(join(ROOT, controller, path, file), value));
      if (done.every(Boolean)) return true;
    }
    return false;
  };
}

function unifiedFiles(kind: keyof GroupLimits, limit: number | null): Files {
  const most = limit === null ? 'max' : String(limit);
  if (kind === 'memory')
    return [
      ['', 'memory.max', most],
      ['', 'memory.swap.max', limit === null ? 'max' : '0'],
    ];
  if (kind === 'pids') return [['', 'pids.max', most]];
  return [['', 'cpu.max', limit === null ? `max ${PERIOD}` : `${Math.round(limit * PERIOD)} ${PERIOD}`]];
}

function separateFiles(kind: keyof GroupLimits, limit: number | null): Files {
  if (kind === 'pids') return [['pids', 'pids.max', limit === null ? 'max' : String(limit)]];
  if (kind === 'cpus')
    return [['cpu', 'cpu.cfs_quota_us', limit === null ? '-1' : String(Math.round(limit * PERIOD))]];
  const most = limit === null ? '-1' : String(limit);
  const memory = ['memory', 'memory.limit_in_bytes', most] as const;
  // Where swap is not counted there is no such file.
  return existsSync(join(ROOT, 'memory', 'memory.memsw.limit_in_bytes'))
    ? [memory, ['memory', 'memory.memsw.limit_in_bytes', most]]
    : [memory];
}

async function written(file: string, value: string): Promise<boolean> {
  try {
    await writeFile(file, value);
    return true;
  } catch (error) {
    if (['EBUSY', 'EINVAL', 'ENOENT', 'ENOTSUP'].includes(systemCode(error) ?? '')) return false;
    throw error;
  }
}
