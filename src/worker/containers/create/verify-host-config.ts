import { isIP } from 'node:net';
import { availableParallelism } from 'node:os';
import { invalid } from '#errors/errors.ts';
import { type HostConfig, type Resources, type RestartPolicy, sharedContainer } from '../host-config.ts';
import { cleanPath } from './parse-mounts.ts';
import { verifyLogConfig } from './verify-log-config.ts';

const MIN_MEMORY = 6 * 1024 * 1024;

/** Checks how a container is to sit on its host, in Docker's words. Throws `invalid`; answers warnings. */
export function verifyHostConfig(host: HostConfig): string[] {
  const warnings: string[] = [];
  if (host.AutoRemove && !['', 'no'].includes(host.RestartPolicy.Name)) {
    throw invalid(`can't create 'AutoRemove' container with restart policy`);
  }
  for (const extra of host.ExtraHosts ?? []) verifyExtraHost(extra);
  for (const server of host.Dns ?? []) {
    if (isIP(server) === 0) throw invalid(`${server} is not an ip address`);
  }
  verifyPortBindings(host.PortBindings);
  verifyRestartPolicy(host.RestartPolicy);
  verifyModes(host);
  verifyResources(host, false);
  if (host.ShmSize < 0) throw invalid('SHM size can not be less than 0');
  if (host.OomScoreAdj < -1000 || host.OomScoreAdj > 1000) {
    throw invalid(`Invalid value ${host.OomScoreAdj}, range for oom score adj is [-1000, 1000]`);
  }
  if ((host.DeviceRequests?.length ?? 0) > 0) {
    throw invalid('could not select device driver "" with capabilities: [[gpu]]');
  }
  if (!['', 'runc', 'io.containerd.runc.v2'].includes(host.Runtime)) {
    throw invalid(`unknown or invalid runtime name: ${host.Runtime}`);
  }
  if (!['', 'default'].includes(host.Isolation)) {
    throw invalid(`invalid isolation '${host.Isolation}' on linux`);
  }
  verifyLogConfig(host.LogConfig);
  for (const target of Object.keys(host.Tmpfs ?? {})) verifyTmpfsTarget(target);
  if (Object.keys(host.StorageOpt ?? {}).length > 0) {
    throw invalid("--storage-opt is supported only for overlay over xfs with 'pquota' mount option");
  }
  if (host.NetworkMode === 'host' && Object.keys(host.PortBindings).length > 0) {
    warnings.push('Published ports are discarded when using host network mode');
  }
  if (host.OomKillDisable && host.Memory === 0) {
    warnings.push(
      'OOM killer is disabled for the container, but no memory limit is set, this can result in the system running out of resources.',
    );
  }
  return warnings;
}

function verifyTmpfsTarget(target: string): void {
  if (!target.startsWith('/')) throw invalid(`invalid mount path: '${target}' mount path must be absolute`);
  if (cleanPath(target) === '/') throw invalid("invalid specification: destination can't be '/'");
}

/** Throws `invalid`. `update` relaxes what depends on values that are not changed. */
export function verifyResources(resources: Resources, update: boolean): void {
  const { Memory, MemorySwap, MemoryReservation, MemorySwappiness, CpuPeriod, CpuQuota, NanoCpus } =
    resources;
  const require = (holds: boolean, message: string) => {
    if (!holds) throw invalid(message);
  };
  require(Memory === 0 || Memory >= MIN_MEMORY, 'Minimum memory limit allowed is 6MB');
  require(!(
    Memory > 0 &&
    MemorySwap > 0 &&
    MemorySwap < Memory
  ), 'Minimum memoryswap limit should be larger than memory limit, see usage');
  require(update ||
    !(
      Memory === 0 && MemorySwap > 0
    ), 'You should always set the Memory limit when using Memoryswap limit, see usage');
  require(MemorySwappiness === null ||
    MemorySwappiness === -1 ||
    (MemorySwappiness >= 0 &&
      MemorySwappiness <= 100), `Invalid value: ${MemorySwappiness}, valid memory swappiness range is 0-100`);
  require(MemoryReservation <= 0 ||
    MemoryReservation >= MIN_MEMORY, 'Minimum memory reservation allowed is 6MB');
  require(!(
    Memory > 0 && MemoryReservation > Memory
  ), 'Minimum memory limit can not be less than memory reservation limit, see usage');
  require(!(
    NanoCpus > 0 && CpuPeriod > 0
  ), 'Conflicting options: Nano CPUs and CPU Period cannot both be set');
  require(!(NanoCpus > 0 && CpuQuota > 0), 'Conflicting options: Nano CPUs and CPU Quota cannot both be set');
  const cpus = availableParallelism();
  require(NanoCpus >= 0 &&
    NanoCpus <=
      cpus * 1e9, `range of CPUs is from 0.01 to ${cpus}.00, as there are only ${cpus} CPUs available`);
  require(CpuPeriod === 0 ||
    (CpuPeriod >= 1000 &&
      CpuPeriod <=
        1_000_000), 'CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s (i.e. 1000000)');
  require(CpuQuota <= 0 || CpuQuota >= 1000, 'CPU cfs quota can not be less than 1ms (i.e. 1000)');
  require(resources.BlkioWeight === 0 ||
    (resources.BlkioWeight >= 10 &&
      resources.BlkioWeight <= 1000), 'Range of blkio weight is from 10 to 1000');
  require(resources.IOMaximumBandwidth === 0 &&
    resources.IOMaximumIOps ===
      0, 'Invalid QoS settings: linux does not support Maximum IO Bandwidth or Maximum IO IOps');
  verifyCpuList(resources.CpusetCpus, cpus);
}

export function verifyRestartPolicy({ Name, MaximumRetryCount }: RestartPolicy): void {
  switch (Name) {
    case 'always':
    case 'unless-stopped':
    case 'no':
      if (MaximumRetryCount !== 0) {
        const negative = MaximumRetryCount < 0 ? ' and cannot be negative' : '';
        throw invalid(
          `invalid restart policy: maximum retry count can only be used with 'on-failure'${negative}`,
        );
      }
      return;
    case 'on-failure':
      if (MaximumRetryCount < 0) {
        throw invalid('invalid restart policy: maximum retry count cannot be negative');
      }
      return;
    case '':
      return;
    default:
      throw invalid(
        `invalid restart policy: unknown policy '${Name}'; use one of 'no', 'always', 'on-failure', or 'unless-stopped'`,
      );
  }
}

function verifyCpuList(text: string, cpus: number): void {
  if (text === '') return;
  for (const part of text.split(',')) {
    const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(part.trim());
    if (!range) throw invalid(`Invalid value ${text} for cpuset cpus`);
    if (Number(range[2] ?? range[1]) >= cpus) {
      throw invalid(
        `Requested CPUs are not available - requested ${text}, available: 0${cpus > 1 ? `-${cpus - 1}` : ''}`,
      );
    }
  }
}

function verifyExtraHost(text: string): void {
  const split = /^([^:=]+)[:=](.+)$/.exec(text);
  const address = split?.[2]?.replace(/^\[(.*)\]$/, '$1');
  if (!split || !address) throw invalid(`bad format for add-host: ${JSON.stringify(text)}`);
  if (address !== 'host-gateway' && isIP(address) === 0) {
    throw invalid(`invalid IP address in add-host: ${JSON.stringify(address)}`);
  }
}

function verifyPortBindings(bindings: HostConfig['PortBindings']): void {
  for (const [port, hosts] of Object.entries(bindings)) {
    const container = /^(\d{1,5})(?:\/(tcp|udp|sctp))?$/i.exec(port);
    const number = Number(container?.[1]);
    if (!container || number < 1 || number > 65535) {
      throw invalid(`invalid port specification: ${JSON.stringify(port)}`);
    }
    for (const { HostPort } of hosts ?? []) {
      const range = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(HostPort);
      const [first, last] = [Number(range?.[1]), Number(range?.[2] ?? range?.[1])];
      if (HostPort !== '' && (!range || first > last || last > 65535)) {
        throw invalid(`invalid port specification: ${JSON.stringify(HostPort)}`);
      }
    }
  }
}

function verifyModes(host: HostConfig): void {
  const shares = (mode: string) => (sharedContainer(mode) ?? '') !== '';
  if (!['', 'none', 'private', 'shareable', 'host'].includes(host.IpcMode) && !shares(host.IpcMode)) {
    throw invalid(`invalid IPC mode: ${host.IpcMode}`);
  }
  if (!['', 'host'].includes(host.PidMode) && !shares(host.PidMode)) {
    throw invalid(`invalid PID mode: ${host.PidMode}`);
  }
  if (!['', 'host'].includes(host.UTSMode)) throw invalid(`invalid UTS mode: ${host.UTSMode}`);
  if (!['', 'host'].includes(host.UsernsMode))
    throw invalid(`invalid user namespace mode: ${host.UsernsMode}`);
  if (!['', 'host', 'private'].includes(host.CgroupnsMode)) {
    throw invalid(`invalid cgroup namespace mode: ${host.CgroupnsMode}`);
  }
  if (host.NetworkMode === 'container:') {
    throw invalid('Invalid network mode: invalid container format container:<name|id>');
  }
}
