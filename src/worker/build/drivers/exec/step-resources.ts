import { forbidden } from '#errors/errors.ts';
import type { SpecResources } from '#worker/runtime/spec/spec-request.ts';
import type { BuildLimits, StepBounds } from '../../solve/op-driver.ts';

/** The kernel's usual period, in microseconds. */
const PERIOD = 100_000;
/** Less of it than this the kernel does not take. */
const LEAST = 1_000;
/** With them a process gets in the way of others', whatever else it may do. */
const GUARDED = new Set(['memlock', 'nice', 'rtprio']);

type Limits = Pick<BuildLimits, 'resources' | 'bounds'>;

/** What a step may use: as it asks, else as its build does, within the worker's bounds. Throws `forbidden` beyond them. */
export function stepResources(
  own: SpecResources | undefined,
  { resources: asked, bounds }: Limits,
): SpecResources | undefined {
  const wanted = own || asked ? { ...asked, ...own } : undefined;
  if (!bounds) return wanted;
  const within = { ...wanted, ...memoryWithin(wanted, bounds), ...cpusWithin(wanted, bounds) };
  const { pids } = bounds;
  const all = pids === null ? within : { ...within, pidsLimit: pids };
  return Object.keys(all).length > 0 ? all : undefined;
}

/** Throws `forbidden` for a control group, or a limit of processes, that only who runs the worker may choose. */
export function checkOwnLimits(
  { bounds }: Pick<BuildLimits, 'bounds'>,
  { cgroupParent, ulimits }: Pick<BuildLimits, 'cgroupParent' | 'ulimits'>,
): void {
  if (!bounds || bounds.unconfined) return;
  if (cgroupParent) throw forbidden('cgroup-parent is not allowed');
  const guarded = ulimits?.find(({ name }) => GUARDED.has(name));
  if (guarded) throw forbidden(`ulimit ${guarded.name} is not allowed`);
}

/** What both allow. */
export function tighter(a: StepBounds, b: StepBounds): StepBounds {
  const least = (one: number | null, other: number | null) =>
    one === null || other === null ? (one ?? other) : Math.min(one, other);
  return {
    memory: least(a.memory, b.memory),
    cpus: least(a.cpus, b.cpus),
    pids: least(a.pids, b.pids),
    unconfined: a.unconfined && b.unconfined,
  };
}

/** Memory and swap are bounded together: without that, a step had as much swap again. */
function memoryWithin(wanted: SpecResources | undefined, { memory: bound }: StepBounds): SpecResources {
  if (bound === null) return {};
  const { memory = 0, memorySwap = 0 } = wanted ?? {};
  if (memory > bound) throw forbidden(`steps may have at most ${bound} bytes of memory`);
  const total = memory > 0 ? memory : bound;
  if (memorySwap < 0 || memorySwap > total) throw forbidden('steps may have no swap');
  return { memory: total, memorySwap: total };
}

function cpusWithin(wanted: SpecResources | undefined, { cpus: bound }: StepBounds): SpecResources {
  if (bound === null) return {};
  const { cpuQuota = 0, cpuPeriod = 0 } = wanted ?? {};
  const period = cpuPeriod > 0 ? cpuPeriod : PERIOD;
  if (cpuQuota / period > bound) throw forbidden(`steps may use at most ${bound} cores`);
  return cpuQuota > 0 ? {} : { cpuPeriod: period, cpuQuota: Math.max(LEAST, Math.floor(bound * period)) };
}
