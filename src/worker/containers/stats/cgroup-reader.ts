import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** One look at what a container uses, from its control groups. */
export interface CgroupUsage {
  /** Nanoseconds of processor time. */
  readonly cpuTotal: number;
  readonly cpuUser: number;
  readonly cpuSystem: number;
  readonly throttling: { periods: number; throttledPeriods: number; throttledTime: number };
  readonly memory: number;
  readonly memoryLimit: number;
  readonly memoryFailures: number;
  readonly memoryDetail: Readonly<Record<string, number>>;
  readonly pids: number;
  readonly pidsLimit: number | undefined;
  readonly blockIo: readonly { major: number; minor: number; op: string; value: number }[];
}

const ROOT = '/sys/fs/cgroup';
/** v1 counts processor time in ticks of 1/100 s. */
const NANOSECONDS_PER_TICK = 1e7;

/** Reads the control groups that a process is in, whichever version this host has. Missing files count as zero. */
export async function readCgroupUsage(pid: number): Promise<CgroupUsage> {
  const lines = (await readFile(`/proc/${pid}/cgroup`, 'utf8')).trim().split('\n');
  const paths = new Map<string, string>();
  for (const line of lines) {
    const [, controllers = '', ...path] = line.split(':');
    for (const name of controllers.split(',')) paths.set(name, path.join(':'));
  }
  const memory = paths.get('memory');
  return memory === undefined ? readV2(join(ROOT, paths.get('') ?? '/')) : readV1(paths);
}

async function readV1(paths: ReadonlyMap<string, string>): Promise<CgroupUsage> {
  const at = (controller: string, file: string) => join(ROOT, controller, paths.get(controller) ?? '/', file);
  const [total, times, throttling, memory, limit, failures, detail, pids, pidsLimit, io] = await Promise.all([
    number(at('cpuacct', 'cpuacct.usage')),
    table(at('cpuacct', 'cpuacct.stat')),
    table(at('cpu', 'cpu.stat')),
    number(at('memory', 'memory.usage_in_bytes')),
    number(at('memory', 'memory.limit_in_bytes')),
    number(at('memory', 'memory.failcnt')),
    table(at('memory', 'memory.stat')),
    number(at('pids', 'pids.current')),
    text(at('pids', 'pids.max')),
    text(at('blkio', 'blkio.throttle.io_service_bytes')),
  ]);
  return {
    cpuTotal: total,
    cpuUser: (times.user ?? 0) * NANOSECONDS_PER_TICK,
    cpuSystem: (times.system ?? 0) * NANOSECONDS_PER_TICK,
    throttling: {
      periods: throttling.nr_periods ?? 0,
      throttledPeriods: throttling.nr_throttled ?? 0,
      throttledTime: throttling.throttled_time ?? 0,
    },
    memory,
    memoryLimit: limit,
    memoryFailures: failures,
    memoryDetail: detail,
    pids,
    pidsLimit: limitOf(pidsLimit),
    blockIo: io
      .split('\n')
      .map((line) => /^(\d+):(\d+) (\w+) (\d+)$/.exec(line))
      .flatMap((match) => (match ? [ioEntry(match[1], match[2], match[3]!.toLowerCase(), match[4])] : [])),
  };
}

async function readV2(directory: string): Promise<CgroupUsage> {
  const at = (file: string) => join(directory, file);
  const [cpu, memory, limit, detail, events, pids, pidsLimit, io] = await Promise.all([
    table(at('cpu.stat')),
    number(at('memory.current')),
    text(at('memory.max')),
    table(at('memory.stat')),
    table(at('memory.events')),
    number(at('pids.current')),
    text(at('pids.max')),
    text(at('io.stat')),
  ]);
  return {
    cpuTotal: (cpu.usage_usec ?? 0) * 1000,
    cpuUser: (cpu.user_usec ?? 0) * 1000,
    cpuSystem: (cpu.system_usec ?? 0) * 1000,
    throttling: {
      periods: cpu.nr_periods ?? 0,
      throttledPeriods: cpu.nr_throttled ?? 0,
      throttledTime: (cpu.throttled_usec ?? 0) * 1000,
    },
    memory,
    memoryLimit: limitOf(limit) ?? Number.MAX_SAFE_INTEGER,
    memoryFailures: events.max ?? 0,
    memoryDetail: detail,
    pids,
    pidsLimit: limitOf(pidsLimit),
    blockIo: io.split('\n').flatMap((line) => {
      const match = /^(\d+):(\d+) .*?rbytes=(\d+) wbytes=(\d+)/.exec(line);
      if (!match) return [];
      return [ioEntry(match[1], match[2], 'read', match[3]), ioEntry(match[1], match[2], 'write', match[4])];
    }),
  };
}

/** Bytes and packets of each interface of a process's network namespace, loopback apart. */
export async function readNetworkUsage(pid: number): Promise<Record<string, Record<string, number>>> {
  const names = [
    'rx_bytes', 'rx_packets', 'rx_errors', 'rx_dropped', '', '', '', '',
    'tx_bytes', 'tx_packets', 'tx_errors', 'tx_dropped',
  ]; // biome-ignore format: as the columns of /proc/net/dev
  const interfaces: Record<string, Record<string, number>> = {};
  for (const line of (await text(`/proc/${pid}/net/dev`)).split('\n').slice(2)) {
    const [name, values] = line.split(':');
    if (!name || !values || name.trim() === 'lo') continue;
    const numbers = values.trim().split(/\s+/).map(Number);
    interfaces[name.trim()] = Object.fromEntries(
      names.map((key, index) => [key, numbers[index] ?? 0]).filter(([key]) => key),
    );
  }
  return interfaces;
}

/** Nanoseconds that all processors together spent so far, idle time included, and how many they are. */
export async function readSystemCpu(): Promise<{ total: number; online: number }> {
  const lines = (await text('/proc/stat')).split('\n');
  const ticks = (lines[0] ?? '').split(/\s+/).slice(1, 9).map(Number);
  const online = lines.filter((line) => /^cpu\d+ /.test(line)).length;
  return { total: ticks.reduce((sum, value) => sum + value, 0) * NANOSECONDS_PER_TICK, online };
}

export async function hostMemory(): Promise<number> {
  const match = /^MemTotal:\s+(\d+) kB/m.exec(await text('/proc/meminfo'));
  return Number(match?.[1] ?? 0) * 1024;
}

async function text(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function number(path: string): Promise<number> {
  return Number((await text(path)).trim()) || 0;
}

async function table(path: string): Promise<Record<string, number>> {
  const pairs = (await text(path)).split('\n').map((line) => line.split(' '));
  return Object.fromEntries(pairs.filter(([name]) => name).map(([name, value]) => [name, Number(value)]));
}

function limitOf(value: string): number | undefined {
  const trimmed = value.trim();
  return trimmed === '' || trimmed === 'max' ? undefined : Number(trimmed);
}

function ioEntry(
  major: string | undefined,
  minor: string | undefined,
  op: string,
  value: string | undefined,
) {
  return { major: Number(major), minor: Number(minor), op, value: Number(value) };
}
