import type { Container } from '../containers/container.ts';
import type { StatsPair, StatsSample } from '../containers/stats/container-stats.ts';

const NEVER = '0001-01-01T00:00:00Z';

/** `GET /containers/{id}/stats`, as of control groups v1: the clients reckon with either. */
export function statsShape(container: Container, { now, before }: StatsPair): object {
  return {
    name: `/${container.name}`,
    id: container.id,
    read: now?.at.toISOString() ?? NEVER,
    preread: before?.at.toISOString() ?? NEVER,
    pids_stats: now
      ? { current: now.usage.pids, ...(now.usage.pidsLimit !== undefined && { limit: now.usage.pidsLimit }) }
      : {},
    blkio_stats: {
      io_service_bytes_recursive: now?.usage.blockIo ?? null,
      io_serviced_recursive: null,
      io_queue_recursive: null,
      io_service_time_recursive: null,
      io_wait_time_recursive: null,
      io_merged_recursive: null,
      io_time_recursive: null,
      sectors_recursive: null,
    },
    num_procs: 0,
    storage_stats: {},
    cpu_stats: cpuShape(now),
    precpu_stats: cpuShape(before),
    memory_stats: memoryShape(now),
    ...(now && Object.keys(now.networks).length > 0 && { networks: now.networks }),
  };
}

function cpuShape(sample: StatsSample | undefined): object {
  const throttling = sample?.usage.throttling;
  return {
    cpu_usage: {
      total_usage: sample?.usage.cpuTotal ?? 0,
      usage_in_kernelmode: sample?.usage.cpuSystem ?? 0,
      usage_in_usermode: sample?.usage.cpuUser ?? 0,
    },
    ...(sample && { system_cpu_usage: sample.system.total, online_cpus: sample.system.online }),
    throttling_data: {
      periods: throttling?.periods ?? 0,
      throttled_periods: throttling?.throttledPeriods ?? 0,
      throttled_time: throttling?.throttledTime ?? 0,
    },
  };
}

function memoryShape(sample: StatsSample | undefined): object {
  if (!sample) return {};
  const { memory, memoryLimit, memoryFailures, memoryDetail } = sample.usage;
  return {
    usage: memory,
    stats: memoryDetail,
    ...(memoryFailures > 0 && { failcnt: memoryFailures }),
    limit: Math.min(memoryLimit, sample.hostMemory),
  };
}
