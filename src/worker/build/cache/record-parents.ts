import type { LayersRef } from '../solve/ref.ts';
import type { CacheRecord } from './cache-store.ts';

/** A stack of layers, by its top; what stands on it, by the next layer. */
interface Stack {
  readonly next: Map<string, Stack>;
  /** Records that came to it. */
  readonly records: string[];
}

/** Which records each one's layers stand on: of those that came to layers below its own, the nearest. */
export function recordParents(records: readonly CacheRecord[]): Map<string, string[]> {
  const bottom: Stack = { next: new Map(), records: [] };
  for (const { id, outputs } of records) for (const output of outputs) reach(bottom, output).records.push(id);
  return new Map(
    records.map(({ id, outputs }) => {
      const nearest = outputs.map((output) => below(bottom, output)).filter((found) => found !== undefined);
      return [id, [...new Set(nearest)]];
    }),
  );
}

function reach(bottom: Stack, { layers }: LayersRef): Stack {
  let stack = bottom;
  for (const { diffId } of layers) {
    const known = stack.next.get(diffId);
    const next = known ?? { next: new Map(), records: [] };
    if (!known) stack.next.set(diffId, next);
    stack = next;
  }
  return stack;
}

function below(bottom: Stack, { layers }: LayersRef): string | undefined {
  let found: string | undefined;
  let stack: Stack | undefined = bottom;
  for (const { diffId } of layers.slice(0, -1)) {
    stack = stack?.next.get(diffId);
    found = stack?.records[0] ?? found;
  }
  return found;
}
