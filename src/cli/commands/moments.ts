import { Refusal } from '../refusal.ts';

const MINUTE = 60_000;
const UNITS: Readonly<Record<string, number>> = { m: MINUTE, h: 60 * MINUTE, d: 24 * 60 * MINUTE };

/** A moment that a command line says, in milliseconds since 1970: `2h` ago, or a date. Throws `Refusal`. */
export function pastMoment(text: string): number {
  const ago = span(text);
  return ago === undefined ? date(text) : Date.now() - ago;
}

/** The same ahead: in `90d`, or a date. */
export function futureMoment(text: string): number {
  const ahead = span(text);
  return ahead === undefined ? date(text) : Date.now() + ahead;
}

/** How people read it. */
export function shownMoment(at: number | undefined): string | undefined {
  return at === undefined ? undefined : new Date(at).toISOString();
}

function span(text: string): number | undefined {
  const [, amount, unit] = /^(\d{1,6})([mhd])$/.exec(text) ?? [];
  return unit === undefined ? undefined : Number(amount) * UNITS[unit]!;
}

function date(text: string): number {
  const at = Date.parse(text);
  if (Number.isNaN(at)) throw new Refusal(`'${text}' is no moment: 30m, 2h, 7d or a date`, { exitCode: 2 });
  return at;
}
