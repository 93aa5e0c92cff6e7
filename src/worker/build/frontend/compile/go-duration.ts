const SECOND = 1e9;

/** Nanoseconds as Go prints a duration: `1m30s`, `1.5ms`, `0s`. Image histories have it so. */
export function goDuration(nanoseconds: number): string {
  if (nanoseconds < 0) return `-${goDuration(-nanoseconds)}`;
  if (nanoseconds === 0) return '0s';
  if (nanoseconds < 1e3) return `${nanoseconds}ns`;
  if (nanoseconds < 1e6) return `${fraction(nanoseconds, 3)}µs`;
  if (nanoseconds < SECOND) return `${fraction(nanoseconds, 6)}ms`;
  const minutes = Math.floor(nanoseconds / (60 * SECOND));
  const seconds = `${fraction(nanoseconds - minutes * 60 * SECOND, 9)}s`;
  if (minutes === 0) return seconds;
  const hours = Math.floor(minutes / 60);
  return hours === 0 ? `${minutes}m${seconds}` : `${hours}h${minutes % 60}m${seconds}`;
}

/** A number of 10^-digits, without zeros at its end. */
function fraction(value: number, digits: number): string {
  const text = String(value).padStart(digits + 1, '0');
  const rest = text.slice(-digits).replace(/0+$/, '');
  return text.slice(0, -digits) + (rest && `.${rest}`);
}
