import { resolve } from 'node:path';
import { statedDifferences } from './stated.ts';

/** Where it is kept what a real BuildKit told while it built this. */
export function goldenFile(run: string): string {
  return resolve(import.meta.dirname, 'golden', `${run}.txt`);
}

export interface Differences {
  /** A line each, that nobody states a reason for. */
  readonly unexplained: readonly string[];
  readonly stated: number;
}

/** What differs between what we and BuildKit told in a run. */
export function differences(run: string, ours: string, theirs: string): Differences {
  const rest = theirs.split('\n');
  const more = ours.split('\n').filter((line) => {
    const at = rest.indexOf(line);
    if (at >= 0) rest.splice(at, 1);
    return at < 0;
  });
  const stated = statedDifferences.filter((one) => one.run.test(run));
  const all = [
    ...more.map((line) => ({ line: `ours:     ${line}`, told: stated.some((one) => one.ours?.test(line)) })),
    ...rest.map((line) => ({
      line: `BuildKit: ${line}`,
      told: stated.some((one) => one.theirs?.test(line)),
    })),
  ];
  const unexplained = all.filter(({ told }) => !told).map(({ line }) => line);
  return { unexplained, stated: all.length - unexplained.length };
}
