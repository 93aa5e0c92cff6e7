import { describe, expect, it } from 'vitest';
import { type ContainerState, NEVER } from '#worker/containers/container.ts';
import { humanDuration, statusText } from '#worker/containers/list/container-status.ts';

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

it.each([
  [0, 'Less than a second'],
  [1.5 * SECOND, '1 second'],
  [59 * SECOND, '59 seconds'],
  [61 * SECOND, 'About a minute'],
  [5 * MINUTE + 59 * SECOND, '5 minutes'],
  [59 * MINUTE, '59 minutes'],
  [HOUR, 'About an hour'],
  [3 * HOUR, '3 hours'],
  [47 * HOUR, '47 hours'],
  [3 * DAY, '3 days'],
  [20 * DAY, '2 weeks'],
  [100 * DAY, '3 months'],
  [800 * DAY, '2 years'],
])('%d ms are %s', (milliseconds, words) => {
  expect(humanDuration(milliseconds)).toBe(words);
});

describe('the STATUS column', () => {
  const now = Date.parse('2026-01-01T01:00:00Z');
  const state = (change: Partial<ContainerState>): ContainerState => ({
    status: 'running',
    pid: 1,
    exitCode: 0,
    error: '',
    oomKilled: false,
    startedAt: '2026-01-01T00:59:57Z',
    finishedAt: NEVER,
    ...change,
  });
  const ended = { finishedAt: '2026-01-01T00:55:00Z' };

  it.each([
    [state({}), 'Up 3 seconds'],
    [state({ status: 'paused' }), 'Up 3 seconds (Paused)'],
    [state({ health: { status: 'starting', failingStreak: 0, log: [] } }), 'Up 3 seconds (health: starting)'],
    [state({ health: { status: 'unhealthy', failingStreak: 3, log: [] } }), 'Up 3 seconds (unhealthy)'],
    [state({ status: 'exited', exitCode: 137, ...ended }), 'Exited (137) 5 minutes ago'],
    [state({ status: 'restarting', exitCode: 1, ...ended }), 'Restarting (1) 5 minutes ago'],
    [state({ status: 'created' }), 'Created'],
  ])('%# is %s', (given, text) => {
    expect(statusText(given, now)).toBe(text);
  });
});
