import { expect, it } from 'vitest';
import { Leases } from '#database/registry/leases.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

onEachDatabase('leases', (create, dialect) => {
  it('let one process at a time do it, and the next one when it is done', async () => {
    await using database = await create();
    const one = new Leases({ db: database.db });
    const other = new Leases({ db: await database.another() });
    const first = await one.run('gc', async (lease) => {
      expect(await other.run('gc', async () => 'two at once')).toBeUndefined();
      expect(await other.run('another', async () => 'free')).toBe('free');
      return lease.token;
    });
    const second = await other.run('gc', async ({ token }) => token);
    expect(second).toBeGreaterThan(first!);
  });

  it('let exactly one in of many that come at once', async () => {
    await using database = await create();
    // On SQLite the connections of one thread would wait for each other without letting each other go on.
    const another = () => (dialect === 'sqlite' ? Promise.resolve(database.db) : database.another());
    const processes = [database.db, await another(), await another()];
    let inside = 0;
    const ran = await Promise.all(
      Array.from({ length: 12 }, (_, number) =>
        new Leases({ db: processes[number % 3]! }).run('gc', async () => {
          expect(++inside).toBe(1);
          await pause(200);
          inside--;
          return true;
        }),
      ),
    );
    expect(ran.filter(Boolean)).toHaveLength(1);
  });

  it('are free again when a task fails', async () => {
    await using database = await create();
    const leases = new Leases({ db: database.db });
    const failed = leases.run('gc', async () => {
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    expect(await leases.run('gc', async () => true)).toBe(true);
  });

  it('are kept by a task that takes longer than they last', async () => {
    await using database = await create();
    const other = new Leases({ db: await database.another(), duration: 400 });
    await new Leases({ db: database.db, duration: 400 }).run('gc', async ({ signal }) => {
      await pause(1_200);
      expect(await other.run('gc', async () => true)).toBeUndefined();
      expect(signal.aborted).toBe(false);
    });
  });

  it('pass on from a process that went silent, which can commit nothing more and learns of it', async () => {
    await using database = await create();
    const silent = new Leases({ db: database.db, duration: 600 });
    const other = new Leases({ db: await database.another(), duration: 600 });
    await silent.run('gc', async (lease) => {
      // As if it had been stopped for a while: its lease ran out unnoticed.
      await database.db.updateTable('leases').set({ expires_at: 0 }).where('name', '=', 'gc').execute();
      await other.run('gc', async (taken) => {
        expect(taken.token).toBeGreaterThan(lease.token);
        const late = database.db.transaction().execute((trx) => lease.hold(trx));
        await expect(late).rejects.toMatchObject({ kind: 'conflict' });
        await database.db.transaction().execute((trx) => taken.hold(trx));
        await expect.poll(() => lease.signal.aborted, { timeout: 10_000 }).toBe(true);
        expect(taken.signal.aborted).toBe(false);
      });
    });
  });

  it('tell their task when the caller has had enough', async () => {
    await using database = await create();
    const stopping = new AbortController();
    await new Leases({ db: database.db }).run(
      'gc',
      async ({ signal }) => {
        stopping.abort();
        expect(signal.aborted).toBe(true);
      },
      { signal: stopping.signal },
    );
  });
});
