/** Times in logs are compared as text, so all of them have one form: UTC, nine digits, `Z`. */

const FIXED = '2026-01-01T00:00:00.000000000'.length;

/** The monitor writes an offset, `+00:00` as we start it; whatever it is, the result is in UTC. */
export function normalizeTime(text: string): string {
  if (text.length === FIXED + 6 && text.endsWith('+00:00')) return `${text.slice(0, FIXED)}Z`;
  const milliseconds = Date.parse(text);
  if (Number.isNaN(milliseconds)) return text;
  const fraction = /\.(\d+)/.exec(text)?.[1] ?? '';
  return `${new Date(milliseconds).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0').slice(0, 9)}Z`;
}

/** `1700000000.123456789`, as clients send it, without the rounding of a floating-point number. */
export function timeOfUnixSeconds(text: string): string | undefined {
  const match = /^(\d{1,11})(?:\.(\d{1,9}))?$/.exec(text);
  if (!match) return undefined;
  const [, seconds = '0', fraction = ''] = match;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${fraction.padEnd(9, '0')}Z`;
}
