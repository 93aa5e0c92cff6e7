import { describe, expect, it } from 'vitest';
import { announceChange, watchChanges } from '#database/registry/changes.ts';
import { onEachDatabase, useRegistryPostgres } from '../../database/registry-databases.ts';

onEachDatabase('changes', (create) => {
  it('are heard in every process, by who asked for their topic', async () => {
    await using database = await create();
    const heard: string[] = [];
    const second = await database.another();
    await using here = await watchChanges(database.db, database.options);
    await using there = await watchChanges(second, database.options);
    here.subscribe('a', () => heard.push('a here'));
    there.subscribe('a', () => heard.push('a there'));
    there.subscribe('b', () => heard.push('b there'));
    await announceChange(database.db, 'a');
    await expect.poll(() => heard.toSorted(), { timeout: 10_000 }).toEqual(['a here', 'a there']);
    await announceChange(second, 'b');
    await expect.poll(() => heard.length, { timeout: 10_000 }).toBe(3);
    expect(heard.at(-1)).toBe('b there');
  });

  it('are heard when their transaction commits, and at once by who looks', async () => {
    await using database = await create();
    await using changes = await watchChanges(database.db, database.options);
    let heard = 0;
    changes.subscribe('a', () => heard++);
    const failed = database.db.transaction().execute(async (trx) => {
      await announceChange(trx, 'a');
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await changes.look();
    expect(heard).toBe(0);
    await database.db.transaction().execute((trx) => announceChange(trx, 'a'));
    await changes.look();
    expect(heard).toBeGreaterThan(0);
  });

  it('are not heard any more after the subscription ended', async () => {
    await using database = await create();
    await using changes = await watchChanges(database.db, database.options);
    let heard = 0;
    changes.subscribe('a', () => heard++)[Symbol.dispose]();
    await announceChange(database.db, 'a');
    await changes.look();
    expect(heard).toBe(0);
  });
});

describe('changes on a postgres that goes away', () => {
  const postgres = useRegistryPostgres();

  it('are heard without waiting for the next look', async () => {
    await using database = await postgres.create();
    const never = { lookEvery: 1_000_000 };
    await using changes = await watchChanges(await database.another(), database.options, never);
    let heard = 0;
    changes.subscribe('a', () => heard++);
    // The first ones may come before its connection listens.
    const tell = async () => {
      await announceChange(database.db, 'a');
      return heard;
    };
    await expect.poll(tell, { timeout: 20_000 }).toBeGreaterThan(1);
  });

  it('are heard afterwards, also those that nobody could be told of', async () => {
    await using database = await postgres.create();
    await using changes = await watchChanges(await database.another(), database.options);
    let heard = 0;
    changes.subscribe('a', () => heard++);
    await postgres.server().stop('SIGQUIT');
    await postgres.server().resume();
    await announceChange(database.db, 'a');
    await expect.poll(() => heard, { timeout: 20_000 }).toBeGreaterThan(0);
    const before = heard;
    await announceChange(database.db, 'a');
    await expect.poll(() => heard, { timeout: 20_000 }).toBeGreaterThan(before);
  });
});
