import { invalid } from '#errors/errors.ts';
import type { BuildLimits } from '../solve/op-driver.ts';

/** What a client's `--resource` options say that its steps may use. Throws `invalid`. */
export function requestedLimits(
  options: Readonly<Record<string, string>>,
): Omit<BuildLimits, 'entitlements'> {
  const number = (name: string) => {
    const text = options[name];
    if (text === undefined || text === '') return undefined;
    // -1 is no limit of swap.
    const value = /^(?:-1|\d+)$/.test(text) ? Number(text) : Number.NaN;
    if (!Number.isSafeInteger(value)) throw invalid(`invalid value for ${name}: ${JSON.stringify(text)}`);
    return value;
  };
  const cpus = (name: string) => {
    const text = options[name] || undefined;
    if (text !== undefined && !/^[\d,-]+$/.test(text))
      throw invalid(`invalid value for ${name}: ${JSON.stringify(text)}`);
    return text;
  };
  const given = {
    memory: number('memory'),
    memorySwap: number('memswap'),
    cpuShares: number('cpushares'),
    cpuPeriod: number('cpuperiod'),
    cpuQuota: number('cpuquota'),
    cpusetCpus: cpus('cpusetcpus'),
    cpusetMems: cpus('cpusetmems'),
  };
  const resources = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
  return Object.keys(resources).length > 0 ? { resources } : {};
}
