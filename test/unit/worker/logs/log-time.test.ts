import { expect, it } from 'vitest';
import { normalizeTime, timeOfUnixSeconds } from '#worker/logs/log-time.ts';

it('brings times to UTC with nine digits', () => {
  expect(normalizeTime('2026-11-22T05:28:04.700480486+00:00')).toBe('2026-11-22T05:28:04.700480486Z');
  expect(normalizeTime('2026-11-22T07:28:04.700480486+02:00')).toBe('2026-11-22T05:28:04.700480486Z');
  expect(normalizeTime('2026-11-22T05:28:04.7Z')).toBe('2026-11-22T05:28:04.700000000Z');
});

it('reads unix seconds without rounding', () => {
  expect(timeOfUnixSeconds('1700000000.123456789')).toBe('2023-11-14T22:13:20.123456789Z');
  expect(timeOfUnixSeconds('1700000000')).toBe('2023-11-14T22:13:20.000000000Z');
  expect(timeOfUnixSeconds('0')).toBe('1970-01-01T00:00:00.000000000Z');
  expect(timeOfUnixSeconds('yesterday')).toBeUndefined();
});
