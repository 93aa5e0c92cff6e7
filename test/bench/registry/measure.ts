import type { Contestant } from './contestant.ts';

export interface Measure {
  readonly name: string;
  readonly unit: string;
  /** More is better, unless it is a time or a size. */
  readonly lessIsBetter?: boolean;
  /** How many times what distribution does is wanted, or the most of the unit. */
  readonly goal?: { readonly ratio: number } | { readonly most: number };
  readonly rounds: number;
  /** Whether a round that does not count comes first. */
  readonly warmUp?: boolean;
  /** Puts load on a registry, once, and says how it did. */
  run(contestant: Contestant): Promise<number>;
}

export interface Result {
  readonly measure: Measure;
  /** The median of each contestant's rounds, in their order; undefined for one that failed. */
  readonly values: readonly (number | undefined)[];
}

/** Measures all contestants in turns. One that fails is left out of the rest of this measure, with a word why. */
export async function compare(measure: Measure, contestants: readonly Contestant[]): Promise<Result> {
  const found = contestants.map((): number[] => []);
  const failed = new Set<Contestant>();
  for (let round = measure.warmUp ? -1 : 0; round < measure.rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      if (failed.has(contestant)) continue;
      try {
        const value = await measure.run(contestant);
        if (round >= 0) found[index]!.push(value);
      } catch (error) {
        if (index === 0) throw error;
        failed.add(contestant);
        process.stderr.write(`${measure.name}: ${contestant.name}: ${error}\n`);
      }
    }
  }
  const values = found.map((of, index) =>
    failed.has(contestants[index]!) || of.length === 0 ? undefined : median(of),
  );
  return { measure, values };
}

/** How many times as well the first contestant did as another one. */
export function ratio({ measure, values }: Result, other: number): number | undefined {
  const [ours, theirs] = [values[0], values[other]];
  if (ours === undefined || theirs === undefined) return undefined;
  return measure.lessIsBetter ? theirs / ours : ours / theirs;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}
