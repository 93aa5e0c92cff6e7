import { expect, it } from 'vitest';
import { parseDuration } from '#worker/build/dockerfile/duration.ts';

it.each([
  ['0', 0],
  ['1h2m3.5s', 3723.5e9],
  ['1.5ms', 1.5e6],
  ['.5s', 5e8],
  ['2µs', 2000],
  ['-1s', -1e9],
])('reads the duration %s', (text, expected) => {
  expect(parseDuration(text)).toBe(expected);
});

it.each(['', '1', 's', '1x', '1s2', '1h-1m', `${'9'.repeat(30)}s`])('refuses the duration %j', (text) => {
  expect(() => parseDuration(text)).toThrow(
    /^time: (?:invalid|missing unit in|unknown unit ".*" in) duration/,
  );
});
