import type { Healthcheck } from '#oci/image-config.ts';
import { DockerfileError } from './dockerfile-error.ts';
import { parseDuration } from './duration.ts';
import { type FlagKind, type Flags, readFlags } from './flags.ts';
import { jsonStrings } from './words.ts';

export const HEALTHCHECK_FLAGS: Readonly<Record<string, FlagKind>> = {
  interval: 'value',
  timeout: 'value',
  'start-period': 'value',
  'start-interval': 'value',
  retries: 'value',
};

const MINIMUM_NANOSECONDS = 1e6;

/** HEALTHCHECK's arguments: `NONE`, or flags and `CMD` with a command in either form. */
export function parseHealthcheck(flagWords: readonly string[], rest: string): Healthcheck {
  if (rest === '') throw new DockerfileError('HEALTHCHECK requires at least one argument');
  const [, type, args] = /^(\S+)\s*([\s\S]*)$/.exec(rest)!;
  if (type!.toUpperCase() === 'NONE') {
    if (args) throw new DockerfileError('HEALTHCHECK NONE takes no arguments');
    return { Test: ['NONE'] };
  }
  const flags = readFlags(flagWords, HEALTHCHECK_FLAGS);
  if (type!.toUpperCase() !== 'CMD') {
    throw new DockerfileError(`Unknown type ${JSON.stringify(type)} in HEALTHCHECK (try CMD)`);
  }
  const exec = jsonStrings(args!);
  if (exec ? exec.length === 0 : args === '') {
    throw new DockerfileError('Missing command after HEALTHCHECK CMD');
  }
  const times = {
    Interval: interval(flags, 'interval'),
    Timeout: interval(flags, 'timeout'),
    StartPeriod: interval(flags, 'start-period'),
    StartInterval: interval(flags, 'start-interval'),
    Retries: retries(flags),
  };
  const given = Object.fromEntries(Object.entries(times).filter(([, value]) => value));
  return { Test: exec ? ['CMD', ...exec] : ['CMD-SHELL', args!], ...given };
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
  if (!/^[+-]?\d{1,9}$/.test(text)) {
    throw new DockerfileError(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  }
  if (Number(text) < 0) throw new DockerfileError(`--retries cannot be negative (${Number(text)})`);
  return Number(text);
}
