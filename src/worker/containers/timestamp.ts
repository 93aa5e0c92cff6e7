/** RFC 3339 in UTC with nine fractional digits; the clock gives microseconds. */
export function timestamp(): string {
  const milliseconds = Date.now();
  const micros = Number((process.hrtime.bigint() / 1000n) % 1000n);
  const iso = new Date(milliseconds).toISOString();
  return `${iso.slice(0, -1)}${String(micros).padStart(3, '0')}000Z`;
}

/** A date as Go's RFC3339Nano writes it: no trailing zeros. */
export function formatTime(date: Date): string {
  return date.toISOString().replace(/\.?0+Z$/, 'Z');
}

/** Seconds since the epoch of such a text. */
export function epochSeconds(time: string): number {
  return Math.floor(Date.parse(time) / 1000);
}
