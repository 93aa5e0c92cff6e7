import { afterEach, expect, it, vi } from 'vitest';
import { FineClock } from '#worker/events/fine-clock.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const real = Date.now;

it('always goes on', () => {
  const clock = new FineClock();
  const times = Array.from({ length: 10_000 }, () => clock.now());
  for (const [at, time] of times.entries()) if (at > 0) expect(time).toBeGreaterThan(times[at - 1]!);
  expect(Math.abs(clock.now() / 1e6 - Date.now())).toBeLessThan(1_000);
});

it.each([600_000, -600_000])('follows the clock when that is corrected: by %d ms', (correction) => {
  const clock = new FineClock();
  clock.now();
  vi.spyOn(Date, 'now').mockImplementation(() => real() + correction);
  const [one, two] = [clock.now(), clock.now()];
  expect(Math.abs(one / 1e6 - Date.now())).toBeLessThan(1_000);
  expect(two).toBeGreaterThan(one);
});
