import { expect, it } from 'vitest';
import { SharedRuns } from '#async/shared-runs.ts';

/** A task whose runs end when they are told to. */
function start() {
  const under: PromiseWithResolvers<void>[] = [];
  const runs = new SharedRuns(() => {
    under.push(Promise.withResolvers<void>());
    return under.at(-1)!.promise;
  });
  return { runs, under };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

it('has those who ask while it runs share the run after it', async () => {
  const { runs, under } = start();
  const done: string[] = [];
  const first = runs.run().then(() => done.push('first'));
  await settled();
  const others = ['a', 'b'].map((name) => runs.run().then(() => done.push(name)));
  await settled();
  expect(under.length).toBe(1);
  under[0]!.resolve();
  await first;
  await settled();
  expect([done, under.length]).toEqual([['first'], 2]);
  under[1]!.resolve();
  await Promise.all(others);
  await runs.idle();
  expect(done).toEqual(['first', 'a', 'b']);
});

it('fails for those who waited for a run that failed, and goes on', async () => {
  const { runs, under } = start();
  const first = runs.run();
  await settled();
  const second = runs.run();
  under[0]!.reject(new Error('disk gone'));
  await expect(first).rejects.toThrow('disk gone');
  await settled();
  under[1]!.resolve();
  await second;
  await runs.idle();
});
