import { invalid } from '#errors/errors.ts';

const UNITS: Readonly<Record<string, number>> = {
  ns: 1e-6,
  us: 1e-3,
  µs: 1e-3,
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
};

/**
 * A point in time as the Engine API takes it, in milliseconds since the epoch: Unix seconds with a fraction, RFC
 * 3339 (also a date alone, also without a zone), or a Go duration (`1h30m`) before now. Throws `invalid`.
 */
export function parseMoment(text: string, now = Date.now()): number {
  if (/^-?\d+(\.\d+)?$/.test(text)) return Number(text) * 1000;
  const duration = parseDuration(text);
  if (duration !== undefined) return now - duration;
  const time = /^\d{4}-\d{2}-\d{2}/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(time)) throw invalid(`failed to parse value as time or duration: ${JSON.stringify(text)}`);
  return time;
}

/** A Go duration in milliseconds. */
export function parseDuration(text: string): number | undefined {
  const match = /^([+-]?)((?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|ms|s|m|h))+$/.exec(text);
  if (!match) return undefined;
  let total = 0;
  for (const [, value, unit] of text.matchAll(/(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|ms|s|m|h)/g)) {
    total += Number(value) * UNITS[unit!]!;
  }
  return match[1] === '-' ? -total : total;
}
