import type { CompiledQuery } from 'kysely';
import { expect, it, vi } from 'vitest';
import { RecentRows } from '#database/recent-rows.ts';

const query = (sql: string, ...parameters: unknown[]) => ({ sql, parameters }) as unknown as CompiledQuery;

it('keeps what was found for the query, its parameters and the version', () => {
  const recent = new RecentRows();
  const find = vi.fn((): unknown[] => [{ found: find.mock.calls.length }]);
  const found = (asked: CompiledQuery) => (recent.rows(asked, find)[0] as { found: number }).found;
  recent.keepOnlyOf(1);
  expect([found(query('a', 'x')), found(query('a', 'x'))]).toEqual([1, 1]);
  expect([found(query('b', 'x')), found(query('a', 'x', 'y')), found(query('a', 1))]).toEqual([2, 3, 4]);
  expect([found(query('a', '1')), found(query('a', 'x'))]).toEqual([5, 1]);
  recent.keepOnlyOf(2);
  expect(found(query('a', 'x'))).toBe(6);
});

it('does not keep what it could not tell apart, nor what is large', () => {
  const recent = new RecentRows();
  const find = vi.fn(() => [{ payload: new Uint8Array(1_000_000) }]);
  for (let time = 0; time < 3; time++) recent.rows(query('large', 1), find);
  const findNone = vi.fn(() => []);
  for (const value of [null, undefined, null, new Uint8Array(1)]) recent.rows(query('x', value), findNone);
  expect([find.mock.calls.length, findNone.mock.calls.length]).toEqual([3, 4]);
});

it('keeps no more than fits', () => {
  const recent = new RecentRows();
  const find = vi.fn(() => [{ payload: new Uint8Array(200_000) }]);
  const first = () => recent.rows(query('a', 0), find);
  for (let number = 0; number < 30; number++) recent.rows(query('a', number), find);
  first();
  expect(find).toHaveBeenCalledTimes(30);
  for (let number = 30; number < 60; number++) recent.rows(query('a', number), find);
  first();
  expect(find).toHaveBeenCalledTimes(61);
});
