const ROUNDS = 5;

export interface Measure {
  readonly name: string;
  readonly unit: string;
  /** Puts load on a registry and says how much it did; more is better. */
  run(address: string): Promise<number>;
}

/** Measures both in turns, after one turn each that does not count; a line with the medians and their ratio. */
export async function compare(
  measure: Measure,
  contestants: { ours: string; peer: string },
): Promise<string> {
  const ours: number[] = [];
  const peer: number[] = [];
  for (let round = -1; round < ROUNDS; round++) {
    const [first, second] = [await measure.run(contestants.ours), await measure.run(contestants.peer)];
    if (round < 0) continue;
    ours.push(first);
    peer.push(second);
  }
  const [mine, theirs] = [median(ours), median(peer)];
  const figures = `${format(mine)} against ${format(theirs)} ${measure.unit}`;
  return `${measure.name.padEnd(40)} ${figures.padEnd(40)} ${(mine / theirs).toFixed(2)}×`;
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function format(value: number): string {
  return Math.round(value).toLocaleString('en').padStart(8);
}
