import { describe, expect, it } from 'vitest';
import { SharedFlight } from '#async/shared-flight.ts';

function held() {
  const { promise: released, resolve } = Promise.withResolvers<void>();
  let runs = 0;
  let aborted = false;
  const task = async ({ signal, report }: { signal: AbortSignal; report: (event: string) => void }) => {
    runs++;
    report('begun');
    signal.addEventListener('abort', () => {
      aborted = true;
      resolve();
    });
    await released;
    if (signal.aborted) throw new Error('aborted');
    report('done');
    return runs;
  };
  return { task, release: resolve, runs: () => runs, aborted: () => aborted };
}

describe('a shared flight', () => {
  it('serves all who ask at the same time, and tells a late one what was said last', async () => {
    const flights = new SharedFlight<number, string>();
    const { task, release } = held();
    const heard: [string[], string[]] = [[], []];
    const first = flights.run('key', task, { watch: (event) => heard[0].push(event) });
    await new Promise(setImmediate);
    const second = flights.run('key', task, { watch: (event) => heard[1].push(event) });
    release();
    expect(await Promise.all([first, second])).toEqual([1, 1]);
    expect(heard).toEqual([
      ['begun', 'done'],
      ['begun', 'done'],
    ]);
  });

  it('goes on when one leaves, and is aborted when the last one has', async () => {
    const flights = new SharedFlight<number, string>();
    const { task, aborted } = held();
    const leaving = [new AbortController(), new AbortController()] as const;
    const results = leaving.map(({ signal }) => flights.run('key', task, { signal }));
    leaving[0].abort();
    await expect(results[0]).rejects.toMatchObject({ kind: 'canceled' });
    expect(aborted()).toBe(false);
    leaving[1].abort();
    await expect(results[1]).rejects.toMatchObject({ kind: 'canceled' });
    expect(aborted()).toBe(true);
  });

  it('starts anew for one who comes while the abandoned task is still ending', async () => {
    const flights = new SharedFlight<string, string>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const controller = new AbortController();
    const first = flights.run(
      'key',
      async () => {
        await ended;
        return 'abandoned';
      },
      { signal: controller.signal },
    );
    controller.abort();
    await expect(first).rejects.toMatchObject({ kind: 'canceled' });
    const second = flights.run('key', async () => 'anew');
    end();
    expect(await second).toBe('anew');
  });

  it('tells when a task that everybody has left is over, and keeps nobody waiting for another', async () => {
    const flights = new SharedFlight<void, never>();
    const { promise: ended, resolve: end } = Promise.withResolvers<void>();
    const controller = new AbortController();
    const run = flights.run('key', () => ended, { signal: controller.signal });
    await flights.abandoned('key');
    controller.abort();
    await expect(run).rejects.toMatchObject({ kind: 'canceled' });
    let over = false;
    const waiting = flights.abandoned('key').then(() => {
      over = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(over).toBe(false);
    end();
    await waiting;
    await flights.abandoned('other');
  });
});
