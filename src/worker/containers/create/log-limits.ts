import { invalid } from '#errors/errors.ts';
import type { HostConfig } from '../host-config.ts';

export interface LogLimits {
  /** In bytes. */
  readonly maxSize: number;
  readonly maxFiles: number;
}

const UNITS = ['', 'k', 'm', 'g', 't', 'p'];
/** What the `local` driver does when it is not told (moby, daemon/logger/local). */
const LOCAL = { 'max-size': '20m', 'max-file': '5' };

/** How much log a container may have; undefined without a limit. Throws `invalid`, in Docker's words. */
export function logLimits({ Type, Config }: HostConfig['LogConfig']): LogLimits | undefined {
  if (Type === 'none') return undefined;
  const options: Readonly<Record<string, string>> = Type === 'local' ? { ...LOCAL, ...Config } : Config;
  const size = options['max-size'];
  const files = options['max-file'] ?? '1';
  const maxSize = size === undefined ? undefined : parseSize(size);
  const maxFiles = /^[+-]?\d+$/.test(files) ? Number(files) : Number.NaN;
  if (Number.isNaN(maxFiles)) throw failed(`strconv.Atoi: parsing ${JSON.stringify(files)}: invalid syntax`);
  if (maxFiles < 1) throw failed('max-file cannot be less than 1');
  return maxSize === undefined ? undefined : { maxSize, maxFiles };
}

/** As Docker reads sizes of logs: with decimal units (`10m` is 10,000,000 bytes). */
function parseSize(text: string): number {
  const match = /^(\d+(?:\.\d+)?) ?([kmgtp])?i?b?$/i.exec(text);
  if (!match) throw failed(`invalid size: '${text}'`);
  const size = Math.trunc(Number(match[1]) * 1000 ** UNITS.indexOf((match[2] ?? '').toLowerCase()));
  if (size <= 0) throw failed('max-size must be a positive number');
  return size;
}

function failed(reason: string) {
  return invalid(`failed to initialize logging driver: ${reason}`);
}
