import { expect, it } from 'vitest';
import { SYSTEM } from '#registry/events/event.ts';
import { EventFeedRepository } from '#registry/events/event-feed-repository.ts';
import { recordEvents } from '#registry/events/events-repository.ts';
import type { RecordedEvent } from '#registry/events/recorded-event.ts';
import { OutboxRepository } from '#registry/outbox/outbox-repository.ts';
import { onEachDatabase, type TestDatabase } from '../../database/registry-databases.ts';

const push = (repository: string) => ({ action: 'manifest.push' as const, repository, detail: { a: 1 } });

/** A consumer with so many deliveries that are due. */
async function withDeliveries(database: TestDatabase, count: number) {
  const [outbox, feed] = [new OutboxRepository(database.db), new EventFeedRepository(database.db)];
  await outbox.subscribe('test', await feed.head());
  const names = Array.from({ length: count }, (_, i) => `some/image${i}`);
  await recordEvents(database.db, SYSTEM, names.map(push));
  const from = (await outbox.cursorOf('test'))!;
  const { events, cursor } = await feed.after(from, 1000);
  expect(await outbox.advance('test', { from, to: cursor, events })).toBe(true);
  return { outbox, feed, events, cursor };
}

const later = () => Date.now() + 60_000;

onEachDatabase('outbox', (create, dialect) => {
  /** SQLite has one writer, which two connections of one thread would wait for in vain. */
  const another = (database: TestDatabase) =>
    dialect === 'sqlite' ? Promise.resolve(database.db) : database.another();

  it('puts down each event once, whoever is first', async () => {
    await using database = await create();
    const { outbox, events, cursor } = await withDeliveries(database, 3);
    expect(events.map(({ repository, detail }) => [repository, detail])).toEqual(
      [0, 1, 2].map((i) => [`some/image${i}`, { a: 1 }]),
    );
    expect(await outbox.advance('test', { from: '', to: cursor, events })).toBe(false);
    expect(await outbox.counts('test')).toEqual({ pending: 3, delivered: 0, dead: 0 });
  });

  it('puts down nothing twice when two processes read at once', async () => {
    await using database = await create();
    const [one, two] = [new OutboxRepository(database.db), new OutboxRepository(await another(database))];
    const feed = new EventFeedRepository(database.db);
    await one.subscribe('test', await feed.head());
    await recordEvents(database.db, SYSTEM, [push('some/image')]);
    const from = (await one.cursorOf('test'))!;
    const { events, cursor } = await feed.after(from, 10);
    const step = { from, to: cursor, events };
    const moved = await Promise.all([one.advance('test', step), two.advance('test', step)]);
    expect(moved.filter(Boolean)).toHaveLength(1);
    expect((await one.list('test', { limit: 10 })).map(({ event }) => event.repository)).toEqual([
      'some/image',
    ]);
  });

  it('hands a delivery to one process at a time', async () => {
    await using database = await create();
    const { outbox } = await withDeliveries(database, 20);
    const other = new OutboxRepository(await another(database));
    const claims = await Promise.all(
      [outbox, other, outbox, other].map((it) => it.claim('test', 20, later())),
    );
    const ids = claims.flat().map(({ id }) => id);
    expect([ids.length, new Set(ids).size]).toEqual([20, 20]);
    expect(await outbox.hasDue('test')).toBe(false);
  });

  it('hands out again what was claimed and not settled', async () => {
    await using database = await create();
    const { outbox } = await withDeliveries(database, 1);
    const [first] = await outbox.claim('test', 1, Date.now() - 1);
    const [second] = await outbox.claim('test', 1, later());
    expect([first!.attempts, second!.attempts, second!.id]).toEqual([1, 2, first!.id]);
    expect([await outbox.renew(first!, later()), await outbox.renew(second!, later())]).toEqual([
      false,
      true,
    ]);
    // The first one comes back late: it has nothing to say any more.
    await outbox.settle(first!, { state: 'dead', result: 'late' });
    expect((await outbox.counts('test')).pending).toBe(1);
    await outbox.settle(second!, { state: 'delivered', result: 'taken' });
    expect(await outbox.list('test', { limit: 5 })).toMatchObject([{ state: 'delivered', result: 'taken' }]);
  });

  it('delivers again what is asked for, and nothing of another consumer', async () => {
    await using database = await create();
    const { outbox } = await withDeliveries(database, 1);
    const [delivery] = await outbox.claim('test', 1, later());
    await outbox.settle(delivery!, { state: 'dead', result: 'no' });
    expect(await outbox.redeliver('other', delivery!.id)).toBe(false);
    expect(await outbox.redeliver('test', delivery!.id)).toBe(true);
    expect((await outbox.claim('test', 1, later()))[0]).toMatchObject({ attempts: 1 });
  });

  it('forgets what was settled long ago, and all of a consumer that leaves', async () => {
    await using database = await create();
    const { outbox } = await withDeliveries(database, 3);
    const [delivery] = await outbox.claim('test', 1, later());
    await outbox.settle(delivery!, { state: 'delivered', result: 'taken' });
    expect(await outbox.prune(new Date(Date.now() - 60_000))).toBe(0);
    expect(await outbox.prune(new Date(Date.now() + 60_000))).toBe(1);
    expect((await outbox.list('test', { limit: 5 })).length).toBe(2);
    await outbox.unsubscribe('test');
    expect([await outbox.cursorOf('test'), await outbox.list('test', { limit: 5 })]).toEqual([undefined, []]);
  });

  it('reads the feed in steps', async () => {
    await using database = await create();
    const feed = new EventFeedRepository(database.db);
    const start = await feed.head();
    await recordEvents(
      database.db,
      SYSTEM,
      Array.from({ length: 5 }, (_, i) => push(`some/image${i}`)),
    );
    const found: RecordedEvent[] = [];
    for (let cursor = start; ; ) {
      const step = await feed.after(cursor, 2);
      found.push(...step.events);
      if (step.events.length === 0) break;
      cursor = step.cursor;
    }
    expect(found.map(({ repository }) => repository)).toEqual([0, 1, 2, 3, 4].map((i) => `some/image${i}`));
    expect((await feed.after(await feed.head(), 10)).events).toEqual([]);
  });
});
