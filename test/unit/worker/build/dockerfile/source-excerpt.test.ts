import { describe, expect, it } from 'vitest';
import type { DockerfileError } from '#worker/build/dockerfile/dockerfile-error.ts';
import { parseDockerfile } from '#worker/build/dockerfile/parser.ts';
import { lineByLine, linesOf, mergeRanges } from '#worker/build/dockerfile/ranges.ts';
import { formatSource } from '#worker/build/dockerfile/source-excerpt.ts';

const excerpt = (lines: number, ...ranges: [number, number?][]) =>
  formatSource({
    info: {
      filename: 'Dockerfile',
      language: 'Dockerfile',
      data: Buffer.from(Array.from({ length: lines }, (_, at) => `line ${at + 1}`).join('\n')),
    },
    ranges: ranges.map(([first, last]) => linesOf(first, last)),
  }).split('\n');
const ruler = '--------------------';

describe('an excerpt', () => {
  it('shows two lines on each side of one', () => {
    expect(excerpt(12, [10])).toEqual([
      'Dockerfile:10',
      ruler,
      '   8 |     line 8',
      '   9 |     line 9',
      '  10 | >>> line 10',
      '  11 |     line 11',
      '  12 |     line 12',
      ruler,
      '',
    ]);
  });

  it('shows one line on each side of several', () => {
    expect(excerpt(9, [3, 4], [6])).toEqual([
      'Dockerfile:3',
      ruler,
      '   2 |     line 2',
      '   3 | >>> line 3',
      '   4 | >>> line 4',
      '   5 |     line 5',
      '   6 | >>> line 6',
      '   7 |     line 7',
      ruler,
      '',
    ]);
  });

  it('ends where the file does', () => {
    expect(excerpt(2, [2])).toEqual([
      'Dockerfile:2',
      ruler,
      '   1 |     line 1',
      '   2 | >>> line 2',
      ruler,
      '',
    ]);
    expect(excerpt(1, [1, 40])[2]).toBe('   1 | >>> line 1');
    expect(excerpt(1)).toEqual(['']);
    expect(excerpt(1, [2])).toEqual(['']);
    expect(excerpt(1, [0])).toEqual(['']);
  });

  it('comes from an error', () => {
    const text = 'FROM a\n\nCOPY --chwon=1 \\\n a b\n';
    let failure: unknown;
    try {
      parseDockerfile(text);
    } catch (error) {
      failure = error;
    }
    const { ranges } = failure as DockerfileError;
    const info = { filename: 'sub/Dockerfile', language: 'Dockerfile', data: Buffer.from(text) };
    expect(formatSource({ info, ranges })).toBe(
      `sub/Dockerfile:3\n${ruler}\n   2 |     \n   3 | >>> COPY --chwon=1 \\\n   4 | >>>  a b\n   5 |     \n${ruler}\n`,
    );
  });
});

it('takes ranges apart and together', () => {
  expect(lineByLine(linesOf(2, 4))).toEqual([linesOf(2), linesOf(3), linesOf(4)]);
  expect(mergeRanges([linesOf(5), linesOf(1, 3), linesOf(2, 4), linesOf(5, 6), linesOf(4)])).toEqual([
    linesOf(1, 4),
    linesOf(5, 6),
  ]);
});
