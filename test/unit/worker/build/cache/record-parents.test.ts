import { expect, it } from 'vitest';
import { digestOf } from '#oci/digest.ts';
import { recordParents } from '#worker/build/cache/record-parents.ts';

function record(id: string, ...stacks: string[]) {
  const outputs = stacks.map((stack) => ({
    kind: 'layers' as const,
    layers: [...stack].map((layer) => ({ diffId: digestOf(layer) })),
  }));
  return { id, outputs };
}

it('names the records whose layers the nearest below are', () => {
  const parents = recordParents([
    record('run', 'base'),
    record('image', 'ba'),
    record('step', 'bas'),
    record('again', 'bas'),
    record('two', 'bax', 'z'),
    record('both', 'basy', 'bay'),
    record('none', ''),
  ]);
  expect(Object.fromEntries(parents)).toEqual({
    run: ['step'],
    image: [],
    step: ['image'],
    again: ['image'],
    two: ['image'],
    both: ['step', 'image'],
    none: [],
  });
});
