import type { SpecMount, SpecRequest, SpecResources } from '../../runtime/spec/spec-request.ts';
import type { ContainerRecord, MountPoint } from '../container.ts';
import type { ContainerFiles } from '../container-files.ts';
import { cleanPath, tmpfsOptions } from '../create/parse-mounts.ts';
import type { HostConfig, Resources } from '../host-config.ts';
import { processEnvironment } from './process-environment.ts';

export interface NamespacePaths {
  readonly network: string;
  readonly pid: SpecRequest['namespaces']['pid'];
  readonly ipc: SpecRequest['namespaces']['ipc'];
}

/** Files that a container finds as /etc/hosts and so on; another container's where it shares that one's network. */
export interface IdentityFiles {
  readonly hosts: string;
  readonly hostname: string;
  readonly resolvConf: string;
}

/** Describes a container to the runtime. */
export function specRequestOf(
  record: ContainerRecord,
  files: ContainerFiles,
  namespaces: NamespacePaths,
  identity: IdentityFiles,
): SpecRequest {
  const { config, hostConfig: host } = record;
  const [height, width] = host.ConsoleSize;
  return {
    id: record.id,
    rootfs: files.rootfs,
    readonlyRootfs: host.ReadonlyRootfs,
    args: [record.path, ...record.args],
    env: processEnvironment(config, { terminal: config.Tty }),
    cwd: config.WorkingDir || '/',
    user: config.User,
    groupAdd: host.GroupAdd ?? [],
    terminal: config.Tty,
    ...(config.Tty && height > 0 && { consoleSize: { height, width } }),
    ...(host.UTSMode !== 'host' && { hostname: config.Hostname }),
    ...(config.Domainname && { domainname: config.Domainname }),
    init: host.Init ?? false,
    privileged: host.Privileged,
    capAdd: host.CapAdd ?? [],
    capDrop: host.CapDrop ?? [],
    securityOpt: host.SecurityOpt ?? [],
    ...(host.MaskedPaths && { maskedPaths: host.MaskedPaths }),
    ...(host.ReadonlyPaths && { readonlyPaths: host.ReadonlyPaths }),
    sysctls: host.Sysctls ?? {},
    oomScoreAdj: host.OomScoreAdj,
    ulimits: (host.Ulimits ?? []).map(({ Name, Soft, Hard }) => ({ name: Name, soft: Soft, hard: Hard })),
    devices: (host.Devices ?? []).map((device) => ({
      pathOnHost: device.PathOnHost,
      pathInContainer: device.PathInContainer || device.PathOnHost,
      permissions: device.CgroupPermissions || 'rwm',
    })),
    deviceCgroupRules: host.DeviceCgroupRules ?? [],
    namespaces: {
      ...namespaces,
      uts: host.UTSMode === 'host' ? 'host' : 'private',
      cgroup: host.CgroupnsMode === 'private' ? 'private' : 'host',
    },
    mounts: mountsOf(record, identity),
    shmSize: host.ShmSize,
    resources: specResourcesOf(host),
    ...(host.CgroupParent && { cgroupParent: host.CgroupParent }),
  };
}

export function specResourcesOf(resources: Resources): SpecResources {
  return {
    memory: resources.Memory,
    memorySwap: resources.MemorySwap,
    memoryReservation: resources.MemoryReservation,
    ...(resources.MemorySwappiness !== null && { memorySwappiness: resources.MemorySwappiness }),
    ...(resources.OomKillDisable && { oomKillDisable: true }),
    nanoCpus: resources.NanoCpus,
    cpuShares: resources.CpuShares,
    cpuQuota: resources.CpuQuota,
    cpuPeriod: resources.CpuPeriod,
    cpusetCpus: resources.CpusetCpus,
    cpusetMems: resources.CpusetMems,
    ...(resources.PidsLimit !== null && { pidsLimit: resources.PidsLimit }),
    blkioWeight: resources.BlkioWeight,
  };
}

/** Parents before children, so that none hides another. A user's own mount at /etc/hosts and the like wins. */
function mountsOf({ mounts, hostConfig }: ContainerRecord, identity: IdentityFiles): SpecMount[] {
  const own = [...mounts.map(ownMount), ...tmpfsOf(hostConfig)];
  const taken = new Set(own.map((mount) => mount.destination));
  const engine: SpecMount[] = [
    { type: 'bind' as const, source: identity.resolvConf, destination: '/etc/resolv.conf' },
    { type: 'bind' as const, source: identity.hostname, destination: '/etc/hostname' },
    { type: 'bind' as const, source: identity.hosts, destination: '/etc/hosts' },
  ]
    .filter((mount) => !taken.has(mount.destination))
    .map((mount) => ({ ...mount, readonly: hostConfig.ReadonlyRootfs }));
  const depth = ({ destination }: SpecMount) => destination.split('/').length;
  return [...own, ...engine].sort((a, b) => depth(a) - depth(b));
}

function ownMount(mount: MountPoint): SpecMount {
  const { destination, writable, propagation, spec } = mount;
  if (mount.type === 'tmpfs') {
    return { type: 'tmpfs', destination, readonly: !writable, options: tmpfsOptions(spec) };
  }
  return {
    type: 'bind',
    source: mount.source,
    destination,
    readonly: !writable,
    options: [
      ...(spec?.BindOptions?.NonRecursive ? ['bind'] : ['rbind']),
      ...(propagation ? [propagation] : []),
    ],
  };
}

function tmpfsOf(host: HostConfig): SpecMount[] {
  return Object.entries(host.Tmpfs ?? {}).map(([target, text]) => {
    const options = text.split(',').filter(Boolean);
    return {
      type: 'tmpfs',
      destination: cleanPath(target),
      readonly: options.includes('ro'),
      options: options.filter((option) => option !== 'ro' && option !== 'rw'),
    };
  });
}
