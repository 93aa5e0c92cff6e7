import type { Healthcheck } from '#oci/image-config.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { parseDuration } from './duration.ts';
import { type FlagKind, type Flags, readFlags } from './flags.ts';
import { goQuote } from './go-quote.ts';
import type { Statement } from './statement.ts';

const FLAGS: Readonly<Record<string, FlagKind>> = {
  interval: 'value',
  timeout: 'value',
  'start-period': 'value',
  'start-interval': 'value',
  retries: 'value',
};

const MINIMUM_NANOSECONDS = 1e6;
const MAX_INT32 = 2 ** 31 - 1;

/** HEALTHCHECK's arguments: `NONE`, or flags and `CMD` with a command in either form. */
export function parseHealthcheck({ args, json, flags: flagWords }: Statement): Healthcheck {
  const [written, ...command] = args;
  if (written === undefined) throw new DockerfileError('HEALTHCHECK requires at least one argument');
  const type = written.toUpperCase();
  if (type === 'NONE') {
    if (command.length > 0) throw new DockerfileError('HEALTHCHECK NONE takes no arguments');
    return { Test: ['NONE'] };
  }
  const flags = readFlags(flagWords, FLAGS);
  if (type !== 'CMD') throw new DockerfileError(`Unknown type ${goQuote(type)} in HEALTHCHECK (try CMD)`);
  if (command.length === 0) throw new DockerfileError('Missing command after HEALTHCHECK CMD');
  const times = {
    Interval: interval(flags, 'interval'),
    Timeout: interval(flags, 'timeout'),
    StartPeriod: interval(flags, 'start-period'),
    StartInterval: interval(flags, 'start-interval'),
    Retries: retries(flags),
  };
  const given = Object.fromEntries(Object.entries(times).filter(([, value]) => value));
  return { Test: [json ? 'CMD' : 'CMD-SHELL', ...command], ...given };
}

function interval(flags: Flags, name: string): number | undefined {
  const text = flags.value(name);
  if (!text) return undefined;
  const duration = parseDuration(text);
  if (duration !== 0 && duration < MINIMUM_NANOSECONDS) {
    throw new DockerfileError(`Interval "${name}" cannot be less than 1ms`);
  }
  return duration;
}

function retries(flags: Flags): number | undefined {
  const text = flags.value('retries');
  if (!text) return undefined;
  const refuse = (why: string) => new DockerfileError(`strconv.ParseInt: parsing ${goQuote(text)}: ${why}`);
  if (!/^[+-]?\d+$/.test(text)) throw refuse('invalid syntax');
  const value = Number(text);
  if (value > MAX_INT32 || value < -MAX_INT32 - 1) throw refuse('value out of range');
  if (value < 0) throw new DockerfileError(`--retries cannot be negative (${value})`);
  return value;
}
