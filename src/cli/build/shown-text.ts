/** `1.2s`, `3m04s`. */
export function shownDuration(milliseconds: number): string {
  if (milliseconds < 100_000) return `${(milliseconds / 1000).toFixed(1)}s`;
  const seconds = Math.round(milliseconds / 1000);
  return `${Math.floor(seconds / 60)}m${String(seconds % 60).padStart(2, '0')}s`;
}

const UNITS = ['B', 'kB', 'MB', 'GB', 'TB'];

/** As BuildKit's clients have it: `1.23MB`. */
export function shownBytes(bytes: number): string {
  let value = bytes;
  let unit = 0;
  for (; value >= 1000 && unit < UNITS.length - 1; unit++) value /= 1000;
  return unit === 0 ? `${value}B` : `${value.toPrecision(3)}${UNITS[unit]}`;
}

/** What others wrote must not be able to move the cursor of a terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, (character) => (character === '\t' ? character : '?'));
}
