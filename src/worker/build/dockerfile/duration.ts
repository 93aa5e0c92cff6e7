import { DockerfileError } from './dockerfile-error.ts';

const NANOSECONDS: Readonly<Record<string, number>> = {
  ns: 1,
  us: 1e3,
  µs: 1e3,
  μs: 1e3,
  ms: 1e6,
  s: 1e9,
  m: 60e9,
  h: 3600e9,
};

/** A Go duration (`1m30s`, `500ms`, `-1.5h`) in nanoseconds. Throws `DockerfileError`. */
export function parseDuration(text: string): number {
  const bad = () => new DockerfileError(`time: invalid duration ${JSON.stringify(text)}`);
  const match = /^([+-]?)(0|(?:(?:\d+(?:\.\d*)?|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)$/.exec(text);
  if (!match) throw bad();
  let total = 0;
  for (const [, number, unit] of match[2]!.matchAll(/(\d+(?:\.\d*)?|\.\d+)([a-zµμ]+)/g)) {
    total += Number(number) * NANOSECONDS[unit!]!;
  }
  if (!Number.isFinite(total) || total > Number.MAX_SAFE_INTEGER) throw bad();
  return Math.round(match[1] === '-' ? -total : total);
}
