import { expect, it } from 'vitest';
import type { RegistryDatabase } from '#database/registry/open.ts';
import { SYSTEM } from '#registry/events/event.ts';
import { EventFeedRepository } from '#registry/events/event-feed-repository.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import { onEachDatabase } from '../../database/registry-databases.ts';

const record = (db: RegistryDatabase, ...tags: string[]) =>
  recordEvents(
    db,
    SYSTEM,
    tags.map((tag) => ({ action: 'manifest.push', tag })),
  );

onEachDatabase('the event feed', (create, dialect) => {
  it('hands out each event once, in order, page by page', async () => {
    await using database = await create();
    const feed = new EventFeedRepository(database.db);
    expect(await feed.after('', 10)).toEqual({ events: [], cursor: '' });
    await record(database.db, 'a', 'b', 'c');
    const first = await feed.after('', 2);
    const second = await feed.after(first.cursor, 2);
    expect([...first.events, ...second.events].map(({ tag }) => tag)).toEqual(['a', 'b', 'c']);
    expect(await feed.after(second.cursor, 2)).toEqual({ events: [], cursor: second.cursor });
    expect(await feed.head()).toBe(second.cursor);
  });

  it('goes past what was rolled back', async () => {
    await using database = await create();
    const feed = new EventFeedRepository(database.db);
    const failed = database.db.transaction().execute(async (trx) => {
      await record(trx, 'lost');
      throw new Error('no');
    });
    await expect(failed).rejects.toThrow('no');
    await record(database.db, 'kept');
    expect((await feed.after('', 10)).events.map(({ tag }) => tag)).toEqual(['kept']);
  });

  const onServer = dialect === 'postgres' ? it : undefined;
  onServer?.('waits for an event whose transaction is still open', async () => {
    await using database = await create();
    const other = await database.another();
    const feed = new EventFeedRepository(other);
    await record(other, 'before');
    const open = Promise.withResolvers<void>();
    const inserted = Promise.withResolvers<void>();
    const slow = database.db.transaction().execute(async (trx) => {
      await record(trx, 'slow');
      inserted.resolve();
      await open.promise;
    });
    await inserted.promise;
    await record(other, 'quick');
    const seen = await feed.after('', 10);
    expect(seen.events.map(({ tag }) => tag)).toEqual(['before']);
    expect(await feed.head()).toBe(seen.cursor);
    open.resolve();
    await slow;
    expect((await feed.after(seen.cursor, 10)).events.map(({ tag }) => tag)).toEqual(['slow', 'quick']);
  });

  it('skips none and repeats none while many transactions commit in any order', async () => {
    await using database = await create();
    const feed = new EventFeedRepository(await database.another());
    // SQLite waits for another connection's transaction in the thread that has to end it.
    const writers = [database.db, dialect === 'sqlite' ? database.db : await database.another()];
    let writing = true;
    const pause = () => new Promise((resolve) => setTimeout(resolve, Math.random() * 4));
    const written = Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        for (let number = 0; number < 15; number++) {
          const lost = number % 5 === 4;
          await writers[writer % 2]!.transaction()
            .execute(async (trx) => {
              await record(trx, `${writer}.${number}.first`);
              await pause();
              await record(trx, `${writer}.${number}.second`);
              if (lost) throw new Error('rolled back');
            })
            .catch((error: unknown) => {
              if (!lost) throw error;
            });
        }
      }),
    ).finally(() => {
      writing = false;
    });

    const read: string[] = [];
    let cursor = '';
    for (let last = false; ; ) {
      const page = await feed.after(cursor, 7);
      read.push(...page.events.map(({ tag }) => tag!));
      cursor = page.cursor;
      await pause();
      if (page.events.length > 0) continue;
      if (last) break;
      last = !writing;
    }
    await written;
    const kept = (number: number) => number % 5 !== 4;
    const expected = Array.from({ length: 8 }, (_, writer) =>
      Array.from({ length: 15 }, (_, number) => number)
        .filter(kept)
        .flatMap((number) => [`${writer}.${number}.first`, `${writer}.${number}.second`]),
    ).flat();
    expect(read.toSorted()).toEqual(expected.toSorted());
  });
});
