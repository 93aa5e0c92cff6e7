import { DockerfileError } from './dockerfile-error.ts';
import { goQuote } from './go-quote.ts';

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
/** 104 days: what a JavaScript number holds exactly. */
const MAX_NANOSECONDS = Number.MAX_SAFE_INTEGER;

/** A Go duration (`1m30s`, `500ms`, `-1.5h`) in nanoseconds. Throws `DockerfileError`, in Go's words. */
export function parseDuration(text: string): number {
  const refuse = (why: string) => new DockerfileError(`time: ${why} ${goQuote(text)}`);
  const unsigned = text.replace(/^[+-]/, '');
  if (unsigned === '0') return 0;
  if (unsigned === '') throw refuse('invalid duration');
  let total = 0;
  for (let rest = unsigned; rest !== ''; ) {
    const [part, number, unit] = /^(\d+\.?\d*|\.\d+)([^\d.]*)/.exec(rest) ?? [];
    if (part === undefined) throw refuse('invalid duration');
    if (unit === '') throw refuse('missing unit in duration');
    if (!Object.hasOwn(NANOSECONDS, unit!)) throw refuse(`unknown unit ${goQuote(unit!)} in duration`);
    total += Number(number) * NANOSECONDS[unit!]!;
    rest = rest.slice(part.length);
  }
  if (!Number.isFinite(total) || total > MAX_NANOSECONDS) throw refuse('invalid duration');
  return Math.round(text.startsWith('-') ? -total : total);
}
