import fc from 'fast-check';
import { expect, it } from 'vitest';
import { parseByteRanges } from '#registry/http/byte-ranges.ts';

it.each<[string | undefined, [number, number][] | undefined]>([
  [undefined, undefined],
  ['lines=1-2', undefined],
  ['bytes=0-0', [[0, 0]]],
  ['Bytes = 1-2', [[1, 2]]],
  [
    'bytes=1-2, 3-',
    [
      [1, 2],
      [3, 9],
    ],
  ],
  ['bytes=-1', [[9, 9]]],
  ['bytes=-0', []],
  ['bytes=10-', []],
  ['bytes=2-1', []],
  ['bytes=x', []],
  ['bytes=0-1,x', []],
])('reads %s', (header, expected) => {
  expect(parseByteRanges(header, 10)?.map(({ start, end }) => [start, end])).toEqual(expected);
});

it('never leaves the content, whatever is asked', () => {
  const text = fc.stringMatching(/^[0-9,\- ]{0,40}$/);
  fc.assert(
    fc.property(text, fc.nat(1000), (ranges, size) => {
      for (const { start, end } of parseByteRanges(`bytes=${ranges}`, size) ?? []) {
        expect(start).toBeGreaterThanOrEqual(0);
        expect(start).toBeLessThanOrEqual(end);
        expect(end).toBeLessThan(size);
      }
    }),
  );
});
