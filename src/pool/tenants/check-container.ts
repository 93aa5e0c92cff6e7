import { posix } from 'node:path';
import { forbidden, invalid } from '#errors/errors.ts';
import type { TenantPolicy } from './tenant-policy.ts';

type Body = Readonly<Record<string, unknown>>;

/** What of `HostConfig` a policy says nothing of: it concerns the container alone, or other objects of its tenant. */
export const HARMLESS = new Set([
  'ContainerIDFile', 'LogConfig', 'RestartPolicy', 'AutoRemove', 'VolumeDriver', 'VolumesFrom', 'ConsoleSize',
  'Annotations', 'CapDrop', 'Dns', 'DnsOptions', 'DnsSearch', 'ExtraHosts', 'GroupAdd', 'Cgroup', 'Links',
  'ReadonlyRootfs', 'StorageOpt', 'Tmpfs', 'ShmSize', 'Runtime', 'Isolation', 'Init', 'BlkioWeight',
  'BlkioWeightDevice', 'CpusetCpus', 'CpusetMems', 'MemoryReservation', 'MemorySwappiness', 'CpuCount', 'CpuPercent',
  'CpuShares', 'IOMaximumIOps', 'IOMaximumBandwidth', 'BlkioDeviceReadBps', 'BlkioDeviceWriteBps',
  'BlkioDeviceReadIOps', 'BlkioDeviceWriteIOps',
]); // biome-ignore format: one word after another

/** What of it a policy decides on. Each throws `forbidden`, or answers what is to be in its place. */
const RULES: Readonly<Record<string, (value: unknown, policy: TenantPolicy) => unknown>> = {
  Privileged: (value, { privileged }) => allowed(privileged || value !== true, 'privileged containers'),
  Binds: (value, policy) => {
    for (const bind of texts(value)) checkBind(bind.split(':')[0]!, policy);
  },
  Mounts: (value, policy) => {
    for (const mount of objects(value)) checkMount(mount, policy);
  },
  NetworkMode: hostMode('the network'),
  PidMode: hostMode('the processes'),
  IpcMode: hostMode('the IPC'),
  UTSMode: hostMode('the host name'),
  UsernsMode: hostMode('the users'),
  CgroupnsMode: hostMode('the cgroups'),
  CapAdd: (value, { capabilities }) => {
    const may = new Set(capabilities.map(capability));
    const beyond = texts(value).map(capability).find((name) => !may.has(name) && !may.has('ALL'));
    allowed(beyond === undefined, `the capability ${beyond}`);
  },
  Devices: (value, { devices }) => allowed(devices || isEmpty(value), 'devices of the machine'),
  DeviceCgroupRules: (value, { devices }) => allowed(devices || isEmpty(value), 'devices of the machine'),
  DeviceRequests: (value, { devices }) => allowed(devices || isEmpty(value), 'devices of the machine'),
  SecurityOpt: (value, { unconfined }) => {
    const option = texts(value).find((text) => !/^no-new-privileges(?:[:=]true)?$/.test(text));
    allowed(unconfined || option === undefined, `the security option ${option}`);
  },
  Sysctls: (value, { unconfined }) => allowed(unconfined || isEmpty(value), 'sysctls'),
  CgroupParent: (value, { unconfined }) => allowed(unconfined || isEmpty(value), 'a cgroup of their choice'),
  MaskedPaths: (value, { unconfined }) => allowed(unconfined || value == null, 'other masked paths'),
  ReadonlyPaths: (value, { unconfined }) => allowed(unconfined || value == null, 'other read-only paths'),
  OomScoreAdj: (value, { unconfined }) => allowed(unconfined || !(Number(value) < 0), 'to be spared by the OOM killer'),
  OomKillDisable: (value, { unconfined }) => allowed(unconfined || value !== true, 'to be spared by the OOM killer'),
  CpuRealtimePeriod: (value, { unconfined }) => allowed(unconfined || isEmpty(value), 'real-time scheduling'),
  CpuRealtimeRuntime: (value, { unconfined }) => allowed(unconfined || isEmpty(value), 'real-time scheduling'),
  Ulimits: (value, { unconfined }) => {
    const beyond = objects(value).find(({ Name }) => Name === 'rtprio' || Name === 'nice' || Name === 'memlock');
    allowed(unconfined || beyond === undefined, `the ulimit ${beyond?.Name}`);
  },
  PublishAllPorts: (value, { ports }) => allowed(ports !== 'none' || value !== true, 'published ports'),
  PortBindings: (value, policy) => checkPorts(value, policy),
}; // biome-ignore format: a line each

/** Which keys of `HostConfig` are decided on here. */
export const RULED = new Set([
  ...Object.keys(RULES), 'Memory', 'MemorySwap', 'NanoCpus', 'CpuPeriod', 'CpuQuota', 'PidsLimit',
]); // biome-ignore format: one word after another

/**
 * The body of `POST /containers/create` as a policy has it: limits that it did not say are in it. Throws `forbidden` for
 * what the policy does not allow, `invalid` for what is no such body.
 */
export function checkContainer(body: unknown, policy: TenantPolicy): Body {
  const asked = objectOf(body);
  if (!asked) throw invalid('config cannot be empty in order to create a container');
  const host = asked.HostConfig == null ? {} : objectOf(asked.HostConfig);
  if (!host) throw invalid('invalid request body: HostConfig: expected an object');
  for (const [key, rule] of Object.entries(RULES)) if (host[key] !== undefined) rule(host[key], policy);
  const endpoints = objectOf(objectOf(asked.NetworkingConfig)?.EndpointsConfig) ?? {};
  allowed(policy.hostNamespaces || !('host' in endpoints), 'the network of the machine');
  return { ...asked, HostConfig: { ...host, ...limited(host, policy, true) } };
}

/** The body of `POST /containers/{id}/update`. Throws as `checkContainer`. */
export function checkUpdate(body: unknown, policy: TenantPolicy): Body {
  const asked = objectOf(body) ?? {};
  for (const [key, rule] of Object.entries(RULES)) if (asked[key] !== undefined) rule(asked[key], policy);
  return { ...asked, ...limited(asked, policy, false) };
}

/**
 * Limits at the policy's, where they are larger or, if `isNew`, not given. An update keeps what it does not name (0, null),
 * which is within the limits already.
 */
function limited(host: Body, { memory, cpus, pids, worker }: TenantPolicy, isNew: boolean): Body {
  const changed: Record<string, unknown> = {};
  allowed(coresOf(host) <= (worker.cpus ?? Number.POSITIVE_INFINITY), `more than ${worker.cpus} cores`);
  if (memory !== null) {
    const given = Number(host.Memory ?? 0);
    allowed(given <= memory, `more memory than ${memory} bytes`);
    if (given < 0 || (isNew && given === 0)) changed.Memory = memory;
    const total = given > 0 ? given : memory;
    // Memory and swap together: without it a container had as much swap again.
    const swap = Number(host.MemorySwap ?? 0);
    allowed(swap <= total, 'swap');
    if (isNew || given > 0 || swap !== 0) changed.MemorySwap = total;
  }
  if (cpus !== null) {
    const quota = Number(host.CpuQuota ?? 0);
    const period = Number(host.CpuPeriod ?? 0);
    allowed(quota >= 0, 'a quota of no end');
    allowed(coresOf(host) <= cpus, `more than ${cpus} cores`);
    // A longer or shorter period alone would make more of the quota that is there.
    allowed(isNew || period === 0 || quota > 0, 'a period without its quota');
    if (isNew && !(Number(host.NanoCpus) > 0) && quota === 0) {
      changed.NanoCpus = Math.round(cpus * 1e9);
      changed.CpuPeriod = 0;
    }
  }
  if (pids !== null) {
    const given = host.PidsLimit == null ? 0 : Number(host.PidsLimit);
    allowed(given <= pids, `more than ${pids} processes`);
    if (given < 0 || (isNew ? given === 0 : host.PidsLimit === 0)) changed.PidsLimit = pids;
  }
  return changed;
}

/** How many it asks for; 0: none in particular. */
function coresOf(host: Body): number {
  const quota = Number(host.CpuQuota ?? 0);
  const period = Number(host.CpuPeriod ?? 0);
  const byQuota = quota > 0 ? quota / (period > 0 ? period : 100_000) : 0;
  return Math.max(Number(host.NanoCpus ?? 0) / 1e9, byQuota);
}

function checkMount(mount: Body, policy: TenantPolicy): void {
  const type = String(mount.Type ?? '').toLowerCase();
  if (type === 'bind') checkBind(String(mount.Source ?? ''), policy);
  else allowed(['', 'volume', 'tmpfs', 'image'].includes(type), `mounts of type ${type}`);
  checkVolumeDriver(objectOf(objectOf(mount.VolumeOptions)?.DriverConfig)?.Options, policy);
}

/** The local driver mounts whatever its options say. Throws `forbidden`. */
export function checkVolumeDriver(options: unknown, { privileged }: TenantPolicy): void {
  const names = Object.keys(objectOf(options) ?? {}).filter((name) => name !== 'size');
  const isMemory = objectOf(options)?.type === 'tmpfs' && objectOf(options)?.device === 'tmpfs';
  allowed(privileged || isMemory || names.length === 0, 'volumes that mount something else');
}

/** What is no path is a volume's name. What a path leads to by links is not known here: the folders are the operator's. */
function checkBind(source: string, { hostBinds }: TenantPolicy): void {
  if (!source.startsWith('/')) return;
  const path = posix.normalize(source).replace(/(?<=.)\/$/, '');
  const may = hostBinds.some((folder) => folder === '/' || path === folder || path.startsWith(`${folder}/`));
  allowed(may, `the folder ${source} of the machine`);
}

function checkPorts(bindings: unknown, { ports }: TenantPolicy): void {
  for (const given of Object.values(objectOf(bindings) ?? {})) {
    for (const { HostPort = '' } of objects(given)) {
      allowed(ports !== 'none', 'published ports');
      const first = Number.parseInt(String(HostPort), 10);
      allowed(ports === 'any' || !(first < 1024) || first === 0, `port ${first} of the machine`);
    }
  }
}

function hostMode(what: string) {
  return (value: unknown, { hostNamespaces }: TenantPolicy) =>
    allowed(hostNamespaces || value !== 'host', `${what} of the machine`);
}

function allowed(is: boolean, what: string): void {
  if (!is) throw forbidden(`your tenant's policy does not allow ${what}`);
}

function capability(name: string): string {
  return name.toUpperCase().replace(/^CAP_/, '');
}

function isEmpty(value: unknown): boolean {
  if (value == null || value === '' || value === 0) return true;
  return typeof value === 'object' && Object.keys(value).length === 0;
}

function texts(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((it) => typeof it === 'string') : [];
}

function objects(value: unknown): Body[] {
  return Array.isArray(value) ? value.map((it) => objectOf(it) ?? {}) : [];
}

function objectOf(value: unknown): Body | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Body) : undefined;
}
