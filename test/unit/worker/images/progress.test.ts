import { describe, expect, it } from 'vitest';
import { humanSize, type ProgressLine, ProgressMeter, progressBar } from '#worker/images/progress.ts';

describe('a size', () => {
  it.each([
    [0, '0B'],
    [999, '999B'],
    [1000, '1kB'],
    [65_045, '65.05kB'],
    [1_058_698, '1.059MB'],
    [170_000_000, '170MB'],
    [2_899_999_999, '2.9GB'],
  ])('of %d is %s', (bytes, text) => expect(humanSize(bytes)).toBe(text));
});

describe('a bar', () => {
  it.each([
    [0, 100, `[>${' '.repeat(50)}]       0B/100B`],
    [50, 100, `[${'='.repeat(25)}>${' '.repeat(25)}]      50B/100B`],
    [100, 100, `[${'='.repeat(50)}>]     100B/100B`],
    [150, 100, `[${'='.repeat(50)}>]     150B`],
    [1500, 0, '   1.5kB'],
    [0, 0, ''],
  ])('for %d of %d', (current, total, text) => expect(progressBar(current, total)).toBe(text));
});

describe('a meter', () => {
  it('reports the first and the last bytes, and few of those between', () => {
    const lines: ProgressLine[] = [];
    const meter = new ProgressMeter((line) => void lines.push(line), {
      id: 'x',
      status: 'Pushing',
      total: 100,
    });
    for (let i = 0; i < 100; i++) meter.add(1);
    expect(lines[0]).toMatchObject({
      id: 'x',
      status: 'Pushing',
      progressDetail: { current: 1, total: 100 },
    });
    expect(lines.at(-1)).toMatchObject({ progressDetail: { current: 100, total: 100 } });
    expect(lines.length).toBeLessThan(50);
  });
});
