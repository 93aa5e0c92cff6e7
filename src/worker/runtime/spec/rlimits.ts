import { invalid } from '#errors/errors.ts';
import type { HostFacts } from '../host/host-facts.ts';
import type { OciProcess } from './oci-spec.ts';
import type { SpecRequest } from './spec-request.ts';

const NAMES = new Set([
  'AS',
  'CORE',
  'CPU',
  'DATA',
  'FSIZE',
  'LOCKS',
  'MEMLOCK',
  'MSGQUEUE',
  'NICE',
  'NOFILE',
  'NPROC',
  'RSS',
  'RTPRIO',
  'RTTIME',
  'SIGPENDING',
  'STACK',
]);

/** RLIM_INFINITY is 2⁶⁴−1, which no JavaScript number is: `encodeSpec` writes this one as that. */
export const UNLIMITED = 2 ** 64;

/**
 * The limits of a container's processes. Without CAP_SYS_RESOURCE nobody may raise a hard limit, and the runtime
 * would refuse the whole container: what cannot be given is given as far as it can.
 */
export function rlimitsFor(ulimits: SpecRequest['ulimits'], host: HostFacts): OciProcess['rlimits'] {
  const mayRaise = host.capabilities.includes('CAP_SYS_RESOURCE');
  return (ulimits ?? []).map(({ name, soft, hard }) => {
    const upper = name.toUpperCase();
    if (!NAMES.has(upper)) throw invalid(`invalid ulimit type: ${name}`);
    const type = `RLIMIT_${upper}`;
    const own = mayRaise
      ? Number.POSITIVE_INFINITY
      : (host.rlimits.get(type)?.hard ?? Number.POSITIVE_INFINITY);
    const clampedHard = Math.min(limit(hard), own);
    return { type, soft: finite(Math.min(limit(soft), clampedHard)), hard: finite(clampedHard) };
  });
}

const limit = (value: number): number => (value < 0 || value >= UNLIMITED ? Number.POSITIVE_INFINITY : value);
const finite = (value: number): number => (value === Number.POSITIVE_INFINITY ? UNLIMITED : value);
