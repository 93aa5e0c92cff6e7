import { DEFAULT_SHM_SIZE, type HostConfig, sharedContainer } from '../host-config.ts';

/** What Docker masks and write-protects below /proc and /sys unless told otherwise. */
export const MASKED_PATHS = [
  '/proc/asound',
  '/proc/acpi',
  '/proc/interrupts',
  '/proc/kcore',
  '/proc/keys',
  '/proc/latency_stats',
  '/proc/timer_list',
  '/proc/timer_stats',
  '/proc/sched_debug',
  '/proc/scsi',
  '/sys/firmware',
  '/sys/devices/virtual/powercap',
];
export const READONLY_PATHS = ['/proc/bus', '/proc/fs', '/proc/irq', '/proc/sys', '/proc/sysrq-trigger'];

/** A host configuration with the engine's defaults filled in; other containers are named by id from here on. */
export function adaptHostConfig(
  host: HostConfig,
  options: { cgroupVersion: '1' | '2'; resolveContainer: (reference: string) => string | undefined },
): HostConfig {
  const byId = (mode: string) => {
    const reference = sharedContainer(mode);
    const id = reference === undefined ? undefined : options.resolveContainer(reference);
    return id === undefined ? mode : `container:${id}`;
  };
  const defaultCgroupns = options.cgroupVersion === '2' ? 'private' : 'host';
  return {
    ...host,
    LogConfig: { Type: host.LogConfig.Type || 'json-file', Config: host.LogConfig.Config },
    RestartPolicy: { ...host.RestartPolicy, Name: host.RestartPolicy.Name || 'no' },
    MemorySwap: host.Memory > 0 && host.MemorySwap === 0 ? host.Memory * 2 : host.MemorySwap,
    MemorySwappiness: host.MemorySwappiness === -1 ? null : host.MemorySwappiness,
    OomKillDisable: options.cgroupVersion === '2' ? null : (host.OomKillDisable ?? false),
    PidsLimit: (host.PidsLimit ?? 0) > 0 ? host.PidsLimit : null,
    ShmSize: host.ShmSize || DEFAULT_SHM_SIZE,
    IpcMode: byId(host.IpcMode || 'private'),
    PidMode: byId(host.PidMode),
    NetworkMode: byId(host.NetworkMode || 'default'),
    CgroupnsMode: host.CgroupnsMode || defaultCgroupns,
    Runtime: host.Runtime || 'runc',
    MaskedPaths: host.MaskedPaths ?? (host.Privileged ? null : MASKED_PATHS),
    ReadonlyPaths: host.ReadonlyPaths ?? (host.Privileged ? null : READONLY_PATHS),
  };
}
