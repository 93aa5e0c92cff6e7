import { mkdir, readlink } from 'node:fs/promises';
import { invalid, messageOf, SlipwayError, systemCode } from '#errors/errors.ts';
import { ContainerTree } from '../archive/container-tree.ts';
import type { ContainerRecord, MountPoint } from '../container.ts';

/** `-v` makes the host directory that is missing. */
export async function prepareSources(record: ContainerRecord): Promise<void> {
  for (const mount of record.mounts) {
    if (mount.type === 'bind' && mount.createSource) await makeSource(mount.source);
  }
}

/** The record with its volumes' subpaths resolved, each within its volume. Throws `invalid`. */
export async function withSubpaths(record: ContainerRecord): Promise<ContainerRecord> {
  if (!record.mounts.some((mount) => mount.spec?.VolumeOptions?.Subpath)) return record;
  return { ...record, mounts: await Promise.all(record.mounts.map(withSubpath)) };
}

async function withSubpath(mount: MountPoint): Promise<MountPoint> {
  const subpath = mount.spec?.VolumeOptions?.Subpath;
  if (!subpath || mount.type !== 'volume') return mount;
  await using location = await new ContainerTree(mount.source).locate(subpath, { follow: true });
  if (!location.handle) {
    throw invalid(
      `cannot access path ${mount.source}/${subpath}: lstat ${mount.source}/${subpath}: no such file or directory`,
    );
  }
  return { ...mount, source: await readlink(location.access) };
}

async function makeSource(path: string): Promise<void> {
  try {
    await mkdir(path, { recursive: true });
  } catch (error) {
    // A file is a fine source too.
    if (systemCode(error) === 'EEXIST') return;
    throw new SlipwayError(
      'unavailable',
      `error while creating mount source path '${path}': mkdir ${path}: ${messageOf(error)}`,
      { cause: error },
    );
  }
}
