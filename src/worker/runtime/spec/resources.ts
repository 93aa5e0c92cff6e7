import type { HostFacts } from '../host/host-facts.ts';
import type { OciResources } from './oci-spec.ts';
import type { SpecResources } from './spec-request.ts';

const DEFAULT_PERIOD = 100_000;

/**
 * Limits in the OCI's words (v1's; the runtime converts for v2), without those whose controller this host
 * lacks: a container that runs unlimited is what every engine gives there.
 */
export function resourcesFor(request: SpecResources | undefined, host: HostFacts): OciResources {
  if (!request) return {};
  const { controllers } = host.cgroup;
  const has = (controller: string) => controllers.has(controller);
  const blkio = has('blkio') || has('io');
  return {
    ...(has('memory') && { memory: memory(request, host) }),
    ...((has('cpu') || has('cpuset')) && { cpu: cpu(request, host) }),
    ...(has('pids') && request.pidsLimit && { pids: { limit: request.pidsLimit } }),
    ...(blkio &&
      host.cgroup.blkioWeight &&
      request.blkioWeight && { blockIO: { weight: request.blkioWeight } }),
  };
}

function memory(request: SpecResources, host: HostFacts): NonNullable<OciResources['memory']> {
  const { memory: limit, memorySwap, memoryReservation, memorySwappiness, oomKillDisable } = request;
  const v1 = host.cgroup.version !== 'v2';
  return {
    ...(limit && { limit }),
    ...(memoryReservation && { reservation: memoryReservation }),
    ...(host.cgroup.swapAccounting && swap(limit, memorySwap)),
    ...(v1 && memorySwappiness !== undefined && memorySwappiness >= 0 && { swappiness: memorySwappiness }),
    ...(v1 && oomKillDisable && { disableOOMKiller: true }),
  };
}

/** Memory and swap together: as much swap as memory unless told otherwise, as Docker has it. */
function swap(limit: number | undefined, memorySwap: number | undefined): { swap?: number } {
  if (memorySwap) return { swap: memorySwap };
  return limit && limit > 0 ? { swap: limit * 2 } : {};
}

function cpu(request: SpecResources, host: HostFacts): NonNullable<OciResources['cpu']> {
  const { nanoCpus, cpuShares, cpuQuota, cpuPeriod, cpusetCpus, cpusetMems } = request;
  const { controllers } = host.cgroup;
  const quota = nanoCpus ? Math.round((nanoCpus * DEFAULT_PERIOD) / 1e9) : cpuQuota;
  const period = nanoCpus ? DEFAULT_PERIOD : cpuPeriod;
  return {
    ...(controllers.has('cpu') && {
      ...(cpuShares && { shares: cpuShares }),
      ...(quota && { quota }),
      ...(period && { period }),
    }),
    ...(controllers.has('cpuset') && {
      ...(cpusetCpus && { cpus: cpusetCpus }),
      ...(cpusetMems && { mems: cpusetMems }),
    }),
  };
}
