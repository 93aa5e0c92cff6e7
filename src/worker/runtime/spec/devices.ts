import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { invalid } from '#errors/errors.ts';
import type { OciLinux, OciResources } from './oci-spec.ts';
import type { SpecRequest } from './spec-request.ts';

type Device = NonNullable<OciLinux['devices']>[number];
type DeviceRule = NonNullable<OciResources['devices']>[number];

export interface DevicePlan {
  readonly nodes: Device[];
  readonly rules: DeviceRule[];
}

/** null, zero, full, random, urandom, tty and console; the runtime adds pts, ptmx and mknod by itself. */
const DEFAULT_RULES: DeviceRule[] = [
  { allow: false, access: 'rwm' },
  ...[
    [1, 3],
    [1, 5],
    [1, 7],
    [1, 8],
    [1, 9],
    [5, 0],
    [5, 1],
  ].map(([major, minor]) => ({
    allow: true,
    type: 'c',
    major,
    minor,
    access: 'rwm',
  })),
  { allow: false, type: 'c', major: 10, minor: 229, access: 'rwm' },
];

/** Mounts of their own in every container, or links into its /proc. */
const NOT_COPIED = new Set(['pts', 'shm', 'fd', 'mqueue', 'console', 'ptmx', '.lxc', '.lxd-mounts', '.udev']);

/** The device nodes of a container and what its cgroup lets it do with them. Throws `invalid`. */
export async function devicesFor(request: SpecRequest): Promise<DevicePlan> {
  if (request.privileged) {
    return { nodes: await nodesBelow('/dev', '/dev'), rules: [{ allow: true, access: 'rwm' }] };
  }
  const nodes: Device[] = [];
  const rules = [...DEFAULT_RULES];
  for (const { pathOnHost, pathInContainer, permissions } of request.devices ?? []) {
    const access = permissions || 'rwm';
    if (!/^[rwm]+$/.test(access)) throw invalid(`invalid device mode: ${permissions}`);
    const found = await nodesAt(pathOnHost, pathInContainer || pathOnHost);
    if (found.length === 0) {
      throw invalid(
        `error gathering device information while adding custom device "${pathOnHost}": no such file or directory`,
      );
    }
    nodes.push(...found);
    rules.push(...found.map(({ type, major, minor }) => ({ allow: true, type, major, minor, access })));
  }
  return { nodes, rules: [...rules, ...(request.deviceCgroupRules ?? []).map(parseRule)] };
}

async function nodesAt(host: string, inContainer: string): Promise<Device[]> {
  const real = await realpath(host).catch(() => host);
  const stats = await stat(real).catch(() => undefined);
  if (stats?.isDirectory()) return nodesBelow(real, inContainer);
  const node = await nodeOf(real, inContainer);
  return node ? [node] : [];
}

async function nodesBelow(host: string, inContainer: string): Promise<Device[]> {
  const entries = await readdir(host, { withFileTypes: true });
  const found = await Promise.all(
    entries
      .filter((entry) => !NOT_COPIED.has(entry.name))
      .map(async (entry) => {
        const [source, target] = [join(host, entry.name), join(inContainer, entry.name)];
        if (entry.isDirectory()) return nodesBelow(source, target);
        if (!entry.isCharacterDevice() && !entry.isBlockDevice()) return [];
        const node = await nodeOf(source, target);
        return node ? [node] : [];
      }),
  );
  return found.flat();
}

async function nodeOf(host: string, inContainer: string): Promise<Device | undefined> {
  const stats = await stat(host).catch(() => undefined);
  if (!stats?.isCharacterDevice() && !stats?.isBlockDevice()) return undefined;
  return {
    path: inContainer,
    type: stats.isBlockDevice() ? 'b' : 'c',
    ...deviceNumber(stats.rdev),
    fileMode: stats.mode & 0o777,
    uid: stats.uid,
    gid: stats.gid,
  };
}

/** Linux splits both numbers over the word: see makedev(3). */
export function deviceNumber(rdev: number): { major: number; minor: number } {
  const value = BigInt(rdev);
  return {
    major: Number(((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n)),
    minor: Number((value & 0xffn) | ((value >> 12n) & 0xffffff00n)),
  };
}

/** `c 42:* rmw`, as `--device-cgroup-rule` takes it. */
function parseRule(text: string): DeviceRule {
  const match = /^([acb]) (\d+|\*):(\d+|\*) ([rwm]{1,3})$/.exec(text);
  if (!match) throw invalid(`invalid device cgroup rule format: '${text}'`);
  const [, type, major, minor, access] = match;
  const number = (part: string | undefined) => (part === '*' ? -1 : Number(part));
  return { allow: true, type, major: number(major), minor: number(minor), access };
}
