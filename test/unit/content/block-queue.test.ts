import fc from 'fast-check';
import { expect, it } from 'vitest';
import { BlockPool } from '#content/block-pool.ts';
import { BlockQueue } from '#content/block-queue.ts';

/** Counts up over everything that is ever added, so that a byte in the wrong place shows. */
function source() {
  let next = 0;
  return (length: number) => Uint8Array.from({ length }, () => next++ & 255);
}

it('gives back what was put in, in order, whatever the sizes', () => {
  const step = fc.record({
    what: fc.constantFrom('add', 'take', 'prepend', 'look'),
    length: fc.integer({ min: 0, max: 40 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), fc.integer({ min: 1, max: 9 }), (steps, blockSize) => {
      const queue = new BlockQueue(new BlockPool({ blockSize, keep: 4 }));
      const bytes = source();
      let model: number[] = [];
      for (const { what, length } of steps) {
        if (what === 'add') {
          const chunk = bytes(length);
          queue.add(chunk);
          model.push(...chunk);
        } else if (what === 'prepend') {
          const chunk = bytes(length);
          queue.prepend([chunk.subarray(0, 3), chunk.subarray(3)]);
          model = [...chunk, ...model];
        } else if (what === 'take') {
          const { chunks, free } = queue.detach(Math.min(length, model.length));
          const taken = model.splice(0, length);
          // What comes later lands elsewhere.
          const later = bytes(3);
          queue.add(later);
          model.push(...later);
          expect(chunks.flatMap((chunk) => [...chunk])).toEqual(taken);
          free();
        } else {
          expect([...queue.chunks()].flatMap((chunk) => [...chunk])).toEqual(model);
        }
        expect(queue.size).toBe(model.length);
      }
    }),
  );
});

it('uses its blocks again, but for those that something may still read', () => {
  const pool = new BlockPool({ blockSize: 4, keep: 2 });
  const queue = new BlockQueue(pool);
  queue.add(new Uint8Array(8));
  const [first] = [...queue.chunks()];
  queue.clear();
  expect([pool.take().buffer, pool.take().buffer]).toContain(first!.buffer);
  queue.add(new Uint8Array(4));
  const [kept] = [...queue.chunks()];
  queue.clear(false);
  expect(pool.take().buffer).not.toBe(kept!.buffer);
});
