import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ByteQueue } from '#content/byte-queue.ts';

it('gives back what was put in, in order, whatever the sizes', () => {
  const chunk = fc.oneof(
    fc.uint8Array({ maxLength: 10 }),
    fc.nat(20_000).map((size) => new Uint8Array(size).fill(size & 255)),
  );
  const round = fc.record({
    chunks: fc.array(chunk, { maxLength: 20 }),
    part: fc.double({ min: 0, max: 1, noNaN: true }),
  });
  fc.assert(
    fc.property(fc.array(round, { maxLength: 6 }), (rounds) => {
      const queue = new ByteQueue();
      const taken: Uint8Array[] = [];
      for (const { chunks, part } of rounds) {
        for (const one of chunks) queue.add(one);
        const [before, size] = [queue.size, Math.floor(queue.size * part)];
        taken.push(...queue.take(size));
        expect(queue.size).toBe(before - size);
      }
      taken.push(...queue.take(queue.size));
      // Looked at only now: what was taken stays as it was while more is gathered.
      const given = Buffer.concat(rounds.flatMap(({ chunks }) => chunks));
      expect(Buffer.concat(taken).equals(given)).toBe(true);
    }),
  );
});

it('holds single bytes in few pieces', () => {
  const queue = new ByteQueue();
  for (let index = 0; index < 1_000_000; index++) queue.add(Uint8Array.of(index));
  expect(queue.size).toBe(1_000_000);
  expect(queue.chunks.length).toBeLessThan(20);
});
