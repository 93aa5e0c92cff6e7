/**
 * Which of the workers that have room comes first for something new:
 * - `slipway`: as the pool's own code has it
 * - `random`: whoever comes
 * - `least-loaded`: who is at the fewest
 */
export type Policy = 'slipway' | 'random' | 'least-loaded';

/** In milliseconds. */
export const HOUR = 3_600_000;
/** When simulations begin: eleven in the morning, when most is asked for. */
export const START = 11 * HOUR;

/** The value of which `share` are below, of milliseconds in order, in seconds. */
export function at(sorted: readonly number[], share: number): number {
  return (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0) / 1000;
}

/** The standard deviation over the mean: 0 is even. */
export function evenness(counts: readonly number[]): number {
  const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
  if (mean === 0) return 0;
  const variance = counts.reduce((sum, count) => sum + (count - mean) ** 2, 0) / counts.length;
  return Math.sqrt(variance) / mean;
}
