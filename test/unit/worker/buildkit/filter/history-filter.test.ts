import { describe, expect, it } from 'vitest';
import type { BuildRecord } from '#worker/build/history/build-record.ts';
import { historyFilter } from '#worker/buildkit/filter/history-filter.ts';

const MINUTE = 60_000;

function record(ref: string, facts: Partial<BuildRecord> & { minutesAgo: number; ms?: number }): BuildRecord {
  const { minutesAgo, ms, ...rest } = facts;
  const createdAt = new Date(Date.now() - minutesAgo * MINUTE);
  return {
    ref,
    frontend: 'dockerfile.v0',
    frontendOptions: {},
    exporters: [],
    createdAt,
    ...(ms !== undefined && { completedAt: new Date(createdAt.getTime() + ms) }),
    response: {},
    steps: [],
    warnings: 0,
    ...rest,
  };
}

const records = [
  record('running', { minutesAgo: 1 }),
  record('quick', { minutesAgo: 10, ms: 500, frontendOptions: { 'vcs:source': 'https://host/a.git' } }),
  record('slow', {
    minutesAgo: 100,
    ms: 5 * MINUTE,
    frontendOptions: { context: 'https://host/b.git?submodules=false#main:sub' },
  }),
  record('failed', { minutesAgo: 200, ms: 1500, error: { kind: 'internal', message: 'no' } }),
  record('left', { minutesAgo: 300, ms: 1500, error: { kind: 'canceled', message: 'context canceled' } }),
];

function found(...filters: string[]): string[] {
  return records.filter(historyFilter(filters)).map(({ ref }) => ref);
}

describe("filters of a history's builds", () => {
  it.each<[filters: string[], refs: string[]]>([
    [[], ['running', 'quick', 'slow', 'failed', 'left']],
    [['status==running'], ['running']],
    [['status==completed'], ['quick', 'slow']],
    [['status~=^(error|canceled)$'], ['failed', 'left']],
    [
      ['status==error', 'ref==quick'],
      ['quick', 'failed'],
    ],
    [['repository'], ['quick', 'slow']],
    [['repository==https://host/b.git'], ['slow']],
    [['startedAt<1h'], ['slow', 'failed', 'left']],
    [['startedAt>1h'], ['running', 'quick']],
    [['startedAt<2020-01-01T00:00:00Z'], []],
    [['startedAt>=2020-01-01T00:00:00Z,status==error'], ['failed']],
    [['duration>1m'], ['slow']],
    [['duration<=1.5s'], ['running', 'quick', 'failed', 'left']],
    [['status==error,duration>1s'], ['failed']],
    // What is not over has no such time.
    [['completedAt<2h'], ['running', 'failed', 'left']],
  ])('%j', (filters, refs) => {
    expect(found(...filters)).toEqual(refs);
  });

  it.each([
    ['startedAt>yesterday', 'invalid time yesterday'],
    ['duration>long', 'invalid duration long'],
    ['status=error', 'unsupported operator'],
    ['status>error', 'filters: parse error'],
  ])('refuses %s', (filter, message) => {
    expect(() => historyFilter([filter])).toThrow(message);
  });

  it('refuses expressions that are too much together', () => {
    expect(() => historyFilter(Array(20).fill('ref~=x{90}'))).toThrow('too large, or repeat too much');
    expect(() => historyFilter(Array(101).fill('startedAt<1h'))).toThrow('at most 100 filters');
  });
});
